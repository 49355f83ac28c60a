-- Usage of ten million calls: totals by hour and day that are never behind the calls, and a partition a month.

-- The first request id of a moment, to the millisecond (UUIDv7, RFC 9562): ids are in the order of their calls.
CREATE FUNCTION first_request_id(p_at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- A CHECK of a partition cannot be about the whole row, so a record hands over the columns it is about. As `is_sound` of an entry.
CREATE FUNCTION is_sound_record(
    p_outcome text, p_basis text, p_input bigint, p_cached bigint, p_output bigint, p_charge bigint, p_written_off bigint)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_broken text := CASE
        WHEN NOT p_outcome IN (
            'ok', 'upstream_error', 'upstream_timeout', 'upstream_cut', 'client_left', 'key_ended', 'interrupted') THEN 'outcome'
        WHEN NOT p_basis IN ('measured', 'counted', 'waived') THEN 'basis'
        WHEN NOT least(p_input, p_output, p_cached, p_input - p_cached) >= 0 THEN 'tokens'
        WHEN NOT (least(p_charge, p_written_off) >= 0 AND (p_basis <> 'waived' OR p_charge = 0)) THEN 'charge' END;
BEGIN
    IF v_broken IS NULL THEN RETURN true; END IF;
    RETURN refuse_row('usage_records', v_broken);
END
$$;

-- The records so far become the first partition, whole; nothing is copied.
ALTER TABLE usage_records DROP CONSTRAINT usage_records_sound_check, DROP CONSTRAINT usage_records_pkey;
DROP FUNCTION is_sound(usage_records);
DROP INDEX usage_records_account_id_idx;
DROP INDEX usage_records_key_id_idx;
DROP TRIGGER usage_records_append_only ON usage_records;
DROP TRIGGER usage_records_no_truncate ON usage_records;
ALTER TABLE usage_records RENAME TO usage_records_first;

-- Listed by account and by key in the order of their ids, so the primary key is also the index of an account's list.
CREATE TABLE usage_records (
    LIKE usage_records_first INCLUDING DEFAULTS,
    CONSTRAINT usage_records_pkey PRIMARY KEY (account_id, request_id),
    CONSTRAINT usage_records_sound_check CHECK (
        is_sound_record(outcome, basis, input_tokens, cached_tokens, output_tokens, charge, written_off))
) PARTITION BY RANGE (request_id);
CREATE INDEX usage_records_key_id_idx ON usage_records (key_id, request_id);
CREATE TRIGGER usage_records_append_only BEFORE UPDATE OR DELETE ON usage_records FOR EACH ROW EXECUTE FUNCTION refuse_usage_change();
CREATE TRIGGER usage_records_no_truncate BEFORE TRUNCATE ON usage_records FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- As before; records are found by account and id.
CREATE OR REPLACE FUNCTION restore_holds(p_owner uuid, p_hold_for interval, p_holds jsonb) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz;
    v_hold holds;
    v_grant record;
    v_rest bigint;
    v_take bigint;
    v_restored integer := 0;
BEGIN
    PERFORM 1 FROM api_keys k
      WHERE k.key_id IN (SELECT h.key_id FROM jsonb_populate_recordset(NULL::holds, p_holds) h) ORDER BY k.key_id FOR NO KEY UPDATE;
    PERFORM 1 FROM accounts a
      WHERE a.account_id IN (SELECT h.account_id FROM jsonb_populate_recordset(NULL::holds, p_holds) h) ORDER BY a.account_id FOR NO KEY UPDATE;
    v_now := clock_timestamp();
    FOR v_hold IN
        SELECT h.* FROM jsonb_populate_recordset(NULL::holds, p_holds) h
         WHERE NOT EXISTS (SELECT 1 FROM holds o WHERE o.request_id = h.request_id)
           AND NOT EXISTS (SELECT 1 FROM usage_records u WHERE u.account_id = h.account_id AND u.request_id = h.request_id)
    LOOP
        SELECT greatest(0, least(v_hold.tokens, k.quota - k.spent - k.held,
                                 k.period_quota - used_of_period(k, v_now)))
          INTO v_rest
          FROM api_keys k WHERE k.key_id = v_hold.key_id;
        v_hold.tokens := 0;
        v_hold.grant_ids := '{}';
        v_hold.grant_tokens := '{}';
        FOR v_grant IN
            SELECT g.grant_id, g.left_ FROM grants_in_burn_order(v_hold.account_id, v_hold.supplier_id, v_hold.model_id, v_now) g
        LOOP
            v_take := least(v_grant.left_, v_rest);
            EXIT WHEN v_take = 0;
            UPDATE grants g SET left_ = g.left_ - v_take, held = g.held + v_take WHERE g.grant_id = v_grant.grant_id;
            v_hold.tokens := v_hold.tokens + v_take;
            v_hold.grant_ids := v_hold.grant_ids || v_grant.grant_id;
            v_hold.grant_tokens := v_hold.grant_tokens || v_take;
            v_rest := v_rest - v_take;
        END LOOP;
        UPDATE api_keys k
           SET held = k.held + v_hold.tokens, running = k.running + 1,
               period_began = period_start(k.period, k.period_zone, v_now),
               period_used = CASE WHEN k.period IS NULL THEN 0 ELSE used_of_period(k, v_now) + CASE
                   WHEN period_start(k.period, k.period_zone, v_hold.created_at) = period_start(k.period, k.period_zone, v_now) THEN v_hold.tokens
                   ELSE 0 END END
         WHERE k.key_id = v_hold.key_id;
        v_hold.owner := p_owner;
        v_hold.deadline := v_now + p_hold_for;
        INSERT INTO holds SELECT v_hold.*;
        v_restored := v_restored + 1;
    END LOOP;
    INSERT INTO replicas (owner) VALUES (p_owner) ON CONFLICT ON CONSTRAINT replicas_pkey DO UPDATE SET seen_at = clock_timestamp();
    -- Long gone; one that is not restores its holds once more and goes on.
    DELETE FROM replicas r WHERE r.seen_at < v_now - interval '30 days';
    RETURN v_restored;
END
$$;

-- Where a record goes whose month has no partition yet, or whose id is of no time: nothing is refused for want of a place.
CREATE TABLE usage_records_rest PARTITION OF usage_records DEFAULT;
CREATE TRIGGER usage_records_no_truncate BEFORE TRUNCATE ON usage_records_rest FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Makes partition p_name of the calls from one moment to another. Attached, not created in place: that would wait for everybody who
-- reads, and they for it.
CREATE FUNCTION create_usage_partition(p_name text, p_from timestamptz, p_to timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE usage_records INCLUDING ALL)', p_name);
    EXECUTE format('CREATE TRIGGER usage_records_no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', p_name);
    EXECUTE format('ALTER TABLE usage_records ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   p_name, first_request_id(p_from), first_request_id(p_to));
END
$$;

-- Until when there are partitions: one row.
CREATE TABLE usage_coverage (
    one        boolean     NOT NULL DEFAULT true,
    covered_to timestamptz NOT NULL,
    CONSTRAINT usage_coverage_pkey PRIMARY KEY (one),
    CONSTRAINT usage_coverage_one_check CHECK (one)
);

-- Makes what is missing of this month's partition and the next three, and says how many that were. Waits for nobody for long: there are
-- three months to try again.
CREATE FUNCTION create_usage_partitions(p_now timestamptz) RETURNS integer LANGUAGE plpgsql SET lock_timeout = '1s' AS $$
DECLARE
    v_covered timestamptz;
    v_month timestamptz;
    v_made integer := 0;
BEGIN
    -- One replica at a time.
    PERFORM pg_advisory_xact_lock(hashtext('create_usage_partitions'));
    SELECT covered_to INTO v_covered FROM usage_coverage;
    FOR n IN 0 .. 3 LOOP
        v_month := (date_trunc('month', p_now AT TIME ZONE 'UTC') + n * interval '1 month') AT TIME ZONE 'UTC';
        CONTINUE WHEN v_month < v_covered;
        PERFORM create_usage_partition(
            'usage_records_' || to_char(v_month AT TIME ZONE 'UTC', 'YYYY_MM'), v_month,
            (v_month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
        UPDATE usage_coverage SET covered_to = (v_month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
        v_made := v_made + 1;
    END LOOP;
    RETURN v_made;
END
$$;

-- The first partition ends with the month that follows all that it holds.
DO $$
DECLARE
    v_last uuid := (SELECT u.request_id FROM usage_records_first u ORDER BY u.request_id DESC LIMIT 1);
    v_end timestamptz := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
BEGIN
    LOOP
        v_end := (v_end AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
        EXIT WHEN v_last IS NULL OR v_last < first_request_id(v_end);
    END LOOP;
    ALTER TABLE usage_records_first
        ADD CONSTRAINT usage_records_first_pkey PRIMARY KEY (account_id, request_id),
        ADD CONSTRAINT usage_records_sound_check CHECK (
            is_sound_record(outcome, basis, input_tokens, cached_tokens, output_tokens, charge, written_off));
    CREATE INDEX usage_records_first_key_id_idx ON usage_records_first (key_id, request_id);
    CREATE TRIGGER usage_records_no_truncate BEFORE TRUNCATE ON usage_records_first
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
    EXECUTE format('ALTER TABLE usage_records ATTACH PARTITION usage_records_first FOR VALUES FROM (MINVALUE) TO (%L)', first_request_id(v_end));
    INSERT INTO usage_coverage (covered_to) VALUES (v_end);
    PERFORM create_usage_partitions(now());
END
$$;

-- Whether a call brought its caller no whole answer, by no doing of the caller.
CREATE FUNCTION is_failure(p_outcome text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT p_outcome NOT IN ('ok', 'client_left', 'key_ended')
$$;

-- What the calls of a key for a model add up to, by the hour and the day (UTC) in which they began. Pages read these; `toki audit` adds
-- up the calls. A row is written only under the lock of its key, which every settlement has, so no two wait for each other.
CREATE TABLE usage_totals (
    account_id    uuid        NOT NULL,
    unit          text        NOT NULL,
    starts_at     timestamptz NOT NULL,
    key_id        uuid        NOT NULL,
    model_id      text        NOT NULL,
    calls         bigint      NOT NULL,
    failed        bigint      NOT NULL,
    input_tokens  bigint      NOT NULL,
    cached_tokens bigint      NOT NULL,
    output_tokens bigint      NOT NULL,
    charge        bigint      NOT NULL,
    CONSTRAINT usage_totals_pkey PRIMARY KEY (account_id, unit, starts_at, key_id, model_id)
) WITH (fillfactor = 60);

-- What calls add to the totals. A record that is completed takes back first what it added before.
CREATE FUNCTION add_usage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE usage_totals t
           SET calls = t.calls - o.calls, failed = t.failed - o.failed, input_tokens = t.input_tokens - o.input_tokens,
               cached_tokens = t.cached_tokens - o.cached_tokens, output_tokens = t.output_tokens - o.output_tokens, charge = t.charge - o.charge
          FROM (SELECT r.account_id, u.unit, date_trunc(u.unit, r.started_at, 'UTC') AS starts_at, r.key_id, r.model_id, count(*) AS calls,
                       count(*) FILTER (WHERE is_failure(r.outcome)) AS failed, sum(r.input_tokens) AS input_tokens,
                       sum(r.cached_tokens) AS cached_tokens, sum(r.output_tokens) AS output_tokens, sum(r.charge) AS charge
                  FROM old_records r CROSS JOIN (VALUES ('hour'), ('day')) AS u (unit)
                 GROUP BY 1, 2, 3, 4, 5) o
         WHERE t.account_id = o.account_id AND t.unit = o.unit AND t.starts_at = o.starts_at AND t.key_id = o.key_id AND t.model_id = o.model_id;
    END IF;
    INSERT INTO usage_totals AS t (account_id, unit, starts_at, key_id, model_id, calls, failed, input_tokens, cached_tokens, output_tokens,
                                   charge)
    SELECT r.account_id, u.unit, date_trunc(u.unit, r.started_at, 'UTC'), r.key_id, r.model_id, count(*),
           count(*) FILTER (WHERE is_failure(r.outcome)), sum(r.input_tokens), sum(r.cached_tokens), sum(r.output_tokens), sum(r.charge)
      FROM new_records r CROSS JOIN (VALUES ('hour'), ('day')) AS u (unit)
     GROUP BY 1, 2, 3, 4, 5
        ON CONFLICT ON CONSTRAINT usage_totals_pkey DO UPDATE
       SET calls = t.calls + excluded.calls, failed = t.failed + excluded.failed, input_tokens = t.input_tokens + excluded.input_tokens,
           cached_tokens = t.cached_tokens + excluded.cached_tokens, output_tokens = t.output_tokens + excluded.output_tokens,
           charge = t.charge + excluded.charge;
    RETURN NULL;
END
$$;
CREATE TRIGGER usage_records_added AFTER INSERT ON usage_records
    REFERENCING NEW TABLE AS new_records FOR EACH STATEMENT EXECUTE FUNCTION add_usage();
CREATE TRIGGER usage_records_completed AFTER UPDATE ON usage_records
    REFERENCING OLD TABLE AS old_records NEW TABLE AS new_records FOR EACH STATEMENT EXECUTE FUNCTION add_usage();

INSERT INTO usage_totals
SELECT r.account_id, u.unit, date_trunc(u.unit, r.started_at, 'UTC'), r.key_id, r.model_id, count(*),
       count(*) FILTER (WHERE is_failure(r.outcome)), sum(r.input_tokens), sum(r.cached_tokens), sum(r.output_tokens), sum(r.charge)
  FROM usage_records r CROSS JOIN (VALUES ('hour'), ('day')) AS u (unit)
 GROUP BY 1, 2, 3, 4, 5;

-- What an account bought, was credited, refunded and lost to time is rare among its calls. No call writes to this index.
CREATE INDEX ledger_others_idx ON ledger (account_id, entry_id) WHERE to_book <> 'spent';
