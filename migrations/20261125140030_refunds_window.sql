-- Customers may give the unused part of a purchase back themselves, within the time that its package says.

ALTER TABLE packages
    -- From the payment on; empty = only an operator refunds it.
    ADD COLUMN refund_window_s bigint,
    ADD CONSTRAINT packages_refund_window_s_check CHECK (refund_window_s BETWEEN 60 AND 3650::bigint * 86400);

ALTER TABLE orders
    ADD COLUMN refund_window_s bigint,
    ADD CONSTRAINT orders_refund_window_s_check CHECK (refund_window_s > 0);

CREATE OR REPLACE FUNCTION orders_keep_the_choice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.starts, NEW.refund_window_s) IS DISTINCT FROM (OLD.starts, OLD.refund_window_s) THEN
        RAISE EXCEPTION 'what an order was confirmed with cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

ALTER TABLE refunds
    -- The customer who asked for it; empty = an operator did, or somebody at the provider.
    ADD COLUMN user_id uuid,
    -- Made with the page that was confirmed: the same form posted twice is the same refund.
    ADD COLUMN form_key uuid,
    ADD CONSTRAINT refunds_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (user_id),
    ADD CONSTRAINT refunds_order_id_form_key_key UNIQUE (order_id, form_key),
    ADD CONSTRAINT refunds_asked_by_check CHECK ((user_id IS NULL) = (form_key IS NULL) AND (user_id IS NULL OR action_id IS NULL));
