-- What the Product Center sells, what was bought, and what the payment provider told us about it.

CREATE TABLE packages (
    package_id         uuid        NOT NULL,
    name               text        NOT NULL,
    tokens             bigint      NOT NULL,
    price_minor        bigint      NOT NULL,
    currency           text        NOT NULL,
    valid_for_s        bigint      NOT NULL,
    -- Empty = usable on every supplier, or every model.
    scope_supplier_ids uuid[]      NOT NULL DEFAULT '{}',
    scope_model_ids    text[]      NOT NULL DEFAULT '{}',
    -- Most orders of one account; empty = as many as it likes.
    purchase_limit     integer,
    status             text        NOT NULL DEFAULT 'on_sale',
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT packages_pkey PRIMARY KEY (package_id),
    CONSTRAINT packages_name_key UNIQUE (name),
    CONSTRAINT packages_name_check CHECK (length(name) BETWEEN 1 AND 100),
    CONSTRAINT packages_tokens_check CHECK (tokens BETWEEN 1 AND 1000000000000000),
    CONSTRAINT packages_price_minor_check CHECK (price_minor BETWEEN 0 AND 100000000000),
    CONSTRAINT packages_currency_check CHECK (currency ~ '^[a-z]{3}$'),
    CONSTRAINT packages_valid_for_s_check CHECK (valid_for_s BETWEEN 60 AND 3650::bigint * 86400),
    CONSTRAINT packages_purchase_limit_check CHECK (purchase_limit > 0),
    CONSTRAINT packages_status_check CHECK (status IN ('on_sale', 'disabled'))
);

CREATE TABLE orders (
    order_id            uuid        NOT NULL,
    account_id          uuid        NOT NULL,
    user_id             uuid        NOT NULL,
    package_id          uuid        NOT NULL,
    -- The package as it was confirmed. A later edit of the package never reaches an order.
    package_name        text        NOT NULL,
    tokens              bigint      NOT NULL,
    price_minor         bigint      NOT NULL,
    currency            text        NOT NULL,
    valid_for_s         bigint      NOT NULL,
    scope_supplier_ids  uuid[]      NOT NULL,
    scope_model_ids     text[]      NOT NULL,
    status              text        NOT NULL DEFAULT 'created',
    -- Made with the confirm page: the same form posted twice is the same order.
    form_key            uuid        NOT NULL,
    provider            text        NOT NULL,
    provider_session_id text,
    checkout_url        text,
    created_at          timestamptz NOT NULL DEFAULT now(),
    fulfilled_at        timestamptz,
    closed_at           timestamptz,
    CONSTRAINT orders_pkey PRIMARY KEY (order_id),
    CONSTRAINT orders_account_id_form_key_key UNIQUE (account_id, form_key),
    CONSTRAINT orders_provider_session_id_key UNIQUE (provider, provider_session_id),
    CONSTRAINT orders_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts (account_id),
    CONSTRAINT orders_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (user_id),
    CONSTRAINT orders_package_id_fkey FOREIGN KEY (package_id) REFERENCES packages (package_id),
    CONSTRAINT orders_tokens_check CHECK (tokens > 0),
    CONSTRAINT orders_price_minor_check CHECK (price_minor >= 0),
    CONSTRAINT orders_currency_check CHECK (currency ~ '^[a-z]{3}$'),
    CONSTRAINT orders_valid_for_s_check CHECK (valid_for_s > 0),
    CONSTRAINT orders_provider_check CHECK (provider IN ('stripe', 'sandbox')),
    CONSTRAINT orders_status_check CHECK (status IN ('created', 'awaiting_payment', 'fulfilled', 'declined', 'expired', 'cancelled')),
    CONSTRAINT orders_awaiting_payment_check CHECK (status <> 'awaiting_payment' OR (provider_session_id IS NOT NULL AND checkout_url IS NOT NULL)),
    CONSTRAINT orders_fulfilled_check CHECK ((status = 'fulfilled') = (fulfilled_at IS NOT NULL)),
    CONSTRAINT orders_closed_check CHECK ((status IN ('declined', 'expired', 'cancelled')) = (closed_at IS NOT NULL))
);
CREATE INDEX orders_account_id_created_at_idx ON orders (account_id, created_at DESC);

