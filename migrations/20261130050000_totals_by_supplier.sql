-- Totals say who answered, as each record does: a model may be moved to another supplier, and what it was called for before then stays
-- the earlier one's.

-- Nobody settles meanwhile, so no call runs the trigger's function of before on the table of now, and none is left out. A settlement
-- locks them in this order.
LOCK TABLE usage_records IN SHARE ROW EXCLUSIVE MODE;
ALTER TABLE usage_totals RENAME TO usage_totals_before;
ALTER TABLE usage_totals_before RENAME CONSTRAINT usage_totals_pkey TO usage_totals_before_pkey;

-- What the calls of a key for a model of a supplier add up to, by the hour and the day (UTC) in which they began. Pages read these; `toki
-- audit` adds up the calls. A row is written only under the lock of its key, which every settlement has, so no two wait for each other.
CREATE TABLE usage_totals (
    account_id    uuid        NOT NULL,
    unit          text        NOT NULL,
    starts_at     timestamptz NOT NULL,
    key_id        uuid        NOT NULL,
    model_id      text        NOT NULL,
    supplier_id   uuid        NOT NULL,
    calls         bigint      NOT NULL,
    failed        bigint      NOT NULL,
    input_tokens  bigint      NOT NULL,
    cached_tokens bigint      NOT NULL,
    output_tokens bigint      NOT NULL,
    charge        bigint      NOT NULL,
    CONSTRAINT usage_totals_pkey PRIMARY KEY (account_id, unit, starts_at, key_id, model_id, supplier_id)
) WITH (fillfactor = 60);

-- Of models that were moved, from their records; of all others as they were.
WITH moved AS MATERIALIZED (
    SELECT DISTINCT u.model_id FROM usage_records u LEFT JOIN models m ON m.model_id = u.model_id
     WHERE m.supplier_id IS DISTINCT FROM u.supplier_id)
INSERT INTO usage_totals
SELECT t.account_id, t.unit, t.starts_at, t.key_id, t.model_id, m.supplier_id, t.calls, t.failed, t.input_tokens, t.cached_tokens,
       t.output_tokens, t.charge
  FROM usage_totals_before t JOIN models m ON m.model_id = t.model_id
 WHERE t.model_id NOT IN (SELECT v.model_id FROM moved v)
 UNION ALL
SELECT r.account_id, u.unit, date_trunc(u.unit, r.started_at, 'UTC'), r.key_id, r.model_id, r.supplier_id, count(*),
       count(*) FILTER (WHERE is_failure(r.outcome)), sum(r.input_tokens), sum(r.cached_tokens), sum(r.output_tokens), sum(r.charge)
  FROM usage_records r CROSS JOIN (VALUES ('hour'), ('day')) AS u (unit)
 WHERE r.model_id IN (SELECT v.model_id FROM moved v)
 GROUP BY 1, 2, 3, 4, 5, 6;
DROP TABLE usage_totals_before;

-- As before, by supplier, too: the records that a statement wrote say it, so nothing is looked up.
CREATE OR REPLACE FUNCTION add_usage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE usage_totals t
           SET calls = t.calls - o.calls, failed = t.failed - o.failed, input_tokens = t.input_tokens - o.input_tokens,
               cached_tokens = t.cached_tokens - o.cached_tokens, output_tokens = t.output_tokens - o.output_tokens,
               charge = t.charge - o.charge
          FROM (SELECT r.account_id, u.unit, date_trunc(u.unit, r.started_at, 'UTC') AS starts_at, r.key_id, r.model_id, r.supplier_id,
                       count(*) AS calls, count(*) FILTER (WHERE is_failure(r.outcome)) AS failed, sum(r.input_tokens) AS input_tokens,
                       sum(r.cached_tokens) AS cached_tokens, sum(r.output_tokens) AS output_tokens, sum(r.charge) AS charge
                  FROM old_records r CROSS JOIN (VALUES ('hour'), ('day')) AS u (unit)
                 GROUP BY 1, 2, 3, 4, 5, 6) o
         WHERE t.account_id = o.account_id AND t.unit = o.unit AND t.starts_at = o.starts_at AND t.key_id = o.key_id
           AND t.model_id = o.model_id AND t.supplier_id = o.supplier_id;
    END IF;
    INSERT INTO usage_totals AS t (account_id, unit, starts_at, key_id, model_id, supplier_id, calls, failed, input_tokens, cached_tokens,
                                   output_tokens, charge)
    SELECT r.account_id, u.unit, date_trunc(u.unit, r.started_at, 'UTC'), r.key_id, r.model_id, r.supplier_id, count(*),
           count(*) FILTER (WHERE is_failure(r.outcome)), sum(r.input_tokens), sum(r.cached_tokens), sum(r.output_tokens), sum(r.charge)
      FROM new_records r CROSS JOIN (VALUES ('hour'), ('day')) AS u (unit)
     GROUP BY 1, 2, 3, 4, 5, 6
        ON CONFLICT ON CONSTRAINT usage_totals_pkey DO UPDATE
       SET calls = t.calls + excluded.calls, failed = t.failed + excluded.failed, input_tokens = t.input_tokens + excluded.input_tokens,
           cached_tokens = t.cached_tokens + excluded.cached_tokens, output_tokens = t.output_tokens + excluded.output_tokens,
           charge = t.charge + excluded.charge;
    RETURN NULL;
END
$$;
