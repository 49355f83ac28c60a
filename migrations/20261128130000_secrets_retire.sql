-- Secrets that a key had before it was given a new one, for as long as they still work. A call with one is decided on like any other, by
-- its key: only who looks the key up asks here, and only after no key was found.
CREATE TABLE retired_secrets (
    secret_hash bytea       NOT NULL,
    key_id      uuid        NOT NULL,
    retired_at  timestamptz NOT NULL DEFAULT now(),
    valid_until timestamptz NOT NULL,
    CONSTRAINT retired_secrets_pkey PRIMARY KEY (secret_hash),
    CONSTRAINT retired_secrets_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_keys (key_id),
    CONSTRAINT retired_secrets_hash_check CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT retired_secrets_valid_until_check CHECK (valid_until >= retired_at)
);
CREATE INDEX retired_secrets_key_id_idx ON retired_secrets (key_id);
