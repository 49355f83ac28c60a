-- Orders that are cancelled while nobody has paid them, payments that a bank is still working on, and requests that the provider
-- answers with the same failure for a day.

ALTER TABLE orders
    -- When the provider said that the customer has paid by a method that takes days; empty = it has not.
    ADD COLUMN payment_begun_at timestamptz,
    -- Part of the key under which its checkout is opened. Another, after an answer that the provider would give again to the same key.
    ADD COLUMN attempt integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT orders_attempt_check CHECK (attempt >= 0);

ALTER TABLE payment_customers
    ADD COLUMN attempt integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT payment_customers_attempt_check CHECK (attempt >= 0);

ALTER TABLE order_transitions
    DROP CONSTRAINT order_transitions_step_check,
    ADD CONSTRAINT order_transitions_step_check CHECK ((from_status, to_status) IN (
        ('created', 'awaiting_payment'), ('created', 'expired'), ('created', 'cancelled'),
        ('awaiting_payment', 'paid'), ('awaiting_payment', 'declined'), ('awaiting_payment', 'expired'), ('awaiting_payment', 'cancelled'),
        -- Money that arrives late still buys.
        ('declined', 'paid'), ('expired', 'paid'), ('cancelled', 'paid'),
        ('paid', 'fulfilled'),
        ('fulfilled', 'partly_refunded'), ('fulfilled', 'refunded'), ('fulfilled', 'disputed'),
        ('partly_refunded', 'refunded'), ('partly_refunded', 'disputed'), ('refunded', 'disputed'),
        -- A refund that failed, a dispute that was won.
        ('partly_refunded', 'fulfilled'), ('refunded', 'fulfilled'), ('refunded', 'partly_refunded'),
        ('disputed', 'fulfilled'), ('disputed', 'partly_refunded'), ('disputed', 'refunded'))),
    DROP CONSTRAINT order_transitions_cause_check,
    -- customer, operator: one of them cancelled it.
    ADD CONSTRAINT order_transitions_cause_check CHECK (
        cause IN ('checkout', 'event', 'reconciler', 'refund', 'migration', 'customer', 'operator')
        AND (cause = 'event') = (event_id IS NOT NULL) AND (event_id IS NULL) = (provider IS NULL)
        AND (cause = 'refund') = (refund_id IS NOT NULL));
