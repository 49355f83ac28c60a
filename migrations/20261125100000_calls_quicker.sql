-- Calls, quicker: what a batch costs the database is mostly the number of its statements and of the rows that they touch.

-- The table is small, and its rows live for seconds: whoever looks for those of a replica or a key reads it whole, and each call is
-- spared two entries. It is vacuumed by the number of its dead rows alone.
DROP INDEX holds_owner_idx;
DROP INDEX holds_key_id_idx;
ALTER TABLE holds SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);

-- Without request_id in it: on the day that a database is made, when all indexes look alike, a call was looked for in this one.
DROP INDEX usage_records_account_id_idx;
CREATE INDEX usage_records_account_id_idx ON usage_records (account_id, started_at DESC);

-- Admits a batch of calls. As before in what it decides. New is that each statement reads or writes what it knows by key, with no
-- join to be planned.
CREATE OR REPLACE FUNCTION admit_calls(
    p_request_id uuid[], p_secret_hash bytea[], p_model_id text[], p_protocol text[], p_input_tokens bigint[],
    p_output_limit bigint[], p_choices bigint[], p_exact boolean[], p_endpoint text[], p_streamed boolean[],
    p_owner uuid, p_hold_for interval, p_again boolean)
RETURNS TABLE (
    request_id uuid, verdict text, account_id uuid, key_id uuid, supplier_id uuid, upstream_id text, price_version integer,
    input_ppm bigint, cached_ppm bigint, output_ppm bigint, held bigint, output_limit bigint,
    channel_ids uuid[], base_urls text[], secrets_sealed bytea[], weights integer[])
LANGUAGE plpgsql VOLATILE
-- The tables' statistics may be old and the arrays' sizes are unknown, so nothing is left to the planner: without these it scans a table
-- for a lone call, and where it may join, it scans the table and looks into the array for each row. Hence also `= ANY (array)` beside
-- a join, and `OFFSET 0`, which makes a lookup of its own of each row.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_known boolean;
    v_accounts uuid[];
    v_call record;
    -- Of the account that is being decided on: its grants in burn order, what each has left, and, where any has a scope, whole.
    v_account uuid;
    v_grants uuid[];
    v_left bigint[];
    v_all_left bigint;
    v_scopes grants[];
    -- What this batch holds of each grant and key that it touches.
    v_taken_ids uuid[] := '{}';
    v_taken bigint[] := '{}';
    v_key_ids uuid[] := '{}';
    v_key_held bigint[] := '{}';
    v_place integer;
    v_quota_left bigint;
    v_available bigint;
    v_room numeric;
    v_most numeric;
    v_rest bigint;
    v_take bigint;
    v_grant_ids uuid[];
    v_grant_tokens bigint[];
    v_holds holds[] := '{}';