CREATE FUNCTION orders_keep_the_copy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.order_id, NEW.account_id, NEW.user_id, NEW.package_id, NEW.package_name, NEW.tokens, NEW.price_minor, NEW.currency,
        NEW.valid_for_s, NEW.scope_supplier_ids, NEW.scope_model_ids, NEW.form_key, NEW.provider, NEW.created_at)
       IS DISTINCT FROM
       (OLD.order_id, OLD.account_id, OLD.user_id, OLD.package_id, OLD.package_name, OLD.tokens, OLD.price_minor, OLD.currency,
        OLD.valid_for_s, OLD.scope_supplier_ids, OLD.scope_model_ids, OLD.form_key, OLD.provider, OLD.created_at)
    THEN
        RAISE EXCEPTION 'what an order was confirmed with cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    -- Money that arrives late still buys: a closed order may be fulfilled, a fulfilled one never goes back.
    IF OLD.status = 'fulfilled' AND NEW.status <> 'fulfilled' THEN
        RAISE EXCEPTION 'a fulfilled order stays fulfilled' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER orders_keep_the_copy BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION orders_keep_the_copy();

-- Every verified event, as it came. What was done about it is a row of payment_event_outcomes, so that this one never changes.
CREATE TABLE payment_events (
    provider    text        NOT NULL,
    event_id    text        NOT NULL,
    event_type  text        NOT NULL,
    payload     jsonb       NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payment_events_pkey PRIMARY KEY (provider, event_id),
    CONSTRAINT payment_events_provider_check CHECK (provider IN ('stripe', 'sandbox'))
);
CREATE TRIGGER payment_events_append_only BEFORE UPDATE OR DELETE ON payment_events FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER payment_events_no_truncate BEFORE TRUNCATE ON payment_events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE payment_event_outcomes (
    outcome_id bigint      GENERATED ALWAYS AS IDENTITY,
    provider   text        NOT NULL,
    event_id   text        NOT NULL,
    outcome    text        NOT NULL,
    reason     text,
    order_id   uuid,
    decided_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payment_event_outcomes_pkey PRIMARY KEY (outcome_id),
    CONSTRAINT payment_event_outcomes_event_fkey FOREIGN KEY (provider, event_id) REFERENCES payment_events (provider, event_id),
    CONSTRAINT payment_event_outcomes_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (order_id),
    CONSTRAINT payment_event_outcomes_outcome_check CHECK (outcome IN ('fulfilled', 'already_fulfilled', 'closed', 'ignored', 'quarantined'))
);
CREATE INDEX payment_event_outcomes_event_idx ON payment_event_outcomes (provider, event_id);
CREATE TRIGGER payment_event_outcomes_append_only BEFORE UPDATE OR DELETE ON payment_event_outcomes FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER payment_event_outcomes_no_truncate BEFORE TRUNCATE ON payment_event_outcomes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What an operator did: who, to what, before, after, why. Written in the same transaction as the deed.
CREATE TABLE operator_actions (
    action_id     uuid        NOT NULL,
    -- Empty = the `toki` command line, whose operator is whoever may reach the database.
    actor_user_id uuid,
    action        text        NOT NULL,
    subject_id    text        NOT NULL,
    before        jsonb,
    after         jsonb,
    reason        text,
    at            timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT operator_actions_pkey PRIMARY KEY (action_id),
    CONSTRAINT operator_actions_actor_user_id_fkey FOREIGN KEY (actor_user_id) REFERENCES users (user_id)
);
CREATE INDEX operator_actions_subject_id_idx ON operator_actions (subject_id, at);
CREATE TRIGGER operator_actions_append_only BEFORE UPDATE OR DELETE ON operator_actions FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER operator_actions_no_truncate BEFORE TRUNCATE ON operator_actions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
