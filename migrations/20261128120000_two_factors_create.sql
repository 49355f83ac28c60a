-- The second factor of users who have one: what an authenticator knows too, and codes for whoever lost it.

CREATE TABLE two_factors (
    user_id      uuid        NOT NULL,
    -- The seed of the codes (RFC 6238), sealed for this row and column.
    seed_sealed  bytea       NOT NULL,
    -- The last 30 seconds whose code was accepted: none is accepted twice.
    last_step    bigint      NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- When its first code was typed. It counts for nothing before.
    confirmed_at timestamptz,
    CONSTRAINT two_factors_pkey PRIMARY KEY (user_id),
    CONSTRAINT two_factors_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE,
    CONSTRAINT two_factors_last_step_check CHECK (last_step >= 0)
);

CREATE TABLE recovery_codes (
    user_id    uuid        NOT NULL,
    -- HMAC-SHA256: a copy of this table recovers nothing.
    code_hash  bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT recovery_codes_pkey PRIMARY KEY (user_id, code_hash),
    CONSTRAINT recovery_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES two_factors (user_id) ON DELETE CASCADE,
    CONSTRAINT recovery_codes_code_hash_check CHECK (octet_length(code_hash) = 32)
);

-- A use is a row, so that no code is used twice, whoever tries at the same time.
CREATE TABLE recovery_code_uses (
    user_id   uuid        NOT NULL,
    code_hash bytea       NOT NULL,
    used_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT recovery_code_uses_pkey PRIMARY KEY (user_id, code_hash),
    CONSTRAINT recovery_code_uses_code_fkey FOREIGN KEY (user_id, code_hash)
        REFERENCES recovery_codes (user_id, code_hash) ON DELETE CASCADE
);
