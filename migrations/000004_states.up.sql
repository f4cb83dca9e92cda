-- A partition is reading, waiting or stopped. `stopped` holds the reason of both of the latter; the command that decides has
-- a column of its own, so that nobody has to look for it in a text.
ALTER TABLE sinker.offsets ADD COLUMN waiting boolean NOT NULL DEFAULT false, ADD COLUMN command text;

COMMENT ON COLUMN sinker.offsets.stopped IS 'Why the partition is not read; NULL while it is.';
COMMENT ON COLUMN sinker.offsets.waiting IS 'Whether the reason may pass by itself, so that sinker tries again; otherwise an operator decides.';
COMMENT ON COLUMN sinker.offsets.command IS 'The command that decides about a stopped partition.';
