-- A bank takes back what its customer disputed, which may be a part of the price; and what it took is money that went back, as a refund is.

ALTER TABLE disputes
    -- Empty = the whole price: the provider did not say, or not in the order's currency.
    ADD COLUMN amount_minor bigint,
    ADD CONSTRAINT disputes_amount_minor_check CHECK (amount_minor > 0);

ALTER TABLE refunds
    -- The lost dispute by which a bank took this; empty = it was refunded. Failed = another refund was told of since, which leaves less of
    -- the price for the bank to have taken.
    ADD COLUMN provider_dispute_id text,
    ADD CONSTRAINT refunds_dispute_fkey FOREIGN KEY (provider, provider_dispute_id) REFERENCES disputes (provider, provider_dispute_id),
    ADD CONSTRAINT refunds_dispute_check CHECK (provider_dispute_id IS NULL
        OR (provider_refund_id IS NULL AND action_id IS NULL AND user_id IS NULL AND status IN ('succeeded', 'failed')));
CREATE INDEX refunds_dispute_idx ON refunds (provider, provider_dispute_id) WHERE provider_dispute_id IS NOT NULL;

-- Disputes that were lost before took the rest of the price, and the Tokens already.
INSERT INTO refunds (refund_id, order_id, provider, amount_minor, tokens, status, provider_dispute_id)
SELECT gen_random_uuid(), o.order_id, o.provider, o.price_minor - back.minor, 0, 'succeeded', d.provider_dispute_id
  FROM (SELECT DISTINCT ON (order_id) order_id, provider, provider_dispute_id FROM disputes
         WHERE status = 'lost' ORDER BY order_id, created_at, provider_dispute_id) d
  JOIN orders o USING (order_id, provider)
 CROSS JOIN LATERAL (SELECT coalesce(sum(r.amount_minor), 0)::bigint AS minor FROM refunds r
                      WHERE r.order_id = o.order_id AND r.status <> 'failed') back
 WHERE o.fulfilled_at IS NOT NULL AND o.price_minor > back.minor;
INSERT INTO credit_notes (refund_id, order_id, year, number, issued_at)
SELECT r.refund_id, r.order_id, y.year, coalesce(n.last, 0) + row_number() OVER (ORDER BY r.refund_id), now()
  FROM refunds r
  JOIN receipts USING (order_id)
 CROSS JOIN (SELECT extract(year FROM now() AT TIME ZONE 'UTC')::integer AS year) y
  LEFT JOIN receipt_numbers n ON n.series = 'credit_note' AND n.year = y.year
 WHERE r.provider_dispute_id IS NOT NULL;
INSERT INTO receipt_numbers AS n (series, year, last)
SELECT 'credit_note', year, max(number) FROM credit_notes GROUP BY year
ON CONFLICT ON CONSTRAINT receipt_numbers_pkey DO UPDATE SET last = greatest(n.last, excluded.last);
