-- Codes: one that is worth Tokens, redeemed into a wallet; or one that is worth a part of the price, taken off an order.

CREATE TABLE codes (
    code_id            uuid        NOT NULL,
    -- HMAC-SHA256 of the code under a key that is not in the database.
    code_hash          bytea       NOT NULL,
    code_hint          text        NOT NULL,
    -- The operator's deed that made it, with who and why; all codes of one deed are a batch.
    batch_id           uuid        NOT NULL,
    kind               text        NOT NULL,
    -- Of a redemption code: the grant that it is worth.
    tokens             bigint,
    valid_for_s        bigint,
    scope_supplier_ids uuid[]      NOT NULL DEFAULT '{}',
    scope_model_ids    text[]      NOT NULL DEFAULT '{}',
    -- Of a promotion code: what it takes off, one or the other, and on which packages; empty = on all.
    percent_off        integer,
    amount_off_minor   bigint,
    currency           text,
    package_ids        uuid[]      NOT NULL DEFAULT '{}',
    uses               integer     NOT NULL,
    used               integer     NOT NULL DEFAULT 0,
    expires_at         timestamptz,
    disabled_at        timestamptz,
    -- For the customer, in the wallet.
    note               text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT codes_pkey PRIMARY KEY (code_id),
    CONSTRAINT codes_code_hash_key UNIQUE (code_hash),
    CONSTRAINT codes_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES operator_actions (action_id),
    CONSTRAINT codes_code_hash_check CHECK (octet_length(code_hash) = 32),
    CONSTRAINT codes_uses_check CHECK (uses > 0),
    CONSTRAINT codes_used_check CHECK (used BETWEEN 0 AND uses),
    CONSTRAINT codes_kind_check CHECK (kind IN ('redemption', 'promotion')),
    CONSTRAINT codes_redemption_check CHECK (
        (kind = 'redemption') = (tokens IS NOT NULL AND valid_for_s IS NOT NULL)
        AND (kind = 'redemption' OR (tokens IS NULL AND valid_for_s IS NULL AND scope_supplier_ids = '{}' AND scope_model_ids = '{}'))),
    CONSTRAINT codes_promotion_check CHECK (
        (kind = 'promotion') = (num_nonnulls(percent_off, amount_off_minor) = 1)
        AND (amount_off_minor IS NULL OR currency IS NOT NULL)
        AND (kind = 'promotion' OR (currency IS NULL AND package_ids = '{}'))),
    CONSTRAINT codes_tokens_check CHECK (tokens BETWEEN 1 AND 1000000000000000),
    CONSTRAINT codes_valid_for_s_check CHECK (valid_for_s BETWEEN 60 AND 3650::bigint * 86400),
    -- What costs nothing is no order: that is what redemption codes are for.
    CONSTRAINT codes_percent_off_check CHECK (percent_off BETWEEN 1 AND 99),
    CONSTRAINT codes_amount_off_minor_check CHECK (amount_off_minor > 0),
    CONSTRAINT codes_currency_check CHECK (currency ~ '^[a-z]{3}$'),
    CONSTRAINT codes_note_check CHECK (length(note) BETWEEN 1 AND 200)
);
CREATE INDEX codes_batch_id_idx ON codes (batch_id);

CREATE FUNCTION codes_keep_their_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - ARRAY['used', 'disabled_at'] IS DISTINCT FROM to_jsonb(OLD) - ARRAY['used', 'disabled_at'] THEN
        RAISE EXCEPTION 'what a code is worth cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER codes_keep_their_terms BEFORE UPDATE ON codes FOR EACH ROW EXECUTE FUNCTION codes_keep_their_terms();

