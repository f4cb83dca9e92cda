-- The range that is still growing lives in the offset row, which every commit updates anyway, and becomes a row of
-- sinker.batches when it ends: after a minute, after a million records, or when the partition is taken or changed by hand.
-- A sinker from before this migration leaves these columns alone and adds rows of its own from next_offset on, so an open
-- range stays true: it ends at open_to, whatever next_offset says.
ALTER TABLE sinker.offsets
    ADD COLUMN open_to       bigint,
    ADD COLUMN open_at       timestamptz,
    ADD COLUMN open_written  bigint,
    ADD COLUMN open_filtered bigint,
    ADD COLUMN open_dead     bigint,
    ADD COLUMN open_bytes    bigint,
    ADD COLUMN open_checksum bigint,
    ADD COLUMN open_from     bigint,
    ADD COLUMN open_since    timestamptz,
    ADD COLUMN open_fence    bigint,
    ADD COLUMN open_owner    text,
    ADD COLUMN open_hash     text;

ALTER TABLE sinker.batches ADD COLUMN began_at timestamptz;

CREATE VIEW sinker.ledger AS
    SELECT pipeline, topic, partition, from_offset, to_offset, records, written, filtered, dead, bytes, checksum, config_hash, owner, fence,
           began_at, committed_at, false AS open
    FROM sinker.batches
    UNION ALL
    SELECT pipeline, topic, partition, open_from, open_to, open_written + open_filtered + open_dead, open_written, open_filtered, open_dead,
           open_bytes, open_checksum, open_hash, open_owner, open_fence, open_since, open_at, true
    FROM sinker.offsets WHERE open_from IS NOT NULL;

-- Whoever may read the ledger's rows may read the ledger.
DO $$
DECLARE reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'sinker.batches'::regclass AND a.privilege_type = 'SELECT'
    LOOP
        EXECUTE 'GRANT SELECT ON sinker.ledger TO ' || reader;
    END LOOP;
END $$;

COMMENT ON VIEW sinker.ledger IS 'The ledger: the ranges that were committed, those of sinker.batches and those still open in sinker.offsets.';
COMMENT ON TABLE sinker.batches IS 'The closed ranges of the ledger, which is the view sinker.ledger. `sinker verify` holds it against Kafka; old rows are pruned.';
COMMENT ON COLUMN sinker.batches.began_at IS 'When the first transaction of the range was committed; NULL where the range is one transaction of an older sinker.';
COMMENT ON COLUMN sinker.batches.committed_at IS 'When the last transaction of the range was committed.';
COMMENT ON COLUMN sinker.offsets.open_from IS 'Where the open range of the ledger begins; NULL where none is open. It ends at open_to.';