BEGIN
    SELECT array_agg(l.account_id), EXISTS (SELECT 1 FROM replicas r WHERE r.owner = p_owner) INTO v_accounts, v_known
      FROM (SELECT k.account_id FROM api_keys k WHERE k.secret_hash = ANY (p_secret_hash) ORDER BY k.key_id FOR NO KEY UPDATE) l;
    IF NOT v_known THEN
        verdict := 'holds_forgotten';
        FOREACH request_id IN ARRAY p_request_id LOOP RETURN NEXT; END LOOP;
        RETURN;
    END IF;
    PERFORM 1 FROM accounts a WHERE a.account_id = ANY (v_accounts) ORDER BY a.account_id FOR NO KEY UPDATE;
    -- Not now(): that is when the transaction began, and the locks may have been waited for since.
    v_now := clock_timestamp();
    IF p_again THEN
        WITH gone AS (
            DELETE FROM holds h WHERE h.request_id = ANY (p_request_id) AND h.owner = p_owner
            RETURNING h.key_id, h.tokens, h.grant_ids, h.grant_tokens
        ), returned AS (
            UPDATE grants g SET left_ = g.left_ + l.tokens, held = g.held - l.tokens
              FROM (SELECT l.grant_id, sum(l.tokens)::bigint AS tokens
                      FROM gone h, unnest(h.grant_ids, h.grant_tokens) AS l (grant_id, tokens) GROUP BY l.grant_id) l
             WHERE g.grant_id = l.grant_id
        )
        UPDATE api_keys k SET held = k.held - h.tokens
          FROM (SELECT h.key_id, sum(h.tokens)::bigint AS tokens FROM gone h GROUP BY h.key_id) h WHERE k.key_id = h.key_id;
    END IF;

    FOR v_call IN
        SELECT c.*, k.key_id, k.account_id, k.status AS key_status, k.expires_at, k.quota - k.spent - k.held AS quota_left,
               a.suspended_at, m.supplier_id, m.upstream_id, m.max_output_tokens, m.price_version, m.input_ppm, m.cached_ppm,
               m.output_ppm, w.channel_ids, w.base_urls, w.secrets_sealed, w.weights
          FROM unnest(p_request_id, p_secret_hash, p_model_id, p_protocol, p_input_tokens, p_output_limit, p_choices, p_exact,
                      p_endpoint, p_streamed) WITH ORDINALITY
               AS c (request_id, secret_hash, model_id, protocol, input_tokens, asked_limit, choices, exact, endpoint, streamed, place)
          LEFT JOIN LATERAL (SELECT k.* FROM api_keys k WHERE k.secret_hash = c.secret_hash AND k.status <> 'deleted' OFFSET 0) k ON true
          LEFT JOIN LATERAL (SELECT a.suspended_at FROM accounts a WHERE a.account_id = k.account_id OFFSET 0) a ON true
          LEFT JOIN LATERAL (
              SELECT m.supplier_id, m.upstream_id, m.max_output_tokens, m.price_version, p.input_ppm, p.cached_ppm, p.output_ppm
                FROM models m
                JOIN suppliers s ON s.supplier_id = m.supplier_id
                JOIN model_prices p ON p.model_id = m.model_id AND p.version = m.price_version
               WHERE m.model_id = c.model_id AND m.status = 'enabled' AND s.status = 'enabled'
                 AND (k.supplier_id IS NULL OR k.supplier_id = m.supplier_id)
              OFFSET 0) m ON true
          LEFT JOIN LATERAL (
              SELECT array_agg(h.channel_id) AS channel_ids, array_agg(h.base_url) AS base_urls,
                     array_agg(h.secret_sealed) AS secrets_sealed, array_agg(h.weight) AS weights
                FROM channels h
               WHERE h.supplier_id = m.supplier_id AND h.status = 'enabled' AND h.protocol = c.protocol) w ON true
         ORDER BY k.account_id, c.place
    LOOP
        request_id := v_call.request_id;
        account_id := v_call.account_id;
        key_id := v_call.key_id;
        held := NULL; output_limit := NULL;
        supplier_id := v_call.supplier_id; upstream_id := v_call.upstream_id; price_version := v_call.price_version;
        input_ppm := v_call.input_ppm; cached_ppm := v_call.cached_ppm; output_ppm := v_call.output_ppm;
        channel_ids := v_call.channel_ids; base_urls := v_call.base_urls; secrets_sealed := v_call.secrets_sealed;
        weights := v_call.weights;
        verdict := CASE
            WHEN v_call.key_id IS NULL THEN 'unknown_key'
            WHEN v_call.key_status <> 'enabled' THEN 'key_disabled'
            WHEN v_call.expires_at <= v_now THEN 'key_expired'
            WHEN v_call.suspended_at IS NOT NULL THEN 'account_suspended'
            WHEN v_call.supplier_id IS NULL THEN 'model_not_found'
            WHEN v_call.channel_ids IS NULL THEN 'no_channel' END;
        IF verdict IS NOT NULL THEN RETURN NEXT; CONTINUE; END IF;

        IF v_call.account_id IS DISTINCT FROM v_account THEN
            v_account := v_call.account_id;
            SELECT coalesce(array_agg(g.grant_id), '{}'), coalesce(array_agg(g.left_), '{}'), coalesce(sum(g.left_), 0),
                   CASE WHEN bool_or(g.scoped) THEN array_agg(g.whole) END
              INTO v_grants, v_left, v_all_left, v_scopes
              FROM (SELECT g.grant_id, g.left_, g.scoped, g AS whole FROM grants g
                     WHERE g.account_id = v_account AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= v_now AND g.expires_at > v_now
                     ORDER BY g.scoped DESC, g.expires_at, g.created_at, g.grant_id) g;
        END IF;
        v_quota_left := v_call.quota_left - coalesce(v_key_held[array_position(v_key_ids, v_call.key_id)], 0);

        -- How much output fits into what the wallet and the key have left, once the input is paid for?
        v_available := v_all_left;
        IF v_scopes IS NOT NULL THEN
            v_available := 0;
            FOR n IN 1 .. cardinality(v_left) LOOP
                IF pays_for(v_scopes[n], v_call.supplier_id, v_call.model_id) THEN
                    v_available := v_available + v_left[n];
                END IF;
            END LOOP;
        END IF;
        v_room := least(v_available, coalesce(v_quota_left, v_available))::numeric * 1000000
                  - v_call.input_tokens::numeric * v_call.input_ppm;
        output_limit := least(coalesce(v_call.asked_limit, v_call.max_output_tokens), v_call.max_output_tokens);
        v_most := CASE
            WHEN v_room < 0 THEN 0
            WHEN v_call.output_ppm = 0 OR v_call.choices = 0 THEN output_limit
            ELSE trunc(v_room / (v_call.output_ppm::numeric * v_call.choices)) END;
        IF v_room < 0 OR v_most < output_limit THEN
            IF NOT v_call.exact THEN verdict := 'count_input'; output_limit := NULL; RETURN NEXT; CONTINUE; END IF;
            IF v_room < 0 OR v_most < 1 THEN
                verdict := CASE WHEN v_quota_left < v_available THEN 'quota_exhausted' ELSE 'balance_exhausted' END;
                output_limit := NULL; RETURN NEXT; CONTINUE;
            END IF;
            output_limit := v_most;
        END IF;
        held := ceil((v_call.input_tokens::numeric * v_call.input_ppm
                      + output_limit::numeric * v_call.choices * v_call.output_ppm) / 1000000);

        v_rest := held;
        v_grant_ids := '{}';
        v_grant_tokens := '{}';
        FOR n IN 1 .. cardinality(v_left) LOOP
            EXIT WHEN v_rest = 0;
            CONTINUE WHEN v_left[n] = 0;
            IF v_scopes IS NOT NULL THEN
                CONTINUE WHEN NOT pays_for(v_scopes[n], v_call.supplier_id, v_call.model_id);
            END IF;
            v_take := least(v_left[n], v_rest);
            v_left[n] := v_left[n] - v_take;
            v_all_left := v_all_left - v_take;
            v_rest := v_rest - v_take;
            v_grant_ids := v_grant_ids || v_grants[n];
            v_grant_tokens := v_grant_tokens || v_take;
            v_place := array_position(v_taken_ids, v_grants[n]);
            IF v_place IS NULL THEN
                v_taken_ids := v_taken_ids || v_grants[n];
                v_taken := v_taken || v_take;
            ELSE
                v_taken[v_place] := v_taken[v_place] + v_take;
            END IF;
        END LOOP;
        IF v_rest > 0 THEN
            RAISE EXCEPTION 'hold of % Tokens found % too few', held, v_rest;
        END IF;
        v_place := array_position(v_key_ids, v_call.key_id);
        IF v_place IS NULL THEN
            v_key_ids := v_key_ids || v_call.key_id;
            v_key_held := v_key_held || held;
        ELSE
            v_key_held[v_place] := v_key_held[v_place] + held;
        END IF;
        v_holds := v_holds || ROW(request_id, account_id, key_id, v_call.model_id, supplier_id, price_version, v_call.endpoint,
                                  v_call.streamed, held, v_grant_ids, v_grant_tokens, p_owner, v_now + p_hold_for, v_now)::holds;
        verdict := 'admitted';
        RETURN NEXT;
    END LOOP;
    IF v_holds = '{}' THEN RETURN; END IF;

    UPDATE grants g
       SET left_ = g.left_ - v_taken[array_position(v_taken_ids, g.grant_id)], held = g.held + v_taken[array_position(v_taken_ids, g.grant_id)]
     WHERE g.grant_id = ANY (v_taken_ids);
    UPDATE api_keys k SET held = k.held + v_key_held[array_position(v_key_ids, k.key_id)] WHERE k.key_id = ANY (v_key_ids);
    INSERT INTO holds SELECT h.* FROM unnest(v_holds) h;
