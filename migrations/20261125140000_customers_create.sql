-- Who a customer of ours is at the payment provider, so that later checkouts know them again.

CREATE TABLE payment_customers (
    -- Also the idempotency key under which the provider is asked to make it: it is committed before the call.
    payment_customer_id  uuid        NOT NULL,
    account_id           uuid        NOT NULL,
    provider             text        NOT NULL,
    -- A provider keeps its test mode apart: a customer of one mode does not exist in the other.
    livemode             boolean     NOT NULL,
    -- As it was sent, for a repeated request must be the same.
    email                text        NOT NULL,
    -- Empty = the provider has not answered yet.
    provider_customer_id text,
    created_at           timestamptz NOT NULL DEFAULT now(),
    -- When the provider did not know it any more.
    replaced_at          timestamptz,
    CONSTRAINT payment_customers_pkey PRIMARY KEY (payment_customer_id),
    CONSTRAINT payment_customers_provider_customer_id_key UNIQUE (provider, provider_customer_id),
    CONSTRAINT payment_customers_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts (account_id),
    CONSTRAINT payment_customers_provider_check CHECK (provider IN ('stripe', 'sandbox')),
    CONSTRAINT payment_customers_replaced_check CHECK (replaced_at IS NULL OR provider_customer_id IS NOT NULL)
);
CREATE UNIQUE INDEX payment_customers_current_key ON payment_customers (account_id, provider, livemode) WHERE replaced_at IS NULL;
