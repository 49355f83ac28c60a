-- What API keys, codes and recovery codes are hashed with. A hash cannot be made anew without what it is of, so this key stays when
-- TOKI_SECRET_KEY changes: it is sealed with that, and only sealed anew.
CREATE TABLE hash_keys (
    hash_key_id uuid        NOT NULL,
    key_sealed  bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT hash_keys_pkey PRIMARY KEY (hash_key_id),
    -- There is one, whoever starts first.
    CONSTRAINT hash_keys_id_check CHECK (hash_key_id = '00000000-0000-0000-0000-000000000000')
);
