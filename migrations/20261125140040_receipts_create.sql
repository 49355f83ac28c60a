-- Receipts: what tax offices ask for. A number is given in the transaction that fulfils the order, from a row that this transaction
-- counts up: a rollback gives it back, so no number is ever missing. A sequence would leave gaps.

-- Who sells, as configured since then. A receipt names the row, so that a later configuration reaches none that was issued.
CREATE TABLE sellers (
    seller_id   integer     GENERATED ALWAYS AS IDENTITY,
    name        text        NOT NULL,
    -- Lines.
    address     text        NOT NULL,
    tax_id      text,
    -- Hundredths of a per cent, included in prices; empty = no tax is shown.
    tax_rate_bp integer,
    since       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sellers_pkey PRIMARY KEY (seller_id),
    CONSTRAINT sellers_tax_rate_bp_check CHECK (tax_rate_bp BETWEEN 0 AND 10000)
);
CREATE TRIGGER sellers_append_only BEFORE UPDATE OR DELETE ON sellers FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER sellers_no_truncate BEFORE TRUNCATE ON sellers FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The last number given in a series and year (UTC).
CREATE TABLE receipt_numbers (
    series text    NOT NULL,
    year   integer NOT NULL,
    last   bigint  NOT NULL,
    CONSTRAINT receipt_numbers_pkey PRIMARY KEY (series, year),
    CONSTRAINT receipt_numbers_series_check CHECK (series IN ('receipt', 'credit_note')),
    CONSTRAINT receipt_numbers_last_check CHECK (last > 0)
);

-- What a customer wants receipts to be made out to.
CREATE TABLE billing_details (
    account_id uuid        NOT NULL,
    name       text        NOT NULL,
    address    text        NOT NULL,
    tax_id     text        NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT billing_details_pkey PRIMARY KEY (account_id),
    CONSTRAINT billing_details_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts (account_id),
    CONSTRAINT billing_details_name_check CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT billing_details_address_check CHECK (length(address) <= 500),
    CONSTRAINT billing_details_tax_id_check CHECK (length(tax_id) <= 50)
);

CREATE TABLE receipts (
    order_id        uuid        NOT NULL,
    year            integer     NOT NULL,
    number          bigint      NOT NULL,
    issued_at       timestamptz NOT NULL,
    -- Copies, as they were then. Empty = nobody had said it yet; it is filled in once, when somebody does.
    seller_id       integer,
    email           text        NOT NULL,
    billing_name    text,
    billing_address text,
    billing_tax_id  text,
    CONSTRAINT receipts_pkey PRIMARY KEY (order_id),
    CONSTRAINT receipts_year_number_key UNIQUE (year, number),
    CONSTRAINT receipts_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (order_id),
    CONSTRAINT receipts_seller_id_fkey FOREIGN KEY (seller_id) REFERENCES sellers (seller_id),
    CONSTRAINT receipts_billing_check CHECK (
        (billing_name IS NULL) = (billing_address IS NULL) AND (billing_name IS NULL) = (billing_tax_id IS NULL))
);

CREATE FUNCTION receipts_fill_in_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.order_id, NEW.year, NEW.number, NEW.issued_at, NEW.email) IS DISTINCT FROM
       (OLD.order_id, OLD.year, OLD.number, OLD.issued_at, OLD.email)
       OR (OLD.seller_id IS NOT NULL AND NEW.seller_id IS DISTINCT FROM OLD.seller_id)
       OR (OLD.billing_name IS NOT NULL AND (NEW.billing_name, NEW.billing_address, NEW.billing_tax_id) IS DISTINCT FROM
                                            (OLD.billing_name, OLD.billing_address, OLD.billing_tax_id))
    THEN
        RAISE EXCEPTION 'an issued receipt never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER receipts_fill_in_once BEFORE UPDATE ON receipts FOR EACH ROW EXECUTE FUNCTION receipts_fill_in_once();
CREATE TRIGGER receipts_no_delete BEFORE DELETE ON receipts FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER receipts_no_truncate BEFORE TRUNCATE ON receipts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A refund that succeeded takes back a part of a receipt.
CREATE TABLE credit_notes (
    refund_id uuid        NOT NULL,
    order_id  uuid        NOT NULL,
    year      integer     NOT NULL,
    number    bigint      NOT NULL,
    issued_at timestamptz NOT NULL,
    CONSTRAINT credit_notes_pkey PRIMARY KEY (refund_id),
    CONSTRAINT credit_notes_year_number_key UNIQUE (year, number),
    CONSTRAINT credit_notes_refund_id_fkey FOREIGN KEY (refund_id) REFERENCES refunds (refund_id),
    CONSTRAINT credit_notes_order_id_fkey FOREIGN KEY (order_id) REFERENCES receipts (order_id)
);
CREATE INDEX credit_notes_order_id_idx ON credit_notes (order_id);
CREATE TRIGGER credit_notes_append_only BEFORE UPDATE OR DELETE ON credit_notes FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER credit_notes_no_truncate BEFORE TRUNCATE ON credit_notes FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What was paid and refunded before.
INSERT INTO receipts (order_id, year, number, issued_at, email)
SELECT o.order_id, y.year, row_number() OVER (PARTITION BY y.year ORDER BY o.fulfilled_at, o.order_id), o.fulfilled_at, u.email
  FROM orders o
  JOIN users u USING (user_id)
 CROSS JOIN LATERAL (SELECT extract(year FROM o.fulfilled_at AT TIME ZONE 'UTC')::integer AS year) AS y
 WHERE o.fulfilled_at IS NOT NULL;
INSERT INTO credit_notes (refund_id, order_id, year, number, issued_at)
SELECT r.refund_id, r.order_id, y.year, row_number() OVER (PARTITION BY y.year ORDER BY r.created_at, r.refund_id), r.created_at
  FROM refunds r
  JOIN receipts USING (order_id)
 CROSS JOIN LATERAL (SELECT extract(year FROM r.created_at AT TIME ZONE 'UTC')::integer AS year) AS y
 WHERE r.status = 'succeeded';
INSERT INTO receipt_numbers (series, year, last)
SELECT 'receipt', year, max(number) FROM receipts GROUP BY year
UNION ALL
SELECT 'credit_note', year, max(number) FROM credit_notes GROUP BY year;
