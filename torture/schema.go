package main

import "context"

// table is one of the big topics and the table it goes to.
type table struct {
	name       string // of both
	partitions int
	share      int // of the records, in percent
	upsert     bool
	transacted bool
	sums       string // a second table of the same records, one row a group; "": none
}

// tables are what the main pipeline moves. None of those that append has a unique key: it would hide duplicates.
var tables = []*table{
	{name: "events", partitions: 6, share: 50, sums: "event_sums"},
	{name: "payments", partitions: 3, share: 40, transacted: true},
	{name: "accounts", partitions: 3, share: 10, upsert: true},
}

// targets are the names of all tables that the main pipeline writes.
func targets() (names []string) {
	for _, t := range tables {
		names = append(names, t.name)
		if t.sums != "" {
			names = append(names, t.sums)
		}
	}
	return names
}

const columns = `id bigint NOT NULL, k text NOT NULL, n bigint NOT NULL CHECK (n >= 0), amount numeric(12,2) NOT NULL,
	sum bigint NOT NULL,
	kafka_partition integer NOT NULL, kafka_offset bigint NOT NULL`

// schema is what torture adds to a database: the tables, and triggers that write down every move of a position in the
// transaction that makes it, and every upsert that goes back in the log.
var schema = []string{
	`CREATE TABLE events (` + columns + `)`,
	`CREATE INDEX events_place ON events (kafka_partition, kafka_offset)`,
	`CREATE TABLE payments (` + columns + `)`,
	`CREATE INDEX payments_place ON payments (kafka_partition, kafka_offset)`,
	`CREATE TABLE accounts (` + columns + `, PRIMARY KEY (k))`,
	`CREATE TABLE event_sums (g text PRIMARY KEY, records bigint NOT NULL, n numeric NOT NULL, amount numeric(20,2)
		NOT NULL, newest bigint, least bigint) WITH (fillfactor = 50)`,
	`CREATE SCHEMA torture`,
	`CREATE TABLE torture.moves (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
		pipeline text NOT NULL, topic text NOT NULL,
		partition integer NOT NULL, old_next bigint, new_next bigint NOT NULL, old_fence bigint,
		new_fence bigint NOT NULL, owner text,
		application text, pid integer NOT NULL, xid text NOT NULL, timeline text NOT NULL)`,
	`CREATE FUNCTION torture.moved() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN
		INSERT INTO torture.moves (pipeline, topic, partition, old_next, new_next, old_fence, new_fence,
		owner, application, pid, xid, timeline)
		VALUES (NEW.pipeline, NEW.topic, NEW.partition, CASE WHEN TG_OP = 'UPDATE' THEN OLD.next_offset END, NEW.next_offset,
			CASE WHEN TG_OP = 'UPDATE' THEN OLD.fence END, NEW.fence, NEW.owner,
			current_setting('application_name'), pg_backend_pid(),
			pg_current_xact_id()::text, left(pg_walfile_name(pg_current_wal_lsn()), 8));
		RETURN NULL; END $$`,
	`CREATE TRIGGER moved AFTER INSERT OR UPDATE OF next_offset, fence ON sinker.offsets FOR EACH ROW EXECUTE
		FUNCTION torture.moved()`,
	`CREATE TABLE torture.pulse (at timestamptz)`,
	`INSERT INTO torture.pulse VALUES (now())`,
	`CREATE TABLE torture.disorder (k text, old_partition integer, old_offset bigint, new_partition integer,
		new_offset bigint)`,
	`CREATE FUNCTION torture.ordered() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN
		IF NEW.kafka_partition <> OLD.kafka_partition OR NEW.kafka_offset <= OLD.kafka_offset THEN
			INSERT INTO torture.disorder VALUES (NEW.k, OLD.kafka_partition, OLD.kafka_offset,
			NEW.kafka_partition, NEW.kafka_offset);
		END IF;
		RETURN NULL; END $$`,
	`CREATE TRIGGER ordered AFTER UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION torture.ordered()`,
}

// makeSchema makes all that in a database that sinker has migrated.
func (d *database) makeSchema(ctx context.Context) error {
	return d.exec(ctx, append(asideSchema(), schema...)...)
}
