-- What users are told by mail without asking: of sign-ins from new browsers, and of Tokens and quotas that come to an end.

-- The browsers that a user has signed in from.
CREATE TABLE devices (
    user_id       uuid        NOT NULL,
    -- SHA-256 of a random cookie.
    device_hash   bytea       NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT devices_pkey PRIMARY KEY (user_id, device_hash),
    CONSTRAINT devices_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE,
    CONSTRAINT devices_device_hash_check CHECK (octet_length(device_hash) = 32)
);
CREATE INDEX devices_last_seen_at_idx ON devices (last_seen_at);

-- Who has none is told everything but of their balance.
CREATE TABLE notice_settings (
    user_id       uuid    NOT NULL,
    new_device    boolean NOT NULL,
    expiring      boolean NOT NULL,
    key_quota     boolean NOT NULL,
    -- Of each account that the user is an owner or admin of.
    balance_below bigint,
    CONSTRAINT notice_settings_pkey PRIMARY KEY (user_id),
    CONSTRAINT notice_settings_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE,
    CONSTRAINT notice_settings_balance_below_check CHECK (balance_below > 0)
);
CREATE INDEX notice_settings_balance_below_idx ON notice_settings (user_id) WHERE balance_below IS NOT NULL;

-- That a user was told of something, once while it lasts: the row goes when it is over, so that they are told if it comes again.
CREATE TABLE notices (
    user_id    uuid        NOT NULL,
    kind       text        NOT NULL,
    -- An account, a grant or a key, as its kind says.
    subject_id uuid        NOT NULL,
    told_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT notices_pkey PRIMARY KEY (user_id, kind, subject_id),
    CONSTRAINT notices_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE,
    CONSTRAINT notices_kind_check CHECK (kind IN ('balance', 'expires_week', 'expires_day', 'key_quota', 'key_period'))
);
CREATE INDEX notices_kind_idx ON notices (kind, told_at);

-- Keys that can come near a quota. No call changes any of these columns.
CREATE INDEX api_keys_quota_idx ON api_keys (key_id) WHERE deleted_at IS NULL AND (quota > 0 OR period_quota > 0);
