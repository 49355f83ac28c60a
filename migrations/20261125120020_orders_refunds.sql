-- Money that goes back, and what that does to the Tokens it had bought.

CREATE TABLE refunds (
    -- Also the idempotency key under which the provider is asked: it is committed before the call.
    refund_id          uuid        NOT NULL,
    order_id           uuid        NOT NULL,
    provider           text        NOT NULL,
    amount_minor       bigint      NOT NULL,
    -- What left the order's grant for it. Empty = nothing yet, because the provider told of it before the order was fulfilled.
    tokens             bigint,
    -- requested: the Tokens are gone and the provider is being asked; pending, succeeded, failed: what the provider says.
    status             text        NOT NULL,
    provider_refund_id text,
    -- Empty = made at the provider, by somebody else.
    action_id          uuid,
    reason             text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    -- When the Tokens of one that failed went back to the grant.
    returned_at        timestamptz,
    CONSTRAINT refunds_pkey PRIMARY KEY (refund_id),
    CONSTRAINT refunds_provider_refund_id_key UNIQUE (provider, provider_refund_id),
    CONSTRAINT refunds_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (order_id),
    CONSTRAINT refunds_action_id_fkey FOREIGN KEY (action_id) REFERENCES operator_actions (action_id),
    CONSTRAINT refunds_provider_check CHECK (provider IN ('stripe', 'sandbox')),
    CONSTRAINT refunds_amount_minor_check CHECK (amount_minor > 0),
    CONSTRAINT refunds_tokens_check CHECK (tokens >= 0),
    CONSTRAINT refunds_status_check CHECK (status IN ('requested', 'pending', 'succeeded', 'failed')),
    CONSTRAINT refunds_returned_check CHECK (returned_at IS NULL OR status = 'failed')
);
CREATE INDEX refunds_order_id_idx ON refunds (order_id);
CREATE INDEX refunds_requested_idx ON refunds (created_at) WHERE status = 'requested';
CREATE TRIGGER refunds_no_delete BEFORE DELETE ON refunds FOR EACH ROW EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER refunds_no_truncate BEFORE TRUNCATE ON refunds FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();

ALTER TABLE order_transitions
    ADD CONSTRAINT order_transitions_refund_id_fkey FOREIGN KEY (refund_id) REFERENCES refunds (refund_id);

CREATE TABLE disputes (
    provider            text        NOT NULL,
    provider_dispute_id text        NOT NULL,
    order_id            uuid        NOT NULL,
    status              text        NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT disputes_pkey PRIMARY KEY (provider, provider_dispute_id),
    CONSTRAINT disputes_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (order_id),
    CONSTRAINT disputes_status_check CHECK (status IN ('open', 'won', 'lost'))
);
CREATE INDEX disputes_order_id_idx ON disputes (order_id);

ALTER TABLE ledger
    ADD COLUMN refund_id uuid,
    ADD CONSTRAINT ledger_refund_id_fkey FOREIGN KEY (refund_id) REFERENCES refunds (refund_id),
    DROP CONSTRAINT ledger_books_check,
    ADD CONSTRAINT ledger_books_check CHECK ((from_book, to_book) IN
        (('issued', 'grant'), ('grant', 'spent'), ('grant', 'expired'), ('grant', 'refunded'), ('refunded', 'grant'), ('grant', 'grant'))),
    ADD CONSTRAINT ledger_refund_check CHECK (
        (from_book <> 'refunded' OR refund_id IS NOT NULL) AND (refund_id IS NULL OR 'refunded' IN (from_book, to_book)));
-- A refund fails once.
CREATE UNIQUE INDEX ledger_returned_once_key ON ledger (refund_id) WHERE from_book = 'refunded';
CREATE INDEX ledger_refund_id_idx ON ledger (refund_id) WHERE refund_id IS NOT NULL;

-- A frozen grant is out of the burn order while its payment is disputed, and for good once all of its money went back. `swept_at`
-- says since when a grant is out of the burn order, for either reason: so whatever decides about calls knows of no third.
ALTER TABLE grants
    ADD COLUMN frozen_at timestamptz,
    DROP CONSTRAINT grants_swept_check,
    ADD CONSTRAINT grants_swept_check CHECK (swept_at IS NULL OR frozen_at IS NOT NULL OR (left_ = 0 AND held = 0)),
    ADD CONSTRAINT grants_frozen_check CHECK (frozen_at IS NULL OR swept_at IS NOT NULL);
CREATE INDEX grants_frozen_idx ON grants (order_id) WHERE frozen_at IS NOT NULL;