END
$$;

-- Word for word, which jsonb does not keep.
ALTER TABLE usage_records ALTER COLUMN upstream_usage TYPE json USING upstream_usage::json;

-- A finished call as its owner reports it. `charge` is what the call cost, which may be more than what pays for it.
CREATE TYPE settlement AS (
    request_id     uuid,
    account_id     uuid,
    key_id         uuid,
    model_id       text,
    supplier_id    uuid,
    channel_id     uuid,
    price_version  integer,
    endpoint       text,
    streamed       boolean,
    outcome        text,
    basis          text,
    http_status    integer,
    input_tokens   bigint,
    cached_tokens  bigint,
    output_tokens  bigint,
    charge         bigint,
    upstream_usage json,
    started_at     timestamptz,
    first_byte_ms  bigint,
    latency_ms     bigint
);

-- Charges a call that has no hold: what the account's grants and the key's quota can still pay, in burn order. Returns the charge.
-- The caller holds the locks of key and account.
DROP FUNCTION charge_unheld(usage_records, timestamptz);
CREATE FUNCTION charge_unheld(p_call settlement, p_now timestamptz) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_rest bigint;
    v_charge bigint := 0;
    v_spend bigint;
    v_grant record;
BEGIN
    SELECT greatest(0, least(p_call.charge, coalesce(k.quota - k.spent - k.held, p_call.charge))) INTO v_rest
      FROM api_keys k WHERE k.key_id = p_call.key_id;
    FOR v_grant IN
        SELECT g.grant_id, g.left_ FROM grants_in_burn_order(p_call.account_id, p_call.supplier_id, p_call.model_id, p_now) g
    LOOP
        v_spend := least(v_grant.left_, v_rest);
        EXIT WHEN v_spend = 0;
        UPDATE grants g SET left_ = g.left_ - v_spend, spent = g.spent + v_spend WHERE g.grant_id = v_grant.grant_id;
        INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id, at)
        VALUES (p_call.account_id, v_grant.grant_id, 'grant', 'spent', v_spend, p_call.request_id, p_now);
        v_charge := v_charge + v_spend;
        v_rest := v_rest - v_spend;
    END LOOP;
    UPDATE api_keys k SET spent = k.spent + v_charge, last_used_at = greatest(k.last_used_at, p_call.started_at)
     WHERE k.key_id = p_call.key_id;
    RETURN v_charge;
