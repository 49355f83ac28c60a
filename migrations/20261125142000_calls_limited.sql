-- What limits calls beside Tokens that are there to spend: rates, calls at once, quotas of a period, lists of models and networks;
-- calls that are sent twice; and what is known of suppliers.

-- Limits of a key and of an account. NULL = none.
--
-- requests_full_at, tokens_full_at: when nothing of the minute is used any more. A use moves it by its share of a minute, and what
--                                   would move it beyond a minute from now is refused (the generic cell rate algorithm of ITU-T I.371).
-- running                           calls that hold Tokens of the key, as many as it has rows in holds.
-- period_began, period_used:        what the calls that were admitted in that period spent and hold. It is over when the next one begins.
ALTER TABLE api_keys
    ADD COLUMN requests_per_minute integer,
    ADD COLUMN tokens_per_minute   bigint,
    ADD COLUMN concurrent_calls    integer,
    ADD COLUMN allowed_models      text[],
    ADD COLUMN allowed_networks    cidr[],
    ADD COLUMN period              text,
    ADD COLUMN period_zone         text,
    ADD COLUMN period_quota        bigint,
    ADD COLUMN period_began        timestamptz,
    ADD COLUMN period_used         bigint  NOT NULL DEFAULT 0,
    ADD COLUMN running             integer NOT NULL DEFAULT 0,
    ADD COLUMN requests_full_at    timestamptz,
    ADD COLUMN tokens_full_at      timestamptz,
    ADD COLUMN limited             boolean NOT NULL GENERATED ALWAYS AS (
        requests_per_minute IS NOT NULL OR tokens_per_minute IS NOT NULL OR concurrent_calls IS NOT NULL) STORED,
    ADD CONSTRAINT api_keys_requests_per_minute_check CHECK (requests_per_minute BETWEEN 1 AND 1000000),
    ADD CONSTRAINT api_keys_tokens_per_minute_check CHECK (tokens_per_minute BETWEEN 1 AND 1000000000000),
    ADD CONSTRAINT api_keys_concurrent_calls_check CHECK (concurrent_calls BETWEEN 1 AND 100000),
    ADD CONSTRAINT api_keys_allowed_models_check CHECK (cardinality(allowed_models) BETWEEN 1 AND 200),
    ADD CONSTRAINT api_keys_allowed_networks_check CHECK (cardinality(allowed_networks) BETWEEN 1 AND 100),
    ADD CONSTRAINT api_keys_period_check CHECK (period IN ('day', 'week', 'month')),
    ADD CONSTRAINT api_keys_period_whole_check CHECK (num_nulls(period, period_zone, period_quota) IN (0, 3)),
    ADD CONSTRAINT api_keys_period_quota_check CHECK (period_quota >= 0),
    ADD CONSTRAINT api_keys_period_used_check CHECK (period_used >= 0),
    ADD CONSTRAINT api_keys_running_check CHECK (running >= 0);
UPDATE api_keys k SET running = h.calls FROM (SELECT key_id, count(*) AS calls FROM holds GROUP BY key_id) h WHERE k.key_id = h.key_id;
ALTER TABLE accounts
    ADD COLUMN requests_per_minute integer,
    ADD COLUMN tokens_per_minute   bigint,
    ADD COLUMN concurrent_calls    integer,
    ADD COLUMN requests_full_at    timestamptz,
    ADD COLUMN tokens_full_at      timestamptz,
    ADD COLUMN limited             boolean NOT NULL GENERATED ALWAYS AS (
        requests_per_minute IS NOT NULL OR tokens_per_minute IS NOT NULL OR concurrent_calls IS NOT NULL) STORED,
    ADD CONSTRAINT accounts_requests_per_minute_check CHECK (requests_per_minute BETWEEN 1 AND 1000000),
    ADD CONSTRAINT accounts_tokens_per_minute_check CHECK (tokens_per_minute BETWEEN 1 AND 1000000000000),
    ADD CONSTRAINT accounts_concurrent_calls_check CHECK (concurrent_calls BETWEEN 1 AND 100000);

