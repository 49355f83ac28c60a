-- Calls that outlive their database: batches decided in a handful of statements, holds that a crash of Postgres forgot, and
-- settlements that arrive after the reaper.

-- Which replicas have their holds here. UNLOGGED on purpose: recovery after a crash empties it, and only such a crash can forget a
-- hold, which commits asynchronously. A replica that is missing puts its running calls' holds back before it admits again.
CREATE UNLOGGED TABLE replicas (
    owner   uuid        NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT replicas_pkey PRIMARY KEY (owner)
);

-- A usage record never changes, with one exception: what the reaper wrote of a call whose owner fell silent is completed, once, by
-- the owner's own report when that was only late.
CREATE FUNCTION refuse_usage_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.outcome = 'interrupted' AND NEW.outcome <> 'interrupted' AND NEW.request_id = OLD.request_id
       AND NEW.account_id = OLD.account_id AND NEW.key_id = OLD.key_id THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
DROP TRIGGER usage_records_append_only ON usage_records;
CREATE TRIGGER usage_records_append_only BEFORE UPDATE OR DELETE ON usage_records FOR EACH ROW EXECUTE FUNCTION refuse_usage_change();

-- Whether a grant's scope lets it pay for a call.
CREATE FUNCTION pays_for(p_grant grants, p_supplier_id uuid, p_model_id text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT (p_grant.scope_supplier_ids = '{}' OR p_supplier_id = ANY (p_grant.scope_supplier_ids))
       AND (p_grant.scope_model_ids = '{}' OR p_model_id = ANY (p_grant.scope_model_ids))
$$;

-- The grants that can pay for one call now, in burn order.
CREATE FUNCTION grants_in_burn_order(p_account_id uuid, p_supplier_id uuid, p_model_id text, p_now timestamptz)
RETURNS SETOF grants LANGUAGE sql STABLE AS $$
    SELECT g.* FROM grants g
     WHERE g.account_id = p_account_id AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= p_now AND g.expires_at > p_now
       AND pays_for(g, p_supplier_id, p_model_id)
     ORDER BY g.scoped DESC, g.expires_at, g.created_at, g.grant_id
$$;

-- Admits a batch of calls. As before in what it decides; new is how: one statement reads what all calls need, each account's grants
-- are read and written once, whatever the number of its calls, and the holds go in together.
--
-- Calls of one account are decided in the order given. A refused call leaves no trace and its neighbours alone.
--
-- p_again           whether some of these calls may have been admitted before, with an answer that was lost on its way: what they
--                   hold is given back first, and they are decided anew
--
-- verdict: as before, and holds_forgotten: nothing was decided, since this database knows no holds of p_owner (`restore_holds`)
DROP FUNCTION admit_calls(uuid[], bytea[], text[], text[], bigint[], bigint[], bigint[], boolean[], text[], boolean[], uuid, interval);
CREATE FUNCTION admit_calls(
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
    v_accounts uuid[];
    v_call record;
    -- Of the account that is being decided on: its grants in burn order, and what each has left.
    v_account uuid;
    v_grants grants[];
    v_left bigint[];
    v_all_left bigint;
    v_any_scoped boolean;
    -- Of its keys: what this batch has held on each so far.
    v_key_ids uuid[];
    v_key_held bigint[];
    v_key integer;
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
    IF NOT EXISTS (SELECT 1 FROM replicas r WHERE r.owner = p_owner) THEN
        verdict := 'holds_forgotten';
        FOREACH request_id IN ARRAY p_request_id LOOP RETURN NEXT; END LOOP;
        RETURN;
    END IF;
    SELECT array_agg(DISTINCT l.account_id) INTO v_accounts
      FROM (SELECT k.account_id FROM api_keys k WHERE k.secret_hash = ANY (p_secret_hash) ORDER BY k.key_id FOR NO KEY UPDATE) l;
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
            v_key_ids := '{}';
            v_key_held := '{}';
            SELECT coalesce(array_agg(g ORDER BY g.scoped DESC, g.expires_at, g.created_at, g.grant_id), '{}'),
                   coalesce(array_agg(g.left_ ORDER BY g.scoped DESC, g.expires_at, g.created_at, g.grant_id), '{}'),
                   coalesce(sum(g.left_), 0), coalesce(bool_or(g.scoped), false)
              INTO v_grants, v_left, v_all_left, v_any_scoped
              FROM grants g
             WHERE g.account_id = v_account AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= v_now AND g.expires_at > v_now;
        END IF;
        v_key := array_position(v_key_ids, v_call.key_id);
        IF v_key IS NULL THEN
            v_key_ids := v_key_ids || v_call.key_id;
            v_key_held := v_key_held || 0::bigint;
            v_key := cardinality(v_key_ids);
        END IF;
        v_quota_left := v_call.quota_left - v_key_held[v_key];

        -- How much output fits into what the wallet and the key have left, once the input is paid for?
        v_available := v_all_left;
        IF v_any_scoped THEN
            v_available := 0;
            FOR n IN 1 .. cardinality(v_left) LOOP
                IF pays_for(v_grants[n], v_call.supplier_id, v_call.model_id) THEN
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
            IF v_any_scoped THEN
                CONTINUE WHEN NOT pays_for(v_grants[n], v_call.supplier_id, v_call.model_id);
            END IF;
            v_take := least(v_left[n], v_rest);
            v_left[n] := v_left[n] - v_take;
            v_all_left := v_all_left - v_take;
            v_rest := v_rest - v_take;
            v_grant_ids := v_grant_ids || v_grants[n].grant_id;
            v_grant_tokens := v_grant_tokens || v_take;
        END LOOP;
        IF v_rest > 0 THEN
            RAISE EXCEPTION 'hold of % Tokens found % too few', held, v_rest;
        END IF;
        v_key_held[v_key] := v_key_held[v_key] + held;
        v_holds := v_holds || ROW(request_id, account_id, key_id, v_call.model_id, supplier_id, price_version, v_call.endpoint,
                                  v_call.streamed, held, v_grant_ids, v_grant_tokens, p_owner, v_now + p_hold_for, v_now)::holds;
        verdict := 'admitted';
        RETURN NEXT;
    END LOOP;
    IF v_holds = '{}' THEN RETURN; END IF;

    -- What grants and keys change by is what the holds say.
    SELECT array_agg(l.grant_id), array_agg(l.tokens) INTO v_grant_ids, v_grant_tokens
      FROM (SELECT l.grant_id, sum(l.tokens)::bigint AS tokens
              FROM unnest(v_holds) h, unnest(h.grant_ids, h.grant_tokens) AS l (grant_id, tokens) GROUP BY l.grant_id) l;
    UPDATE grants g SET left_ = g.left_ - c.tokens, held = g.held + c.tokens
      FROM unnest(v_grant_ids, v_grant_tokens) AS c (grant_id, tokens)
     WHERE g.grant_id = c.grant_id AND g.grant_id = ANY (v_grant_ids);
    SELECT array_agg(h.key_id), array_agg(h.tokens) INTO v_key_ids, v_key_held
      FROM (SELECT h.key_id, sum(h.tokens)::bigint AS tokens FROM unnest(v_holds) h GROUP BY h.key_id) h;
    UPDATE api_keys k SET held = k.held + c.tokens
      FROM unnest(v_key_ids, v_key_held) AS c (key_id, tokens)
     WHERE k.key_id = c.key_id AND k.key_id = ANY (v_key_ids) AND c.tokens > 0;
    INSERT INTO holds SELECT h.* FROM unnest(v_holds) h;
END
$$;

-- Charges a call that has no hold: what the account's grants and the key's quota can still pay, in burn order. Returns the charge.
-- The caller holds the locks of key and account.
CREATE FUNCTION charge_unheld(p_call usage_records, p_now timestamptz) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
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

-- Settles a batch of finished calls, each exactly once whoever else tries. p_settlements is an array of objects with the columns of
-- usage_records. `charge` is what the call cost; what exceeds its hold is written off.
--
-- A call without a hold was forgotten by a crash of Postgres, or reaped because its owner was silent: it is charged what account and
-- key can still pay, and takes the place of the reaper's record.
--
-- verdict: settled | duplicate (the record that was there first stands, and its charge is returned)
-- balance_left, quota_left: after this batch; quota_left NULL = the key has no quota of its own.
CREATE OR REPLACE FUNCTION settle_calls(p_settlements jsonb)
RETURNS TABLE (request_id uuid, verdict text, charge bigint, balance_left bigint, quota_left bigint)
LANGUAGE plpgsql VOLATILE
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_calls usage_records[];
    v_ids uuid[];
    v_keys uuid[];
    v_accounts uuid[];
    v_balances bigint[];
    v_closed uuid[];
    -- The first report of each call that is to be settled, the same calls' ids, and their holds.
    v_first usage_records[];
    v_settled uuid[];
    v_gone holds[];
    -- What each hold draws on: its grants, and how much of each is spent.
    v_line_calls uuid[];
    v_line_accounts uuid[];
    v_line_grants uuid[];
    v_line_tokens bigint[];
    v_line_spends bigint[];
    v_call usage_records;
BEGIN
    SELECT coalesce(array_agg(c), '{}'), coalesce(array_agg(c.request_id), '{}'), array_agg(DISTINCT c.key_id), array_agg(DISTINCT c.account_id)
      INTO v_calls, v_ids, v_keys, v_accounts
      FROM jsonb_populate_recordset(NULL::usage_records, p_settlements) c;
    PERFORM 1 FROM api_keys k WHERE k.key_id = ANY (v_keys) ORDER BY k.key_id FOR NO KEY UPDATE;
    PERFORM 1 FROM accounts a WHERE a.account_id = ANY (v_accounts) ORDER BY a.account_id FOR NO KEY UPDATE;
    v_now := clock_timestamp();

    -- Calls that have a record stay as they are, unless it is the reaper's and this is the owner's report.
    SELECT coalesce(array_agg(u.request_id), '{}') INTO v_closed
      FROM usage_records u
     WHERE u.request_id = ANY (v_ids)
       AND (u.outcome <> 'interrupted' OR v_calls[array_position(v_ids, u.request_id)].outcome = 'interrupted');
    SELECT coalesce(array_agg(v_calls[n] ORDER BY v_ids[n]), '{}'), coalesce(array_agg(v_ids[n] ORDER BY v_ids[n]), '{}')
      INTO v_first, v_settled
      FROM generate_subscripts(v_ids, 1) n
     WHERE array_position(v_ids, v_ids[n]) = n AND v_ids[n] <> ALL (v_closed);

    WITH gone AS (DELETE FROM holds h WHERE h.request_id = ANY (v_settled) RETURNING h.*)
    SELECT coalesce(array_agg(ROW(g.*)::holds ORDER BY g.request_id), '{}') INTO v_gone FROM gone g;

    SELECT array_agg(l.request_id), array_agg(l.account_id), array_agg(l.grant_id), array_agg(l.tokens), array_agg(l.spend)
      INTO v_line_calls, v_line_accounts, v_line_grants, v_line_tokens, v_line_spends
      FROM (SELECT h.request_id, h.account_id, l.grant_id, l.tokens,
                   greatest(0, least(l.tokens, c.charge
                       - (sum(l.tokens) OVER (PARTITION BY h.request_id ORDER BY l.place) - l.tokens)))::bigint AS spend
              FROM unnest(v_gone) h,
                   LATERAL (SELECT v_first[array_position(v_settled, h.request_id)].charge OFFSET 0) c,
                   unnest(h.grant_ids, h.grant_tokens) WITH ORDINALITY AS l (grant_id, tokens, place)
             ORDER BY h.request_id, l.place) l;
    UPDATE grants g SET held = g.held - d.tokens, spent = g.spent + d.spend, left_ = g.left_ + d.tokens - d.spend
      FROM (SELECT l.grant_id, sum(l.tokens)::bigint AS tokens, sum(l.spend)::bigint AS spend
              FROM unnest(v_line_grants, v_line_tokens, v_line_spends) AS l (grant_id, tokens, spend) GROUP BY l.grant_id) d
     WHERE g.grant_id = d.grant_id AND g.grant_id = ANY (v_line_grants);
    INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id, at)
    SELECT l.account_id, l.grant_id, 'grant', 'spent', l.spend, l.request_id, v_now
      FROM unnest(v_line_calls, v_line_accounts, v_line_grants, v_line_spends) AS l (request_id, account_id, grant_id, spend)
     WHERE l.spend > 0;
    UPDATE api_keys k SET held = k.held - d.held, spent = k.spent + d.charge, last_used_at = greatest(k.last_used_at, d.last_used_at)
      FROM (SELECT h.key_id, sum(h.tokens)::bigint AS held, sum(least(c.charge, h.tokens))::bigint AS charge, max(c.started_at) AS last_used_at
              FROM unnest(v_gone) h,
                   LATERAL (SELECT (x.c).charge, (x.c).started_at
                              FROM (SELECT v_first[array_position(v_settled, h.request_id)] AS c OFFSET 0) x OFFSET 0) c
             GROUP BY h.key_id) d
     WHERE k.key_id = d.key_id AND k.key_id = ANY (v_keys);
    INSERT INTO usage_records (request_id, account_id, key_id, model_id, supplier_id, channel_id, price_version, endpoint, streamed,
                               outcome, basis, http_status, input_tokens, cached_tokens, output_tokens, held, charge, written_off,
                               upstream_usage, started_at, first_byte_ms, latency_ms, recorded_at)
    SELECT h.request_id, (x.c).account_id, (x.c).key_id, (x.c).model_id, (x.c).supplier_id, (x.c).channel_id, (x.c).price_version,
           (x.c).endpoint, (x.c).streamed, (x.c).outcome, (x.c).basis, (x.c).http_status, (x.c).input_tokens, (x.c).cached_tokens,
           (x.c).output_tokens, h.tokens, least((x.c).charge, h.tokens), (x.c).charge - least((x.c).charge, h.tokens),
           (x.c).upstream_usage, (x.c).started_at, (x.c).first_byte_ms, (x.c).latency_ms, v_now
      FROM unnest(v_gone) h, LATERAL (SELECT v_first[array_position(v_settled, h.request_id)] AS c OFFSET 0) x;

    -- What is left has no hold. Rare, so one after the other.
    IF cardinality(v_gone) < cardinality(v_first) THEN
        FOR v_call IN
            SELECT c.* FROM unnest(v_first) c
             WHERE c.request_id NOT IN (SELECT h.request_id FROM unnest(v_gone) h) ORDER BY c.request_id
        LOOP
            v_call.written_off := v_call.charge;
            v_call.charge := charge_unheld(v_call, v_now);
            v_call.written_off := v_call.written_off - v_call.charge;
            v_call.held := 0;
            v_call.recorded_at := v_now;
            UPDATE usage_records u
               SET channel_id = v_call.channel_id, outcome = v_call.outcome, basis = v_call.basis, http_status = v_call.http_status,
                   input_tokens = v_call.input_tokens, cached_tokens = v_call.cached_tokens, output_tokens = v_call.output_tokens,
                   charge = v_call.charge, written_off = v_call.written_off, upstream_usage = v_call.upstream_usage,
                   started_at = v_call.started_at, first_byte_ms = v_call.first_byte_ms, latency_ms = v_call.latency_ms, recorded_at = v_now
             WHERE u.request_id = v_call.request_id AND u.outcome = 'interrupted' AND v_call.outcome <> 'interrupted';
            IF NOT FOUND THEN
                INSERT INTO usage_records SELECT v_call.*;
            END IF;
        END LOOP;
    END IF;

    SELECT array_agg((
               SELECT coalesce(sum(g.left_), 0)::bigint FROM grants g
                WHERE g.account_id = v_accounts[n] AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= v_now AND g.expires_at > v_now)
           ORDER BY n)
      INTO v_balances
      FROM generate_subscripts(v_accounts, 1) n;
    RETURN QUERY
        SELECT c.request_id, CASE WHEN c.request_id = ANY (v_settled) THEN 'settled' ELSE 'duplicate' END,
               (SELECT u.charge FROM usage_records u WHERE u.request_id = c.request_id),
               v_balances[array_position(v_accounts, c.account_id)],
               (SELECT k.quota - k.spent - k.held FROM api_keys k WHERE k.key_id = c.key_id)
          FROM unnest(v_calls) WITH ORDINALITY c
         ORDER BY c.ordinality;
END
$$;

-- Puts back the holds of a replica's running calls that this database forgot, and notes that it knows the replica again. p_holds is
-- an array of objects with the columns of holds; grants are chosen anew. Where account or key cannot cover a call any more, it is
-- held what they can. Returns how many it put back.
CREATE FUNCTION restore_holds(p_owner uuid, p_hold_for interval, p_holds jsonb) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
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
           AND NOT EXISTS (SELECT 1 FROM usage_records u WHERE u.request_id = h.request_id)
    LOOP
        SELECT greatest(0, least(v_hold.tokens, coalesce(k.quota - k.spent - k.held, v_hold.tokens))) INTO v_rest
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
        UPDATE api_keys k SET held = k.held + v_hold.tokens WHERE k.key_id = v_hold.key_id;
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

-- The hot path's references point at rows that nobody can delete, so checking each of them at every insert proves nothing: the rows
-- they name were read and locked by the very function that inserts. `toki audit` finds whatever has no grant or key all the same.
ALTER TABLE holds DROP CONSTRAINT holds_key_id_fkey;
ALTER TABLE usage_records DROP CONSTRAINT usage_records_key_id_fkey;
ALTER TABLE ledger DROP CONSTRAINT ledger_grant_id_fkey;
CREATE FUNCTION refuse_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never removed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER grants_no_delete BEFORE DELETE ON grants FOR EACH ROW EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER grants_no_truncate BEFORE TRUNCATE ON grants FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER api_keys_no_delete BEFORE DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER api_keys_no_truncate BEFORE TRUNCATE ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
