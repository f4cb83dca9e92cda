-- The ledger: one row for every range that was committed, written in its transaction. The ranges of a partition tile
-- [start_offset, next_offset) without gap or overlap, but for what sinker.audit explains and what was pruned.
CREATE TABLE sinker.batches (
    pipeline     text        NOT NULL,
    topic        text        NOT NULL,
    partition    integer     NOT NULL,
    from_offset  bigint      NOT NULL,
    to_offset    bigint      NOT NULL CHECK (to_offset > from_offset),
    records      bigint      NOT NULL,
    written      bigint      NOT NULL,
    filtered     bigint      NOT NULL,
    dead         bigint      NOT NULL,
    bytes        bigint      NOT NULL,
    checksum     bigint      NOT NULL,
    config_hash  text,
    owner        text,
    fence        bigint      NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now()
);
-- Ranges come in offset order for each partition and in time order for all: a small index finds a partition's, and a
-- block range index the old ones to prune.
CREATE INDEX batches_place ON sinker.batches (pipeline, topic, partition, from_offset);
CREATE INDEX batches_time ON sinker.batches USING brin (committed_at);

COMMENT ON TABLE sinker.batches IS 'The ledger: one row a committed range. `sinker verify` holds it against Kafka; old rows are pruned.';
COMMENT ON COLUMN sinker.batches.bytes IS 'Of the records'' keys and values.';
COMMENT ON COLUMN sinker.batches.checksum IS 'Of the records'' offsets, keys and values, in order.';
