-- Refunds that the provider answers with the same failure for a day, as it does requests about orders and customers.

ALTER TABLE refunds
    -- Part of the key under which it is asked for. Another, after an answer that the provider would give again to the same key.
    ADD COLUMN attempt integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT refunds_attempt_check CHECK (attempt >= 0);
