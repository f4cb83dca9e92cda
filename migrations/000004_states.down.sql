-- Lost: which partitions wait by themselves, and the command that decides about a stopped one; the reasons stay
ALTER TABLE sinker.offsets DROP COLUMN waiting, DROP COLUMN command;

COMMENT ON COLUMN sinker.offsets.stopped IS 'Why the partition is stopped; NULL while it is not.';
