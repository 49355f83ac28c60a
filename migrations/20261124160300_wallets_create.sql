-- Keys, grants, holds, usage records and the ledger: the tables that every Token passes through.
-- The balances on grants and keys are derived data. The CHECKs make it impossible to store one that is negative, over-spent or
-- does not add up; `toki audit` recomputes all of them from the ledger.

CREATE TABLE api_keys (
    key_id      uuid        NOT NULL,
    account_id  uuid        NOT NULL,
    created_by  uuid        NOT NULL,
    name        text        NOT NULL,
    -- HMAC-SHA256 of the secret under a key that is not in the database.
    secret_hash bytea       NOT NULL,
    secret_hint text        NOT NULL,
    -- Empty = every supplier, chosen on purpose.
    supplier_id uuid,
    quota       bigint,
    spent       bigint      NOT NULL DEFAULT 0,
    held        bigint      NOT NULL DEFAULT 0,
    status      text        NOT NULL DEFAULT 'enabled',
    expires_at  timestamptz,
    last_used_at timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (key_id),
    CONSTRAINT api_keys_secret_hash_key UNIQUE (secret_hash),
    CONSTRAINT api_keys_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts (account_id),
    CONSTRAINT api_keys_created_by_fkey FOREIGN KEY (created_by) REFERENCES users (user_id),
    CONSTRAINT api_keys_supplier_id_fkey FOREIGN KEY (supplier_id) REFERENCES suppliers (supplier_id),
    CONSTRAINT api_keys_secret_hash_check CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT api_keys_name_check CHECK (length(name) BETWEEN 1 AND 100),
    CONSTRAINT api_keys_quota_check CHECK (quota >= 0),
    CONSTRAINT api_keys_spent_check CHECK (spent >= 0),
    CONSTRAINT api_keys_held_check CHECK (held >= 0),
    CONSTRAINT api_keys_within_quota_check CHECK (spent + held <= quota),
    CONSTRAINT api_keys_status_check CHECK (status IN ('enabled', 'disabled', 'deleted')),
    CONSTRAINT api_keys_deleted_check CHECK ((status = 'deleted') = (deleted_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX api_keys_account_id_idx ON api_keys (account_id, created_at DESC);

CREATE TABLE grants (
    grant_id           uuid        NOT NULL,
    account_id         uuid        NOT NULL,
    source             text        NOT NULL,
    order_id           uuid,
    action_id          uuid,
    -- tokens = left + held + spent + expired + refunded, always. `left_` is what no call holds.
    tokens             bigint      NOT NULL,
    left_              bigint      NOT NULL,
    held               bigint      NOT NULL DEFAULT 0,
    spent              bigint      NOT NULL DEFAULT 0,
    expired            bigint      NOT NULL DEFAULT 0,
    refunded           bigint      NOT NULL DEFAULT 0,
    scope_supplier_ids uuid[]      NOT NULL DEFAULT '{}',
    scope_model_ids    text[]      NOT NULL DEFAULT '{}',
    scoped             boolean     NOT NULL GENERATED ALWAYS AS (scope_supplier_ids <> '{}' OR scope_model_ids <> '{}') STORED,
    note               text,
    starts_at          timestamptz NOT NULL DEFAULT now(),
    expires_at         timestamptz NOT NULL,
    -- When the expiry job found nothing more to move. No decision depends on it.
    swept_at           timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT grants_pkey PRIMARY KEY (grant_id),
    CONSTRAINT grants_order_id_key UNIQUE (order_id),
    CONSTRAINT grants_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts (account_id),
    CONSTRAINT grants_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (order_id),
    CONSTRAINT grants_action_id_fkey FOREIGN KEY (action_id) REFERENCES operator_actions (action_id),
    CONSTRAINT grants_source_check CHECK (source IN ('order', 'credit', 'code')),
    CONSTRAINT grants_cause_check CHECK ((source = 'order') = (order_id IS NOT NULL) AND (source <> 'credit' OR action_id IS NOT NULL)),
    CONSTRAINT grants_tokens_check CHECK (tokens > 0),
    CONSTRAINT grants_left_check CHECK (left_ >= 0),
    CONSTRAINT grants_held_check CHECK (held >= 0),
    CONSTRAINT grants_spent_check CHECK (spent >= 0),
    CONSTRAINT grants_expired_check CHECK (expired >= 0),
    CONSTRAINT grants_refunded_check CHECK (refunded >= 0),
    CONSTRAINT grants_adds_up_check CHECK (tokens = left_ + held + spent + expired + refunded),
    CONSTRAINT grants_expires_at_check CHECK (expires_at > starts_at),
    CONSTRAINT grants_swept_check CHECK (swept_at IS NULL OR (left_ = 0 AND held = 0))
) WITH (fillfactor = 70);
-- No index of this table names a balance: an update of one then stays on its page (HOT), on the hottest rows we have.
CREATE INDEX grants_burn_order_idx ON grants (account_id, scoped DESC, expires_at, created_at, grant_id) WHERE swept_at IS NULL;
CREATE INDEX grants_account_id_idx ON grants (account_id, created_at DESC);
CREATE INDEX grants_expires_at_idx ON grants (expires_at) WHERE swept_at IS NULL;

-- A call in flight. Deleted by its settlement, or by the reaper after the deadline.
CREATE TABLE holds (
    request_id    uuid        NOT NULL,
    account_id    uuid        NOT NULL,
    key_id        uuid        NOT NULL,
    model_id      text        NOT NULL,
    supplier_id   uuid        NOT NULL,
    price_version integer     NOT NULL,
    endpoint      text        NOT NULL,
    streamed      boolean     NOT NULL,
    tokens        bigint      NOT NULL,
    -- The grants it draws on, in burn order, and how much of each: arrays, so that a call costs one row.
    grant_ids     uuid[]      NOT NULL,
    grant_tokens  bigint[]    NOT NULL,
    -- The replica that runs the call, and until when it need not be heard from.
    owner         uuid        NOT NULL,
    deadline      timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT holds_pkey PRIMARY KEY (request_id),
    CONSTRAINT holds_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_keys (key_id),
    CONSTRAINT holds_tokens_check CHECK (tokens >= 0),
    CONSTRAINT holds_lines_check CHECK (cardinality(grant_ids) = cardinality(grant_tokens))
) WITH (fillfactor = 70);
CREATE INDEX holds_deadline_idx ON holds (deadline);
CREATE INDEX holds_owner_idx ON holds (owner);
CREATE INDEX holds_key_id_idx ON holds (key_id);

-- One finished call. Never changed.
CREATE TABLE usage_records (
    request_id      uuid        NOT NULL,
    account_id      uuid        NOT NULL,
    key_id          uuid        NOT NULL,
    model_id        text        NOT NULL,
    supplier_id     uuid        NOT NULL,
    channel_id      uuid,
    price_version   integer     NOT NULL,
    endpoint        text        NOT NULL,
    streamed        boolean     NOT NULL,
    outcome         text        NOT NULL,
    basis           text        NOT NULL,
    http_status     integer     NOT NULL,
    input_tokens    bigint      NOT NULL,
    cached_tokens   bigint      NOT NULL,
    output_tokens   bigint      NOT NULL,
    held            bigint      NOT NULL,
    charge          bigint      NOT NULL,
    -- What the call cost beyond its hold: recorded, never taken.
    written_off     bigint      NOT NULL,
    upstream_usage  jsonb,
    started_at      timestamptz NOT NULL,
    first_byte_ms   bigint,
    latency_ms      bigint      NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT usage_records_pkey PRIMARY KEY (request_id),
    CONSTRAINT usage_records_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_keys (key_id),
    CONSTRAINT usage_records_outcome_check CHECK (outcome IN ('ok', 'upstream_error', 'upstream_timeout', 'upstream_cut', 'client_left', 'key_ended', 'interrupted')),
    CONSTRAINT usage_records_basis_check CHECK (basis IN ('measured', 'counted', 'waived')),
    CONSTRAINT usage_records_tokens_check CHECK (input_tokens >= 0 AND output_tokens >= 0 AND cached_tokens BETWEEN 0 AND input_tokens),
    CONSTRAINT usage_records_charge_check CHECK (charge >= 0 AND written_off >= 0 AND (basis <> 'waived' OR charge = 0))
);
CREATE INDEX usage_records_account_id_idx ON usage_records (account_id, started_at DESC, request_id);
CREATE INDEX usage_records_key_id_idx ON usage_records (key_id, started_at DESC);
CREATE TRIGGER usage_records_append_only BEFORE UPDATE OR DELETE ON usage_records FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER usage_records_no_truncate BEFORE TRUNCATE ON usage_records FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The ledger: one row moves Tokens from one book to another, so every entry is balanced by construction.
CREATE TABLE ledger (
    entry_id   bigint      GENERATED ALWAYS AS IDENTITY,
    account_id uuid        NOT NULL,
    grant_id   uuid        NOT NULL,
    from_book  text        NOT NULL,
    to_book    text        NOT NULL,
    tokens     bigint      NOT NULL,
    order_id   uuid,
    request_id uuid,
    action_id  uuid,
    at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ledger_pkey PRIMARY KEY (entry_id),
    CONSTRAINT ledger_grant_id_fkey FOREIGN KEY (grant_id) REFERENCES grants (grant_id),
    CONSTRAINT ledger_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (order_id),
    CONSTRAINT ledger_action_id_fkey FOREIGN KEY (action_id) REFERENCES operator_actions (action_id),
    CONSTRAINT ledger_tokens_check CHECK (tokens > 0),
    CONSTRAINT ledger_books_check CHECK ((from_book, to_book) IN (('issued', 'grant'), ('grant', 'spent'), ('grant', 'expired'), ('grant', 'refunded'))),
    CONSTRAINT ledger_cause_check CHECK (
        CASE to_book
            WHEN 'spent' THEN request_id IS NOT NULL
            WHEN 'expired' THEN request_id IS NULL
            ELSE order_id IS NOT NULL OR action_id IS NOT NULL
        END)
);
CREATE UNIQUE INDEX ledger_issued_once_key ON ledger (grant_id) WHERE from_book = 'issued';
CREATE UNIQUE INDEX ledger_spent_once_key ON ledger (request_id, grant_id) WHERE to_book = 'spent';
CREATE INDEX ledger_account_id_idx ON ledger (account_id, entry_id DESC);
CREATE INDEX ledger_grant_id_idx ON ledger (grant_id);
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON ledger FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
