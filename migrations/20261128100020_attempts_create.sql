-- How often something was tried, on all replicas together.

CREATE TABLE attempts (
    -- SHA-256 of what is tried, by whom, from where.
    attempt_hash bytea       NOT NULL,
    -- When none of what was tried counts any more (GCRA); of a trust, when it ends.
    free_at      timestamptz NOT NULL,
    CONSTRAINT attempts_pkey PRIMARY KEY (attempt_hash),
    CONSTRAINT attempts_attempt_hash_check CHECK (octet_length(attempt_hash) = 32)
);
CREATE INDEX attempts_free_at_idx ON attempts (free_at);
