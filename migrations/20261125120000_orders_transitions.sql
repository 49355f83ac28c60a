-- Where an order stands, and how it came there. A row of order_transitions is the step itself: inserting one moves the order, and
-- nothing else does.

ALTER TABLE orders
    -- The provider's own id of the payment; known once it is paid.
    ADD COLUMN provider_payment_id text,
    -- Whether its session moves real money; empty = the provider did not say.
    ADD COLUMN livemode boolean,
    -- When the provider was last asked what became of it.
    ADD COLUMN asked_at timestamptz,
    DROP CONSTRAINT orders_status_check,
    ADD CONSTRAINT orders_status_check CHECK (status IN (
        'created', 'awaiting_payment', 'paid', 'fulfilled', 'declined', 'expired', 'cancelled', 'partly_refunded', 'refunded', 'disputed')),
    DROP CONSTRAINT orders_fulfilled_check,
    ADD CONSTRAINT orders_fulfilled_check CHECK (
        (status IN ('fulfilled', 'partly_refunded', 'refunded', 'disputed')) = (fulfilled_at IS NOT NULL));
CREATE INDEX orders_provider_payment_id_idx ON orders (provider, provider_payment_id) WHERE provider_payment_id IS NOT NULL;
CREATE INDEX orders_open_idx ON orders (created_at) WHERE status IN ('created', 'awaiting_payment');
-- Fulfilled before payments were noted, or told of without one.
CREATE INDEX orders_payment_unknown_idx ON orders (order_id) WHERE fulfilled_at IS NOT NULL AND provider_payment_id IS NULL;

CREATE TABLE order_transitions (
    transition_id bigint      GENERATED ALWAYS AS IDENTITY,
    order_id      uuid        NOT NULL,
    from_status   text        NOT NULL,
    to_status     text        NOT NULL,
    -- checkout: the customer came, or the provider answered at once; event: the provider told; reconciler: the provider was asked;
    -- refund: it answered a refund of ours; migration: before steps were recorded.
    cause         text        NOT NULL,
    provider      text,
    event_id      text,
    refund_id     uuid,
    at            timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT order_transitions_pkey PRIMARY KEY (transition_id),
    CONSTRAINT order_transitions_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (order_id),
    CONSTRAINT order_transitions_event_fkey FOREIGN KEY (provider, event_id) REFERENCES payment_events (provider, event_id),
    CONSTRAINT order_transitions_step_check CHECK ((from_status, to_status) IN (
        ('created', 'awaiting_payment'), ('created', 'expired'), ('created', 'cancelled'),
        ('awaiting_payment', 'paid'), ('awaiting_payment', 'declined'), ('awaiting_payment', 'expired'),
        -- Money that arrives late still buys.
        ('declined', 'paid'), ('expired', 'paid'),
        ('paid', 'fulfilled'),
        ('fulfilled', 'partly_refunded'), ('fulfilled', 'refunded'), ('fulfilled', 'disputed'),
        ('partly_refunded', 'refunded'), ('partly_refunded', 'disputed'), ('refunded', 'disputed'),
        -- A refund that failed, a dispute that was won.
        ('partly_refunded', 'fulfilled'), ('refunded', 'fulfilled'), ('refunded', 'partly_refunded'),
        ('disputed', 'fulfilled'), ('disputed', 'partly_refunded'), ('disputed', 'refunded'))),
    CONSTRAINT order_transitions_cause_check CHECK (
        cause IN ('checkout', 'event', 'reconciler', 'refund', 'migration')
        AND (cause = 'event') = (event_id IS NOT NULL) AND (event_id IS NULL) = (provider IS NULL)
        AND (cause = 'refund') = (refund_id IS NOT NULL))
);
CREATE INDEX order_transitions_order_id_idx ON order_transitions (order_id, transition_id);
CREATE TRIGGER order_transitions_append_only BEFORE UPDATE OR DELETE ON order_transitions FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER order_transitions_no_truncate BEFORE TRUNCATE ON order_transitions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The orders of before, as they must have come to where they are.
INSERT INTO order_transitions (order_id, from_status, to_status, cause, at)
SELECT o.order_id, s.from_status, s.to_status, 'migration', s.at
  FROM orders o
 CROSS JOIN LATERAL (VALUES
       (1, 'created', 'awaiting_payment', o.created_at, o.provider_session_id IS NOT NULL),
       (2, 'awaiting_payment', 'paid', o.fulfilled_at, o.status = 'fulfilled'),
       (3, 'paid', 'fulfilled', o.fulfilled_at, o.status = 'fulfilled'),
       (4, CASE WHEN o.provider_session_id IS NULL THEN 'created' ELSE 'awaiting_payment' END, o.status, o.closed_at,
           o.status IN ('declined', 'expired', 'cancelled'))) AS s (place, from_status, to_status, at, happened)
 WHERE s.happened
 ORDER BY o.created_at, o.order_id, s.place;

CREATE FUNCTION move_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE orders SET status = NEW.to_status,
                      fulfilled_at = CASE WHEN NEW.to_status = 'fulfilled' THEN coalesce(fulfilled_at, NEW.at) ELSE fulfilled_at END,
                      closed_at = CASE WHEN NEW.to_status IN ('declined', 'expired', 'cancelled') THEN NEW.at END
     WHERE order_id = NEW.order_id AND status = NEW.from_status;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'order % is not %', NEW.order_id, NEW.from_status USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER order_transitions_move_order AFTER INSERT ON order_transitions FOR EACH ROW EXECUTE FUNCTION move_order();

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
    -- At depth 1 nobody's trigger is at work, so no transition either.
    IF NEW.status <> OLD.status AND pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'an order is moved by its transitions only' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE FUNCTION orders_begin_created() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> 'created' THEN
        RAISE EXCEPTION 'an order begins as created' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER orders_begin_created BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION orders_begin_created();
