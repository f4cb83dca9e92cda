-- Rows that a trigger or a rule of the table takes away are no rows: Postgres counts fewer than were sent. They are counted.
ALTER TABLE sinker.offsets ADD COLUMN suppressed bigint NOT NULL DEFAULT 0, ADD COLUMN open_suppressed bigint;
ALTER TABLE sinker.batches ADD COLUMN suppressed bigint NOT NULL DEFAULT 0;

CREATE OR REPLACE VIEW sinker.ledger AS
    SELECT pipeline, topic, partition, from_offset, to_offset, records, written, filtered, dead, bytes, checksum, config_hash, owner, fence,
           began_at, committed_at, false AS open, suppressed
    FROM sinker.batches
    UNION ALL
    SELECT pipeline, topic, partition, open_from, open_to, open_written + open_filtered + open_dead, open_written, open_filtered, open_dead,
           open_bytes, open_checksum, open_hash, open_owner, open_fence, open_since, open_at, true, coalesce(open_suppressed, 0)
    FROM sinker.offsets WHERE open_from IS NOT NULL;

-- A producer may give a record any timestamp; not all of them can be stored.
ALTER TABLE sinker.dead_letters ALTER COLUMN record_timestamp DROP NOT NULL;

COMMENT ON COLUMN sinker.offsets.suppressed IS 'Rows that the tables'' triggers or rules took away. Those of a topic with one table count as filtered.';
COMMENT ON COLUMN sinker.batches.suppressed IS 'Rows that the tables'' triggers or rules took away. With several ranges in a transaction, the first ones have them.';
COMMENT ON COLUMN sinker.dead_letters.record_timestamp IS 'NULL where Postgres cannot hold it; the reason has it in milliseconds then.';
