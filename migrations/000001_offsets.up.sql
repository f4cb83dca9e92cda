-- The offset row is the only record of progress: it is moved in the transaction that writes the rows.
-- fillfactor 50 and no index but the key keep every move a HOT update, so the table stays a few pages for ever.
-- IF NOT EXISTS would want the privilege to create schemas also where a DBA has made it already.
DO $$ BEGIN IF to_regnamespace('sinker') IS NULL THEN CREATE SCHEMA sinker; END IF; END $$;

CREATE TABLE sinker.offsets (
    pipeline       text        NOT NULL,
    topic          text        NOT NULL,
    partition      integer     NOT NULL,
    cluster_id     text        NOT NULL DEFAULT '',
    topic_id       uuid        NOT NULL,
    start_offset   bigint      NOT NULL CHECK (start_offset >= 0),
    next_offset    bigint      NOT NULL CHECK (next_offset >= start_offset),
    leader_epoch   integer     NOT NULL DEFAULT -1,
    fence          bigint      NOT NULL DEFAULT 0,
    owner          text,
    consumed       bigint      NOT NULL DEFAULT 0,
    written        bigint      NOT NULL DEFAULT 0,
    filtered       bigint      NOT NULL DEFAULT 0,
    dead           bigint      NOT NULL DEFAULT 0,
    last_timestamp timestamptz,
    config_hash    text,
    stopped        text,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, topic, partition),
    CHECK (consumed = written + filtered + dead)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE sinker.offsets IS 'One row a partition: where sinker reads next. Moved in the transaction that writes the rows.';
COMMENT ON COLUMN sinker.offsets.cluster_id IS 'The Kafka cluster these offsets belong to.';
COMMENT ON COLUMN sinker.offsets.topic_id IS 'The incarnation of the topic these offsets belong to.';
COMMENT ON COLUMN sinker.offsets.start_offset IS 'The first position this pipeline took for the partition.';
COMMENT ON COLUMN sinker.offsets.next_offset IS 'The position: the offset of the next record to read.';
COMMENT ON COLUMN sinker.offsets.leader_epoch IS 'Kafka''s leader epoch of the last record before next_offset; -1 when not known.';
COMMENT ON COLUMN sinker.offsets.fence IS 'The owner''s epoch: raised whenever a worker takes the partition; an older one can not write.';
COMMENT ON COLUMN sinker.offsets.consumed IS 'Records read so far = written + filtered + dead.';
COMMENT ON COLUMN sinker.offsets.stopped IS 'Why the partition is stopped; NULL while it is not.';

CREATE TABLE sinker.dead_letters (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline         text        NOT NULL,
    topic            text        NOT NULL,
    partition        integer     NOT NULL,
    record_offset    bigint      NOT NULL,
    record_timestamp timestamptz NOT NULL,
    table_name       text        NOT NULL,
    column_name      text,
    code             text        NOT NULL,
    reason           text        NOT NULL,
    key              bytea,
    value            bytea,
    headers          jsonb,
    config_hash      text,
    created_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dead_letters_place ON sinker.dead_letters (pipeline, topic, partition, record_offset);

COMMENT ON TABLE sinker.dead_letters IS 'Records that could not become rows, written in the transaction that moved the position past them.';
COMMENT ON COLUMN sinker.dead_letters.code IS 'A short name of the reason (not_json, out_of_range and so on) or Postgres'' SQLSTATE.';
COMMENT ON COLUMN sinker.dead_letters.headers IS 'A list of {"key", "value"}, or {"key", "value_base64"} where the value is not text.';