END
$$;

-- Settles a batch of finished calls, each exactly once whoever else tries; what exceeds a call's hold is written off.
--
-- A call without a hold was forgotten by a crash of Postgres, or reaped because its owner was silent: it is charged what account and
-- key can still pay, and takes the place of the reaper's record.
--
-- verdict: settled | duplicate (the record that was there first stands, and its charge is returned)
-- balance_left, quota_left: after this batch; quota_left NULL = the key has no quota of its own.
DROP FUNCTION settle_calls(jsonb);
CREATE FUNCTION settle_calls(p_calls settlement[])
RETURNS TABLE (request_id uuid, verdict text, charge bigint, balance_left bigint, quota_left bigint)
LANGUAGE plpgsql VOLATILE
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_keys uuid[];
    v_quotas bigint[];
    v_accounts uuid[];
    v_balances bigint[];
    -- The first report of each call that is to be settled, in order of their ids; what each held, and is charged.
    v_calls settlement[];
    v_ids uuid[];
    v_held bigint[];
    v_charges bigint[];
    -- The calls that had a hold, and what each hold draws on: its grants, and how much of each is spent.
    v_gone uuid[];
    v_gone_tokens bigint[];
    v_line_calls uuid[];
    v_line_accounts uuid[];
    v_line_grants uuid[];
    v_line_tokens bigint[];
    v_line_spends bigint[];
    v_place integer;
