-- The account log: what happened in an account, who did it, from where. One row in the transaction of its cause, never changed.

CREATE TABLE journal (
    entry_id   uuid        NOT NULL,
    account_id uuid        NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    -- Its group, then what: `key.created`.
    kind       text        NOT NULL,
    actor      text        NOT NULL,
    -- Who acted: a user of the account, or the operator, none for one at the command line.
    user_id    uuid,
    address    text,
    -- Browser and system, in words of ours.
    device     text,
    -- The key, order or user that it is about, and its name at that time.
    subject_id uuid,
    name       text,
    -- More, in words of ours.
    detail     text,
    CONSTRAINT journal_pkey PRIMARY KEY (entry_id),
    CONSTRAINT journal_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts (account_id),
    CONSTRAINT journal_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (user_id),
    CONSTRAINT journal_kind_check CHECK (kind ~ '^[a-z_]{1,30}\.[a-z_]{1,40}$'),
    CONSTRAINT journal_actor_check CHECK (
        CASE actor WHEN 'user' THEN user_id IS NOT NULL WHEN 'operator' THEN true WHEN 'system' THEN user_id IS NULL ELSE false END),
    CONSTRAINT journal_address_check CHECK (length(address) <= 45),
    CONSTRAINT journal_device_check CHECK (length(device) <= 100),
    CONSTRAINT journal_name_check CHECK (length(name) <= 254),
    CONSTRAINT journal_detail_check CHECK (length(detail) <= 500)
);
CREATE INDEX journal_account_id_idx ON journal (account_id, entry_id DESC);
CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE ON journal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_no_truncate BEFORE TRUNCATE ON journal FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- As of the ledger: not even the owner of the table changes an entry without first granting itself the right.
REVOKE UPDATE, DELETE, TRUNCATE ON journal FROM CURRENT_USER;