-- on_leave          what becomes of an answer whose caller left: cancelled and counted, or read to its end within bounds and measured
-- prompt_overhead   Tokens that the supplier adds to each call beside what is sent, as a template of its own
ALTER TABLE suppliers
    ADD COLUMN on_leave        text   NOT NULL DEFAULT 'cancel',
    ADD COLUMN prompt_overhead bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT suppliers_on_leave_check CHECK (on_leave IN ('cancel', 'drain')),
    ADD CONSTRAINT suppliers_prompt_overhead_check CHECK (prompt_overhead BETWEEN 0 AND 1000000);
-- Those of the highest priority are tried first, by weight among themselves.
ALTER TABLE channels
    ADD COLUMN priority integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT channels_priority_check CHECK (priority BETWEEN -1000 AND 1000);

-- Calls that were sent with an Idempotency-Key, kept for a day. A call that ended and has no answer here cannot be answered again.
--
-- idempotency_hash   SHA-256 of the header
-- fingerprint        SHA-256 of endpoint and body
CREATE TABLE idempotent_calls (
    key_id           uuid        NOT NULL,
    idempotency_hash bytea       NOT NULL,
    fingerprint      bytea       NOT NULL,
    request_id       uuid        NOT NULL,
    answer           bytea,
    created_at       timestamptz NOT NULL,
    CONSTRAINT idempotent_calls_pkey PRIMARY KEY (key_id, idempotency_hash),
    CONSTRAINT idempotent_calls_request_id_key UNIQUE (request_id),
    CONSTRAINT idempotent_calls_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_keys (key_id),
    CONSTRAINT idempotent_calls_hashes_check CHECK (octet_length(idempotency_hash) = 32 AND octet_length(fingerprint) = 32)
);
CREATE INDEX idempotent_calls_created_at_idx ON idempotent_calls (created_at);

