-- Lost: when the first transaction of a range of the ledger was committed; the ranges stay
DROP VIEW sinker.ledger;
INSERT INTO sinker.batches (pipeline, topic, partition, from_offset, to_offset, records, written, filtered, dead, bytes, checksum, config_hash, owner, fence, committed_at)
SELECT pipeline, topic, partition, open_from, open_to, open_written + open_filtered + open_dead, open_written, open_filtered, open_dead,
       open_bytes, open_checksum, open_hash, open_owner, open_fence, open_at
FROM sinker.offsets WHERE open_from IS NOT NULL;
ALTER TABLE sinker.batches DROP COLUMN began_at;
ALTER TABLE sinker.offsets
    DROP COLUMN open_to, DROP COLUMN open_at, DROP COLUMN open_written, DROP COLUMN open_filtered, DROP COLUMN open_dead,
    DROP COLUMN open_bytes, DROP COLUMN open_checksum, DROP COLUMN open_from, DROP COLUMN open_since, DROP COLUMN open_fence,
    DROP COLUMN open_owner, DROP COLUMN open_hash;
COMMENT ON TABLE sinker.batches IS 'The ledger: one row a committed range. `sinker verify` holds it against Kafka; old rows are pruned.';
COMMENT ON COLUMN sinker.batches.committed_at IS NULL;
