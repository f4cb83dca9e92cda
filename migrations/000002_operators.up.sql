-- What an operator changes about positions is written down in the transaction that changes them.
CREATE TABLE sinker.audit (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT now(),
    pipeline      text        NOT NULL,
    topic         text        NOT NULL,
    partition     integer     NOT NULL,
    action        text        NOT NULL,
    from_offset   bigint,
    to_offset     bigint      NOT NULL,
    old_log       text,
    new_log       text,
    fence         bigint      NOT NULL,
    by_role       text        NOT NULL DEFAULT current_user,
    by_client     text,
    note          text
);

COMMENT ON TABLE sinker.audit IS 'Changes of positions by hand (sinker offsets set, adopt, reset).';
