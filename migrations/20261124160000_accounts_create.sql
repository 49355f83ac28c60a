-- Users sign in; accounts own wallets, orders and keys; members tie the two together.
-- Conventions of this schema, here once: every constraint and index carries a name of ours (errors are told apart by it),
-- ids are UUIDv7 made by the application, times are timestamptz, Tokens are bigint, money is minor units plus an ISO 4217 code.

CREATE TABLE users (
    user_id       uuid        NOT NULL,
    -- Parsed and lower-cased by the application (accounts::types::Email), so plain uniqueness is enough.
    email         text        NOT NULL,
    password_hash text        NOT NULL,
    operator      boolean     NOT NULL DEFAULT false,
    suspended_at  timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_pkey PRIMARY KEY (user_id),
    CONSTRAINT users_email_key UNIQUE (email),
    CONSTRAINT users_email_check CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 254)
);

CREATE TABLE accounts (
    account_id   uuid        NOT NULL,
    name         text        NOT NULL,
    suspended_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_pkey PRIMARY KEY (account_id),
    CONSTRAINT accounts_name_check CHECK (length(name) BETWEEN 1 AND 254)
);

CREATE TABLE members (
    account_id uuid        NOT NULL,
    user_id    uuid        NOT NULL,
    role       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT members_pkey PRIMARY KEY (account_id, user_id),
    CONSTRAINT members_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts (account_id),
    CONSTRAINT members_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (user_id),
    CONSTRAINT members_role_check CHECK (role IN ('owner', 'admin', 'member', 'read_only'))
);
CREATE INDEX members_user_id_idx ON members (user_id);

CREATE TABLE sessions (
    -- SHA-256 of the id in the cookie: a copy of this table signs nobody in.
    session_hash bytea       NOT NULL,
    user_id      uuid,
    data         jsonb       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    CONSTRAINT sessions_pkey PRIMARY KEY (session_hash),
    CONSTRAINT sessions_session_hash_check CHECK (octet_length(session_hash) = 32),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);
