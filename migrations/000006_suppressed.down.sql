-- Lost: how many rows the tables' triggers took away; written counts them again as if they were there
UPDATE sinker.dead_letters SET record_timestamp = 'epoch' WHERE record_timestamp IS NULL;
ALTER TABLE sinker.dead_letters ALTER COLUMN record_timestamp SET NOT NULL;
COMMENT ON COLUMN sinker.dead_letters.record_timestamp IS NULL;

DROP VIEW sinker.ledger;
ALTER TABLE sinker.batches DROP COLUMN suppressed;
ALTER TABLE sinker.offsets DROP COLUMN suppressed, DROP COLUMN open_suppressed;
CREATE VIEW sinker.ledger AS
    SELECT pipeline, topic, partition, from_offset, to_offset, records, written, filtered, dead, bytes, checksum, config_hash, owner, fence,
           began_at, committed_at, false AS open
    FROM sinker.batches
    UNION ALL
    SELECT pipeline, topic, partition, open_from, open_to, open_written + open_filtered + open_dead, open_written, open_filtered, open_dead,
           open_bytes, open_checksum, open_hash, open_owner, open_fence, open_since, open_at, true
    FROM sinker.offsets WHERE open_from IS NOT NULL;
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