-- When the period that a moment lies in began, and when it ends. NULL where there is no period.
CREATE FUNCTION period_start(p_period text, p_zone text, p_at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT date_trunc(p_period, p_at, p_zone)
$$;
CREATE FUNCTION period_end(p_period text, p_zone text, p_at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT (date_trunc(p_period, p_at AT TIME ZONE p_zone) + ('1 ' || p_period)::interval) AT TIME ZONE p_zone
$$;

-- What of the quota of a key's period is used at a moment: nothing, when a new period has begun.
CREATE FUNCTION used_of_period(p_key api_keys, p_at timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_key.period_began = period_start(p_key.period, p_key.period_zone, p_at) THEN p_key.period_used ELSE 0 END
$$;

-- How much of a minute these Tokens are.
CREATE FUNCTION share_of_minute(p_tokens bigint, p_per_minute bigint) RETURNS interval LANGUAGE sql IMMUTABLE AS $$
    SELECT make_interval(secs => p_tokens * 60.0 / p_per_minute)
$$;
-- What of a minute goes back when a call ends that held Tokens and did not spend all: no more than has not passed anyway.
CREATE FUNCTION unused_of_minute(p_held bigint, p_unused bigint, p_per_minute bigint, p_since interval) RETURNS interval
LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest('0', least(share_of_minute(p_unused, p_per_minute), share_of_minute(p_held, p_per_minute) - p_since))
$$;

-- {limit, remaining, milliseconds until nothing is used}: of two rates the one of which less remains. NULL where there is no limit.
CREATE FUNCTION tighter_rate(p_other bigint[], p_per_minute bigint, p_now timestamptz, p_full_at timestamptz) RETURNS bigint[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_per_minute IS NULL OR p_other[2] <= r.remaining THEN p_other
                ELSE ARRAY[p_per_minute, r.remaining, ceil(r.used * 1000)::bigint] END
      FROM (SELECT u.used, greatest(0, floor((60 - u.used) * p_per_minute / 60 + 0.01))::bigint AS remaining
              FROM (SELECT greatest(0, extract(epoch FROM p_full_at - p_now)) AS used) u) r
$$;

-- The limits of a key or an account, and how far they are used.
CREATE TYPE call_limits AS (
    subject             uuid,
    requests_per_minute bigint,
    tokens_per_minute   bigint,
    concurrent_calls    bigint,
    requests_full_at    timestamptz,
    tokens_full_at      timestamptz,
    running             bigint
);

-- Admits a batch of calls. As before; new are the limits, and calls that were sent before.
--
-- p_address            where the call came from
-- p_idempotency_hash   NULL = sent without an Idempotency-Key
--
-- verdict: as before, and
--          address_refused        the key may not be used from there
--          period_exhausted       the key's quota of the period, which ends at period_ends
--          requests_limited | tokens_limited | calls_limited     retry_ms: when it may work
--          idempotency_mismatch | idempotency_running | idempotency_answered | idempotency_ended     of the call original_id
-- rate_requests, rate_tokens: {limit, remaining, reset in ms}, NULL where nothing limits them
DROP FUNCTION admit_calls(uuid[], bytea[], text[], text[], bigint[], bigint[], bigint[], boolean[], text[], boolean[], uuid, interval, boolean);
CREATE FUNCTION admit_calls(
    p_request_id uuid[], p_secret_hash bytea[], p_model_id text[], p_protocol text[], p_input_tokens bigint[],
    p_output_limit bigint[], p_choices bigint[], p_exact boolean[], p_endpoint text[], p_streamed boolean[],
    p_address inet[], p_idempotency_hash bytea[], p_fingerprint bytea[],
    p_owner uuid, p_hold_for interval, p_again boolean)
RETURNS TABLE (
    request_id uuid, verdict text, account_id uuid, key_id uuid, supplier_id uuid, upstream_id text, price_version integer,
    input_ppm bigint, cached_ppm bigint, output_ppm bigint, held bigint, output_limit bigint,
    channel_ids uuid[], base_urls text[], secrets_sealed bytea[], weights integer[], priorities integer[],
    on_leave text, prompt_overhead bigint, original_id uuid, period_ends timestamptz,
    rate_requests bigint[], rate_tokens bigint[], retry_ms bigint)
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
    v_key_calls integer[] := '{}';
    v_place integer;
    v_quota_left bigint;
    v_input numeric;
    v_available bigint;
    v_room numeric;
    v_most numeric;
    v_rest bigint;
    v_take bigint;
    v_grant_ids uuid[];
    v_grant_tokens bigint[];
    v_holds holds[] := '{}';
    -- Keys and accounts with limits: when nothing of their minute is used any more, and how many calls run.
    v_limit call_limits;
    v_limited uuid[] := '{}';
    v_requests_full timestamptz[] := '{}';
    v_tokens_full timestamptz[] := '{}';
    v_running bigint[] := '{}';
    v_places integer[];
    v_requests_next timestamptz[];
    v_tokens_next timestamptz[];
    v_known_call record;
    -- More than any rounding, less than anybody notices.
    c_minute CONSTANT interval := interval '60.001 seconds';
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
            RETURNING h.key_id, h.account_id, h.tokens, h.grant_ids, h.grant_tokens, h.created_at
        ), returned AS (
            UPDATE grants g SET left_ = g.left_ + l.tokens, held = g.held - l.tokens
              FROM (SELECT l.grant_id, sum(l.tokens)::bigint AS tokens
                      FROM gone h, unnest(h.grant_ids, h.grant_tokens) AS l (grant_id, tokens) GROUP BY l.grant_id) l
             WHERE g.grant_id = l.grant_id
        ), limited AS (
            UPDATE accounts a
               SET requests_full_at = a.requests_full_at - h.calls * interval '1 minute' / a.requests_per_minute,
                   tokens_full_at = a.tokens_full_at - share_of_minute(h.tokens, a.tokens_per_minute)
              FROM (SELECT h.account_id, sum(h.tokens)::bigint AS tokens, count(*) AS calls FROM gone h GROUP BY h.account_id) h
             WHERE a.account_id = h.account_id AND (a.requests_per_minute IS NOT NULL OR a.tokens_per_minute IS NOT NULL)
        )
        UPDATE api_keys k
           SET held = k.held - h.tokens, running = k.running - h.calls,
               requests_full_at = k.requests_full_at - h.calls * interval '1 minute' / k.requests_per_minute,
               tokens_full_at = k.tokens_full_at - share_of_minute(h.tokens, k.tokens_per_minute),
               period_used = k.period_used
                   - CASE WHEN k.period_began = period_start(k.period, k.period_zone, h.created_at) THEN h.tokens ELSE 0 END
          FROM (SELECT h.key_id, sum(h.tokens)::bigint AS tokens, count(*) AS calls, min(h.created_at) AS created_at
                  FROM gone h GROUP BY h.key_id) h
         WHERE k.key_id = h.key_id;
    END IF;

    FOR v_call IN
        SELECT c.*, k.key_id, k.account_id, k.status AS key_status, k.expires_at, k.quota - k.spent - k.held AS quota_left,
               k.period, k.period_zone,
               k.period_quota - k.period_used_now AS period_left,
               k.allowed_networks IS NULL OR EXISTS (SELECT 1 FROM unnest(k.allowed_networks) n WHERE c.address <<= n) AS address_allowed,
               CASE WHEN k.limited THEN ROW (k.key_id, k.requests_per_minute, k.tokens_per_minute, k.concurrent_calls,
                                             k.requests_full_at, k.tokens_full_at, k.running)::call_limits END AS key_limits,
               a.account_limits, m.on_leave, m.prompt_overhead, w.priorities,
               a.suspended_at, m.supplier_id, m.upstream_id, m.max_output_tokens, m.price_version, m.input_ppm, m.cached_ppm,
               m.output_ppm, w.channel_ids, w.base_urls, w.secrets_sealed, w.weights
          FROM unnest(p_request_id, p_secret_hash, p_model_id, p_protocol, p_input_tokens, p_output_limit, p_choices, p_exact,
                      p_endpoint, p_streamed, p_address, p_idempotency_hash, p_fingerprint) WITH ORDINALITY
               AS c (request_id, secret_hash, model_id, protocol, input_tokens, asked_limit, choices, exact, endpoint, streamed, address,
                     idempotency_hash, fingerprint, place)
          LEFT JOIN LATERAL (
              SELECT k.*, used_of_period(k, v_now) AS period_used_now
                FROM api_keys k WHERE k.secret_hash = c.secret_hash AND k.status <> 'deleted' OFFSET 0) k ON true
          LEFT JOIN LATERAL (
              SELECT a.suspended_at,
                     CASE WHEN a.limited THEN ROW (
                         a.account_id, a.requests_per_minute, a.tokens_per_minute, a.concurrent_calls, a.requests_full_at, a.tokens_full_at,
                         CASE WHEN a.concurrent_calls IS NOT NULL THEN
                             (SELECT sum(o.running) FROM api_keys o WHERE o.account_id = a.account_id) END)::call_limits END AS account_limits
                FROM accounts a WHERE a.account_id = k.account_id OFFSET 0) a ON true
          LEFT JOIN LATERAL (
              SELECT m.supplier_id, m.upstream_id, m.max_output_tokens, m.price_version, p.input_ppm, p.cached_ppm, p.output_ppm,
                     s.on_leave, s.prompt_overhead
                FROM models m
                JOIN suppliers s ON s.supplier_id = m.supplier_id
                JOIN model_prices p ON p.model_id = m.model_id AND p.version = m.price_version
               WHERE m.model_id = c.model_id AND m.status = 'enabled' AND s.status = 'enabled'
                 AND (k.supplier_id IS NULL OR k.supplier_id = m.supplier_id)
                 AND (k.allowed_models IS NULL OR c.model_id = ANY (k.allowed_models))
              OFFSET 0) m ON true
          LEFT JOIN LATERAL (
              SELECT array_agg(h.channel_id) AS channel_ids, array_agg(h.base_url) AS base_urls,
                     array_agg(h.secret_sealed) AS secrets_sealed, array_agg(h.weight) AS weights, array_agg(h.priority) AS priorities
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
        weights := v_call.weights; priorities := v_call.priorities; on_leave := v_call.on_leave;
        prompt_overhead := v_call.prompt_overhead;
        original_id := NULL; period_ends := NULL; rate_requests := NULL; rate_tokens := NULL; retry_ms := NULL;
        verdict := CASE
            WHEN v_call.key_id IS NULL THEN 'unknown_key'
            WHEN v_call.key_status <> 'enabled' THEN 'key_disabled'
            WHEN v_call.expires_at <= v_now THEN 'key_expired'
            WHEN v_call.suspended_at IS NOT NULL THEN 'account_suspended'
            WHEN NOT v_call.address_allowed THEN 'address_refused' END;
        IF verdict IS NOT NULL THEN RETURN NEXT; CONTINUE; END IF;

        -- A call that was sent before is answered from what is known of it, whatever has changed since.
        IF v_call.idempotency_hash IS NOT NULL THEN
            SELECT i.request_id, i.fingerprint, i.answer IS NOT NULL AS answered,
                   i.request_id = ANY (p_request_id) OR EXISTS (SELECT 1 FROM holds h WHERE h.request_id = i.request_id) AS running
              INTO v_known_call
              FROM idempotent_calls i
             WHERE i.key_id = v_call.key_id AND i.idempotency_hash = v_call.idempotency_hash AND i.created_at > v_now - interval '24 hours'
               AND i.request_id <> v_call.request_id;
            IF FOUND THEN
                original_id := v_known_call.request_id;
                verdict := CASE
                    WHEN v_known_call.fingerprint <> v_call.fingerprint THEN 'idempotency_mismatch'
                    WHEN v_known_call.answered THEN 'idempotency_answered'
                    WHEN v_known_call.running THEN 'idempotency_running'
                    ELSE 'idempotency_ended' END;
                RETURN NEXT; CONTINUE;
            END IF;
        END IF;
        verdict := CASE
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
        -- least() passes over what is NULL.
        v_quota_left := least(v_call.quota_left, v_call.period_left) - coalesce(v_key_held[array_position(v_key_ids, v_call.key_id)], 0);
        v_input := v_call.input_tokens + v_call.prompt_overhead;

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
                  - v_input * v_call.input_ppm;
        output_limit := least(coalesce(v_call.asked_limit, v_call.max_output_tokens), v_call.max_output_tokens);
        v_most := CASE
            WHEN v_room < 0 THEN 0
            WHEN v_call.output_ppm = 0 OR v_call.choices = 0 THEN output_limit
            ELSE trunc(v_room / (v_call.output_ppm::numeric * v_call.choices)) END;
        IF v_room < 0 OR v_most < output_limit THEN
            IF NOT v_call.exact THEN verdict := 'count_input'; output_limit := NULL; RETURN NEXT; CONTINUE; END IF;
            IF v_room < 0 OR v_most < 1 THEN
                verdict := CASE
                    WHEN v_quota_left < v_available AND v_call.period_left < coalesce(v_call.quota_left, v_available) THEN 'period_exhausted'
                    WHEN v_quota_left < v_available THEN 'quota_exhausted'
                    ELSE 'balance_exhausted' END;
                IF verdict = 'period_exhausted' THEN period_ends := period_end(v_call.period, v_call.period_zone, v_now); END IF;
                output_limit := NULL; RETURN NEXT; CONTINUE;
            END IF;
            output_limit := v_most;
        END IF;
        held := ceil((v_input * v_call.input_ppm
                      + output_limit::numeric * v_call.choices * v_call.output_ppm) / 1000000);

        v_places := '{}';
        FOR n IN 1 .. 2 LOOP
            v_limit := CASE n WHEN 1 THEN v_call.key_limits ELSE v_call.account_limits END;
            CONTINUE WHEN v_limit.subject IS NULL;
            v_place := array_position(v_limited, v_limit.subject);
            IF v_place IS NULL THEN
                v_limited := v_limited || v_limit.subject;
                v_place := cardinality(v_limited);
                v_requests_full[v_place] := greatest(v_limit.requests_full_at, v_now);
                v_tokens_full[v_place] := greatest(v_limit.tokens_full_at, v_now);
                v_running[v_place] := v_limit.running;
            END IF;
            v_places := v_places || v_place;
            v_requests_next[v_place] := v_requests_full[v_place] + interval '1 minute' / v_limit.requests_per_minute;
            v_tokens_next[v_place] := v_tokens_full[v_place] + share_of_minute(held, v_limit.tokens_per_minute);
            -- A call that is larger than its whole minute may run when nothing of the minute is used.
            verdict := CASE
                WHEN v_running[v_place] >= v_limit.concurrent_calls THEN 'calls_limited'
                WHEN v_requests_next[v_place] > v_now + c_minute THEN 'requests_limited'
                WHEN v_tokens_next[v_place] > v_now + c_minute AND v_tokens_full[v_place] > v_now THEN
                    CASE WHEN v_call.exact THEN 'tokens_limited' ELSE 'count_input' END END;
            rate_requests := tighter_rate(rate_requests, v_limit.requests_per_minute, v_now,
                                          CASE WHEN verdict IS NULL THEN v_requests_next[v_place] ELSE v_requests_full[v_place] END);
            rate_tokens := tighter_rate(rate_tokens, v_limit.tokens_per_minute, v_now,
                                        CASE WHEN verdict IS NULL THEN v_tokens_next[v_place] ELSE v_tokens_full[v_place] END);
            IF verdict IS NOT NULL THEN
                retry_ms := ceil(1000 * CASE verdict
                    WHEN 'requests_limited' THEN extract(epoch FROM v_requests_next[v_place] - v_now - interval '1 minute')
                    WHEN 'tokens_limited' THEN least(extract(epoch FROM v_tokens_full[v_place] - v_now),
                                                     extract(epoch FROM v_tokens_next[v_place] - v_now - interval '1 minute'))
                    ELSE 1 END);
                EXIT;
            END IF;
        END LOOP;
        IF verdict IS NOT NULL THEN held := NULL; output_limit := NULL; RETURN NEXT; CONTINUE; END IF;
        FOREACH v_place IN ARRAY v_places LOOP
            v_requests_full[v_place] := v_requests_next[v_place];
            v_tokens_full[v_place] := v_tokens_next[v_place];
            v_running[v_place] := v_running[v_place] + 1;
        END LOOP;

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
            v_key_calls := v_key_calls || 1;
        ELSE
            v_key_held[v_place] := v_key_held[v_place] + held;
            v_key_calls[v_place] := v_key_calls[v_place] + 1;
        END IF;
        IF v_call.idempotency_hash IS NOT NULL THEN
            INSERT INTO idempotent_calls AS i (key_id, idempotency_hash, fingerprint, request_id, created_at)
            VALUES (v_call.key_id, v_call.idempotency_hash, v_call.fingerprint, request_id, v_now)
            ON CONFLICT ON CONSTRAINT idempotent_calls_pkey DO UPDATE
               SET fingerprint = excluded.fingerprint, request_id = excluded.request_id, created_at = excluded.created_at, answer = NULL;
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
    UPDATE api_keys k
       SET held = k.held + v_key_held[array_position(v_key_ids, k.key_id)],
           running = k.running + v_key_calls[array_position(v_key_ids, k.key_id)],
           period_began = period_start(k.period, k.period_zone, v_now),
           period_used = CASE WHEN k.period IS NULL THEN 0 ELSE
               used_of_period(k, v_now) + v_key_held[array_position(v_key_ids, k.key_id)] END
     WHERE k.key_id = ANY (v_key_ids);
    IF v_limited <> '{}' THEN
        UPDATE api_keys k
           SET requests_full_at = v_requests_full[array_position(v_limited, k.key_id)],
               tokens_full_at = v_tokens_full[array_position(v_limited, k.key_id)]
         WHERE k.key_id = ANY (v_limited);
        UPDATE accounts a
           SET requests_full_at = v_requests_full[array_position(v_limited, a.account_id)],
               tokens_full_at = v_tokens_full[array_position(v_limited, a.account_id)]
         WHERE a.account_id = ANY (v_limited);
    END IF;
    INSERT INTO holds SELECT h.* FROM unnest(v_holds) h;
END
$$;

-- As before, within the quota of the period too.
CREATE OR REPLACE FUNCTION charge_unheld(p_call settlement, p_now timestamptz) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_rest bigint;
    v_charge bigint := 0;
    v_spend bigint;
    v_grant record;
BEGIN
    -- A report that comes late counts in the period in which it comes.
    SELECT greatest(0, least(p_call.charge, k.quota - k.spent - k.held,
                             k.period_quota - used_of_period(k, p_now)))
      INTO v_rest
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
    UPDATE api_keys k
       SET spent = k.spent + v_charge, last_used_at = greatest(k.last_used_at, p_call.started_at),
           period_began = period_start(k.period, k.period_zone, p_now),
           period_used = CASE WHEN k.period IS NULL THEN 0 ELSE used_of_period(k, p_now) + v_charge END
     WHERE k.key_id = p_call.key_id;
    RETURN v_charge;
END
$$;

-- As before; what a call held and did not spend goes back to its minute and its period too.
CREATE OR REPLACE FUNCTION settle_calls(p_calls settlement[])
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
    v_gone_since timestamptz[];
    v_keys_limited boolean;
    v_accounts_limited boolean;
    v_line_calls uuid[];
    v_line_accounts uuid[];
    v_line_grants uuid[];
    v_line_tokens bigint[];
    v_line_spends bigint[];
    v_place integer;
BEGIN
    SELECT array_agg(DISTINCT c.key_id), array_agg(DISTINCT c.account_id) INTO v_keys, v_accounts FROM unnest(p_calls) c;
    SELECT bool_or(l.limited) INTO v_keys_limited
      FROM (SELECT k.period IS NOT NULL OR k.tokens_per_minute IS NOT NULL AS limited
              FROM api_keys k WHERE k.key_id = ANY (v_keys) ORDER BY k.key_id FOR NO KEY UPDATE) l;
    SELECT bool_or(l.limited) INTO v_accounts_limited
      FROM (SELECT a.tokens_per_minute IS NOT NULL AS limited
              FROM accounts a WHERE a.account_id = ANY (v_accounts) ORDER BY a.account_id FOR NO KEY UPDATE) l;
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
        RETURNING h.request_id, h.account_id, h.tokens, h.grant_ids, h.grant_tokens, h.created_at
    ), lines AS (
        SELECT g.request_id, g.account_id, l.grant_id, l.tokens,
               greatest(0, least(l.tokens, (v_calls[array_position(v_ids, g.request_id)]).charge
                   - (sum(l.tokens) OVER (PARTITION BY g.request_id ORDER BY l.place) - l.tokens)))::bigint AS spend
          FROM gone g, unnest(g.grant_ids, g.grant_tokens) WITH ORDINALITY AS l (grant_id, tokens, place)
    )
    SELECT array_agg(l.request_id), array_agg(l.account_id), array_agg(l.grant_id), array_agg(l.tokens), array_agg(l.spend),
           (SELECT coalesce(array_agg(g.request_id), '{}') FROM gone g), (SELECT array_agg(g.tokens) FROM gone g),
           (SELECT array_agg(g.created_at) FROM gone g)
      INTO v_line_calls, v_line_accounts, v_line_grants, v_line_tokens, v_line_spends, v_gone, v_gone_tokens, v_gone_since
      FROM lines l;
    UPDATE grants g SET held = g.held - d.tokens, spent = g.spent + d.spend, left_ = g.left_ + d.tokens - d.spend
      FROM (SELECT l.grant_id, sum(l.tokens)::bigint AS tokens, sum(l.spend)::bigint AS spend
              FROM unnest(v_line_grants, v_line_tokens, v_line_spends) AS l (grant_id, tokens, spend) GROUP BY l.grant_id) d
     WHERE g.grant_id = d.grant_id AND g.grant_id = ANY (v_line_grants);
    INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id, at)
    SELECT l.account_id, l.grant_id, 'grant', 'spent', l.spend, l.request_id, v_now
      FROM unnest(v_line_calls, v_line_accounts, v_line_grants, v_line_spends) AS l (request_id, account_id, grant_id, spend)
     WHERE l.spend > 0;
    UPDATE api_keys k
       SET held = k.held - d.held, spent = k.spent + d.charge, running = k.running - d.calls,
           last_used_at = greatest(k.last_used_at, d.last_used_at)
      FROM (SELECT (x.call).key_id, count(*) AS calls, sum(x.tokens)::bigint AS held, sum(least((x.call).charge, x.tokens))::bigint AS charge,
                   max((x.call).started_at) AS last_used_at
              FROM (SELECT v_calls[array_position(v_ids, h.request_id)] AS call, h.tokens
                      FROM unnest(v_gone, v_gone_tokens) AS h (request_id, tokens) OFFSET 0) x
             GROUP BY 1) d
     WHERE k.key_id = d.key_id AND k.key_id = ANY (v_keys);
    -- What was held and not spent goes back to the minute and the period that it was taken from.
    IF v_keys_limited OR v_accounts_limited THEN
        WITH unused AS (
            SELECT (x.call).key_id, (x.call).account_id, x.held, x.held - least((x.call).charge, x.held) AS tokens, x.since
              FROM (SELECT v_calls[array_position(v_ids, h.request_id)] AS call, h.held, h.since
                      FROM unnest(v_gone, v_gone_tokens, v_gone_since) AS h (request_id, held, since) OFFSET 0) x
        ), of_accounts AS (
            UPDATE accounts a
               SET tokens_full_at = a.tokens_full_at - (
                       SELECT coalesce(sum(unused_of_minute(u.held, u.tokens, a.tokens_per_minute, v_now - u.since)), '0') FROM unused u
                        WHERE u.account_id = a.account_id)
             WHERE a.account_id = ANY (v_accounts) AND a.tokens_per_minute IS NOT NULL
        )
        UPDATE api_keys k
           SET period_used = k.period_used - (
                   SELECT coalesce(sum(u.tokens), 0) FROM unused u
                    WHERE u.key_id = k.key_id AND period_start(k.period, k.period_zone, u.since) = k.period_began),
               tokens_full_at = k.tokens_full_at - (
                   SELECT coalesce(sum(unused_of_minute(u.held, u.tokens, k.tokens_per_minute, v_now - u.since)), '0') FROM unused u
                    WHERE u.key_id = k.key_id)
         WHERE k.key_id = ANY (v_keys) AND (k.period IS NOT NULL OR k.tokens_per_minute IS NOT NULL);
    END IF;

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

-- As before, within the quota of the period too.
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
           AND NOT EXISTS (SELECT 1 FROM usage_records u WHERE u.request_id = h.request_id)
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
