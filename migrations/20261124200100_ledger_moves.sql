-- Tokens that change hands without being spent: taken back by an operator, transferred between accounts, rolled over at renewal.
-- Each is one entry of the ledger.

-- A move goes from one grant to another: `account_id` and `grant_id` give, `to_account_id` and `to_grant_id` receive. It changes what
-- both were granted, so that granted = spent + held + left + expired + refunded stays true of either.
ALTER TABLE ledger
    ADD COLUMN to_account_id uuid,
    ADD COLUMN to_grant_id uuid,
    ADD CONSTRAINT ledger_to_grant_id_fkey FOREIGN KEY (to_grant_id) REFERENCES grants (grant_id),
    DROP CONSTRAINT ledger_books_check,
    ADD CONSTRAINT ledger_books_check CHECK ((from_book, to_book) IN
        (('issued', 'grant'), ('grant', 'spent'), ('grant', 'expired'), ('grant', 'refunded'), ('grant', 'grant'))),
    ADD CONSTRAINT ledger_move_check CHECK (
        ((from_book, to_book) = ('grant', 'grant')) = (to_grant_id IS NOT NULL)
        AND (to_grant_id IS NULL) = (to_account_id IS NULL)
        AND to_grant_id IS DISTINCT FROM grant_id);
CREATE INDEX ledger_to_account_id_idx ON ledger (to_account_id, entry_id DESC) WHERE to_account_id IS NOT NULL;
CREATE INDEX ledger_to_grant_id_idx ON ledger (to_grant_id) WHERE to_grant_id IS NOT NULL;

ALTER TABLE grants
    -- A grant that gave everything away was granted nothing.
    DROP CONSTRAINT grants_tokens_check,
    ADD CONSTRAINT grants_tokens_check CHECK (tokens >= 0),
    DROP CONSTRAINT grants_source_check,
    ADD CONSTRAINT grants_source_check CHECK (source IN ('order', 'credit', 'code', 'transfer')),
    DROP CONSTRAINT grants_cause_check,
    ADD CONSTRAINT grants_cause_check CHECK (
        (source = 'order') = (order_id IS NOT NULL) AND (source NOT IN ('credit', 'transfer') OR action_id IS NOT NULL));

-- Whether buying the package again takes over what is left of the last one.
ALTER TABLE packages ADD COLUMN rolls_over boolean NOT NULL DEFAULT false;
ALTER TABLE orders ADD COLUMN rolls_over boolean NOT NULL DEFAULT false;

CREATE OR REPLACE FUNCTION orders_keep_the_copy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.order_id, NEW.account_id, NEW.user_id, NEW.package_id, NEW.package_name, NEW.tokens, NEW.price_minor, NEW.currency,
        NEW.valid_for_s, NEW.scope_supplier_ids, NEW.scope_model_ids, NEW.rolls_over, NEW.form_key, NEW.provider, NEW.created_at)
       IS DISTINCT FROM
       (OLD.order_id, OLD.account_id, OLD.user_id, OLD.package_id, OLD.package_name, OLD.tokens, OLD.price_minor, OLD.currency,
        OLD.valid_for_s, OLD.scope_supplier_ids, OLD.scope_model_ids, OLD.rolls_over, OLD.form_key, OLD.provider, OLD.created_at)
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

-- Append-only by role too: not even the owner of the table changes an entry without first granting itself the right. (A superuser
-- passes any right; `toki` needs none, and the trigger stops it all the same.)
REVOKE UPDATE, DELETE, TRUNCATE ON ledger FROM CURRENT_USER;

-- The nightly self-check: one a day, whichever replica begins it.
CREATE TABLE audit_runs (
    day            date        NOT NULL,
    started_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at    timestamptz,
    ledger_entries bigint,
    differences    bigint,
    -- The first of them, in words.
    examples       text[]      NOT NULL DEFAULT '{}',
    CONSTRAINT audit_runs_pkey PRIMARY KEY (day),
    CONSTRAINT audit_runs_finished_check CHECK ((finished_at IS NULL) = (differences IS NULL)),
    CONSTRAINT audit_runs_differences_check CHECK (differences >= 0)
);