-- A use of a code. One an account, for good; but an order that comes to nothing gives its use back.
CREATE TABLE code_redemptions (
    redemption_id uuid        NOT NULL,
    code_id       uuid        NOT NULL,
    account_id    uuid        NOT NULL,
    user_id       uuid        NOT NULL,
    -- Whose price a promotion code is taken off.
    order_id      uuid,
    redeemed_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT code_redemptions_pkey PRIMARY KEY (code_id, account_id),
    CONSTRAINT code_redemptions_redemption_id_key UNIQUE (redemption_id),
    CONSTRAINT code_redemptions_order_id_key UNIQUE (order_id),
    CONSTRAINT code_redemptions_code_id_fkey FOREIGN KEY (code_id) REFERENCES codes (code_id),
    CONSTRAINT code_redemptions_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts (account_id),
    CONSTRAINT code_redemptions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (user_id),
    CONSTRAINT code_redemptions_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (order_id)
);

-- Tries to redeem that came to nothing, for an hour: who guesses has to wait.
CREATE TABLE code_tries (
    try_id     bigint      GENERATED ALWAYS AS IDENTITY,
    account_id uuid        NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT code_tries_pkey PRIMARY KEY (try_id),
    CONSTRAINT code_tries_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);
CREATE INDEX code_tries_account_id_idx ON code_tries (account_id, at);

-- Tokens that a code brought say so, and nothing else is issued without a cause.
ALTER TABLE grants
    ADD COLUMN redemption_id uuid,
    ADD CONSTRAINT grants_redemption_id_key UNIQUE (redemption_id),
    ADD CONSTRAINT grants_redemption_id_fkey FOREIGN KEY (redemption_id) REFERENCES code_redemptions (redemption_id),
    DROP CONSTRAINT grants_cause_check,
    ADD CONSTRAINT grants_cause_check CHECK (
        (source = 'order') = (order_id IS NOT NULL)
        AND (source = 'code') = (redemption_id IS NOT NULL)
        AND (source IN ('credit', 'transfer')) = (action_id IS NOT NULL));
ALTER TABLE ledger
    ADD COLUMN redemption_id uuid,
    ADD CONSTRAINT ledger_redemption_id_fkey FOREIGN KEY (redemption_id) REFERENCES code_redemptions (redemption_id),
    DROP CONSTRAINT ledger_cause_check,
    ADD CONSTRAINT ledger_cause_check CHECK (
        CASE
            WHEN from_book = 'issued' THEN num_nonnulls(order_id, action_id, redemption_id) = 1 AND request_id IS NULL
            WHEN to_book = 'spent' THEN request_id IS NOT NULL AND redemption_id IS NULL
            WHEN to_book = 'expired' THEN request_id IS NULL AND redemption_id IS NULL
            ELSE num_nonnulls(order_id, action_id) = 1 AND request_id IS NULL AND redemption_id IS NULL
        END);

-- What a promotion code took off: `price_minor` is what the customer pays, and both together are the price of the package.
ALTER TABLE orders
    ADD COLUMN code_id uuid,
    ADD COLUMN discount_minor bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT orders_code_id_fkey FOREIGN KEY (code_id) REFERENCES codes (code_id),
    ADD CONSTRAINT orders_discount_check CHECK (discount_minor >= 0 AND (discount_minor > 0) = (code_id IS NOT NULL));
CREATE INDEX orders_code_id_idx ON orders (code_id) WHERE code_id IS NOT NULL;

CREATE FUNCTION orders_keep_the_discount() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.code_id, NEW.discount_minor) IS DISTINCT FROM (OLD.code_id, OLD.discount_minor) THEN
        RAISE EXCEPTION 'what an order was confirmed with cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER orders_keep_the_discount BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION orders_keep_the_discount();

-- An order that comes to nothing gives the use of its code back, whoever moves it. Should its money come all the same, it buys at the
-- price that was paid, and the use stays given back.
CREATE FUNCTION give_code_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The code before its redemption, as whoever takes a use locks them.
    UPDATE codes c SET used = used - 1 FROM code_redemptions r WHERE r.order_id = NEW.order_id AND c.code_id = r.code_id;
    DELETE FROM code_redemptions WHERE order_id = NEW.order_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER order_transitions_give_code_back AFTER INSERT ON order_transitions FOR EACH ROW
    WHEN (NEW.to_status IN ('declined', 'expired', 'cancelled')) EXECUTE FUNCTION give_code_back();