BEGIN
    SELECT array_agg(DISTINCT c.key_id), array_agg(DISTINCT c.account_id) INTO v_keys, v_accounts FROM unnest(p_calls) c;
    PERFORM 1 FROM api_keys k WHERE k.key_id = ANY (v_keys) ORDER BY k.key_id FOR NO KEY UPDATE;
    PERFORM 1 FROM accounts a WHERE a.account_id = ANY (v_accounts) ORDER BY a.account_id FOR NO KEY UPDATE;
    v_now := clock_timestamp();

    -- Calls that have a record stay as they are, unless it is the reaper's and this is the owner's report.
    SELECT coalesce(array_agg(f.call), '{}'), coalesce(array_agg(f.request_id), '{}') INTO v_calls, v_ids
      FROM (SELECT DISTINCT ON ((p_calls[n]).request_id) p_calls[n] AS call, (p_calls[n]).request_id, (p_calls[n]).outcome,
                   (SELECT u.outcome FROM usage_records u WHERE u.request_id = (p_calls[n]).request_id) AS recorded
              FROM generate_subscripts(p_calls, 1) n
             ORDER BY (p_calls[n]).request_id, n) f
     WHERE f.recorded IS NULL OR (f.recorded = 'interrupted' AND f.outcome <> 'interrupted');

    WITH gone AS (
        DELETE FROM holds h WHERE h.request_id = ANY (v_ids)
        RETURNING h.request_id, h.account_id, h.tokens, h.grant_ids, h.grant_tokens
    ), lines AS (
        SELECT g.request_id, g.account_id, l.grant_id, l.tokens,
               greatest(0, least(l.tokens, (v_calls[array_position(v_ids, g.request_id)]).charge
                   - (sum(l.tokens) OVER (PARTITION BY g.request_id ORDER BY l.place) - l.tokens)))::bigint AS spend
          FROM gone g, unnest(g.grant_ids, g.grant_tokens) WITH ORDINALITY AS l (grant_id, tokens, place)
    )
    SELECT array_agg(l.request_id), array_agg(l.account_id), array_agg(l.grant_id), array_agg(l.tokens), array_agg(l.spend),
           (SELECT coalesce(array_agg(g.request_id), '{}') FROM gone g), (SELECT array_agg(g.tokens) FROM gone g)
      INTO v_line_calls, v_line_accounts, v_line_grants, v_line_tokens, v_line_spends, v_gone, v_gone_tokens
      FROM lines l;
    UPDATE grants g SET held = g.held - d.tokens, spent = g.spent + d.spend, left_ = g.left_ + d.tokens - d.spend
      FROM (SELECT l.grant_id, sum(l.tokens)::bigint AS tokens, sum(l.spend)::bigint AS spend
              FROM unnest(v_line_grants, v_line_tokens, v_line_spends) AS l (grant_id, tokens, spend) GROUP BY l.grant_id) d
     WHERE g.grant_id = d.grant_id AND g.grant_id = ANY (v_line_grants);
    INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id, at)
    SELECT l.account_id, l.grant_id, 'grant', 'spent', l.spend, l.request_id, v_now
      FROM unnest(v_line_calls, v_line_accounts, v_line_grants, v_line_spends) AS l (request_id, account_id, grant_id, spend)
     WHERE l.spend > 0;
    UPDATE api_keys k SET held = k.held - d.held, spent = k.spent + d.charge, last_used_at = greatest(k.last_used_at, d.last_used_at)
      FROM (SELECT (x.call).key_id, sum(x.tokens)::bigint AS held, sum(least((x.call).charge, x.tokens))::bigint AS charge,
                   max((x.call).started_at) AS last_used_at
              FROM (SELECT v_calls[array_position(v_ids, h.request_id)] AS call, h.tokens
                      FROM unnest(v_gone, v_gone_tokens) AS h (request_id, tokens) OFFSET 0) x
             GROUP BY 1) d
     WHERE k.key_id = d.key_id AND k.key_id = ANY (v_keys);

    -- Whoever has no hold is charged after the others have given back theirs.
    FOR n IN 1 .. cardinality(v_ids) LOOP
        v_place := array_position(v_gone, v_ids[n]);
        v_held[n] := coalesce(v_gone_tokens[v_place], 0);
        v_charges[n] := CASE WHEN v_place IS NULL THEN charge_unheld(v_calls[n], v_now) ELSE least(v_calls[n].charge, v_held[n]) END;
    END LOOP;
    INSERT INTO usage_records AS u (request_id, account_id, key_id, model_id, supplier_id, channel_id, price_version, endpoint, streamed,
                                    outcome, basis, http_status, input_tokens, cached_tokens, output_tokens, held, charge, written_off,
                                    upstream_usage, started_at, first_byte_ms, latency_ms, recorded_at)
    SELECT (x.c).request_id, (x.c).account_id, (x.c).key_id, (x.c).model_id, (x.c).supplier_id, (x.c).channel_id, (x.c).price_version,
           (x.c).endpoint, (x.c).streamed, (x.c).outcome, (x.c).basis, (x.c).http_status, (x.c).input_tokens, (x.c).cached_tokens,
           (x.c).output_tokens, x.held, x.charge, (x.c).charge - x.charge, (x.c).upstream_usage, (x.c).started_at, (x.c).first_byte_ms,
           (x.c).latency_ms, v_now
      FROM (SELECT v_calls[n] AS c, v_held[n] AS held, v_charges[n] AS charge FROM generate_subscripts(v_ids, 1) n OFFSET 0) x
    ON CONFLICT ON CONSTRAINT usage_records_pkey DO UPDATE
       SET channel_id = excluded.channel_id, outcome = excluded.outcome, basis = excluded.basis, http_status = excluded.http_status,
           input_tokens = excluded.input_tokens, cached_tokens = excluded.cached_tokens, output_tokens = excluded.output_tokens,
           charge = excluded.charge, written_off = excluded.written_off, upstream_usage = excluded.upstream_usage,
           started_at = excluded.started_at, first_byte_ms = excluded.first_byte_ms, latency_ms = excluded.latency_ms,
           recorded_at = excluded.recorded_at
     WHERE u.outcome = 'interrupted';

    SELECT array_agg((SELECT k.quota - k.spent - k.held FROM api_keys k WHERE k.key_id = v_keys[n]) ORDER BY n) INTO v_quotas
      FROM generate_subscripts(v_keys, 1) n;
    SELECT array_agg((
               SELECT coalesce(sum(g.left_), 0)::bigint FROM grants g
                WHERE g.account_id = v_accounts[n] AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= v_now AND g.expires_at > v_now)
           ORDER BY n)
      INTO v_balances
      FROM generate_subscripts(v_accounts, 1) n;
    RETURN QUERY
        SELECT c.request_id, CASE WHEN p.place IS NULL THEN 'duplicate' ELSE 'settled' END,
               coalesce(v_charges[p.place], (SELECT u.charge FROM usage_records u WHERE u.request_id = c.request_id)),
               v_balances[array_position(v_accounts, c.account_id)], v_quotas[array_position(v_keys, c.key_id)]
          FROM unnest(p_calls) WITH ORDINALITY c, LATERAL (SELECT array_position(v_ids, c.request_id) AS place OFFSET 0) p
         ORDER BY c.ordinality;
