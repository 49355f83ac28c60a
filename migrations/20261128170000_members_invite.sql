-- Accounts of several people: who is invited, and that somebody always owns.

-- When its user last chose to act for this account: where a new session begins.
ALTER TABLE members ADD COLUMN chosen_at timestamptz NOT NULL DEFAULT clock_timestamp();

-- One owner an account.
CREATE UNIQUE INDEX members_owner_key ON members (account_id) WHERE role = 'owner';

-- Checked when a transaction ends, so that ownership can change hands within one.
CREATE FUNCTION members_keep_an_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM members WHERE account_id = OLD.account_id AND role = 'owner') THEN
        RAISE EXCEPTION 'an account has an owner' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER members_owner_left AFTER UPDATE OF role OR DELETE ON members DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION members_keep_an_owner();

CREATE TABLE invitations (
    invitation_id uuid        NOT NULL,
    account_id    uuid        NOT NULL,
    -- Whom the mail with the link was sent to: nobody else may use it.
    email         text        NOT NULL,
    role          text        NOT NULL,
    invited_by    uuid        NOT NULL,
    -- SHA-256 of the token in the link.
    token_hash    bytea       NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    CONSTRAINT invitations_pkey PRIMARY KEY (invitation_id),
    -- Another invitation of the same address replaces the one before.
    CONSTRAINT invitations_email_key UNIQUE (account_id, email),
    CONSTRAINT invitations_token_hash_key UNIQUE (token_hash),
    CONSTRAINT invitations_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts (account_id),
    CONSTRAINT invitations_invited_by_fkey FOREIGN KEY (invited_by) REFERENCES users (user_id),
    CONSTRAINT invitations_email_check CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 254),
    CONSTRAINT invitations_role_check CHECK (role IN ('admin', 'member', 'read_only')),
    CONSTRAINT invitations_token_hash_check CHECK (octet_length(token_hash) = 32)
);
CREATE INDEX invitations_expires_at_idx ON invitations (expires_at);
