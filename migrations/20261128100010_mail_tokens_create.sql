-- What a link in a mail proves: whoever has it reads that mailbox.

-- Who signed up by a confirmed link, confirmed later, or was made by an operator, has this.
ALTER TABLE users ADD COLUMN email_verified_at timestamptz;

CREATE TABLE mail_tokens (
    -- SHA-256 of the token in the link: a copy of this table opens nothing.
    token_hash    bytea       NOT NULL,
    purpose       text        NOT NULL,
    -- Whose it is; nobody's while a sign-up waits, which makes its user when the link is used.
    user_id       uuid,
    -- The mailbox that the link was sent to.
    email         text        NOT NULL,
    -- Of a sign-up: what its user is to be, and by what its own browser is recognised.
    sign_up_id    uuid,
    password_hash text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz,
    CONSTRAINT mail_tokens_pkey PRIMARY KEY (token_hash),
    CONSTRAINT mail_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE,
    CONSTRAINT mail_tokens_token_hash_check CHECK (octet_length(token_hash) = 32),
    CONSTRAINT mail_tokens_purpose_check CHECK (purpose IN ('sign_up', 'verify', 'change_email', 'reset')),
    CONSTRAINT mail_tokens_email_check CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 254),
    CONSTRAINT mail_tokens_sign_up_check CHECK (
        (purpose = 'sign_up') = (user_id IS NULL) AND (purpose = 'sign_up') = (sign_up_id IS NOT NULL)
        AND (purpose = 'sign_up') = (password_hash IS NOT NULL))
);
-- A new link of a kind replaces the one before it.
CREATE UNIQUE INDEX mail_tokens_live_key ON mail_tokens (user_id, purpose) WHERE used_at IS NULL;
CREATE INDEX mail_tokens_expires_at_idx ON mail_tokens (expires_at);