END
$$;

-- As before; what it hands to settle_calls() has that function's new form.
CREATE OR REPLACE FUNCTION reap_holds(p_most integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_keys uuid[];
    v_settled integer;
BEGIN
    SELECT array_agg(locked.key_id) INTO v_keys FROM (
        SELECT k.key_id FROM api_keys k
         WHERE k.key_id IN (SELECT h.key_id FROM holds h WHERE h.deadline < clock_timestamp() ORDER BY h.deadline LIMIT p_most)
         ORDER BY k.key_id FOR NO KEY UPDATE SKIP LOCKED) locked;
    -- Read again under the lock: the owner may have settled or extended the call meanwhile.
    SELECT count(*) INTO v_settled FROM settle_calls((
        SELECT coalesce(array_agg(ROW(
                   h.request_id, h.account_id, h.key_id, h.model_id, h.supplier_id, NULL, h.price_version, h.endpoint, h.streamed,
                   'interrupted', 'waived', 0, 0, 0, 0, 0, NULL, h.created_at, NULL,
                   (extract(epoch FROM clock_timestamp() - h.created_at) * 1000)::bigint)::settlement), '{}')
          FROM (SELECT * FROM holds
                 WHERE key_id = ANY (v_keys) AND deadline < clock_timestamp()
                 ORDER BY deadline LIMIT p_most FOR UPDATE) h));
    RETURN v_settled;
END
$$;
