-- Calls outlive what happens to clocks and holds: a clock that is set back, a hold that a crash took a part of or that lies beside its
-- call's record, one that nobody can settle, and a month whose calls came before their time. And replies say what limits leave, wherever
-- there are any.

-- What was held at first, of a hold that is settled by itself (settle_unheld): one of which a crash took a part, and one whose admission
-- was asked for again, beside which the reaper may have left a record. NULL = any other.
ALTER TABLE holds ADD COLUMN wanted bigint;

-- What of the quota of a key's period is used at a moment: nothing, when a new period has begun. A period that is yet to begin, because the
-- clock was set back, is the one that runs: begun anew, its quota would be spent twice. It is never written backwards.
CREATE OR REPLACE FUNCTION used_of_period(p_key api_keys, p_at timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_key.period_began >= period_start(p_key.period, p_key.period_zone, p_at) THEN p_key.period_used ELSE 0 END
$$;

-- What a key was charged in the calendar month (UTC) of a moment, until then, and a day more: a replica's clock may be ahead of this one,
-- and this one may have been set back. A call counts in the month in which it began, as on every page.
CREATE OR REPLACE FUNCTION charged_in_month(p_account_id uuid, p_key_id uuid, p_at timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(t.charge), 0)::bigint
      FROM generate_series(date_trunc('month', p_at AT TIME ZONE 'UTC'),
                           least(p_at AT TIME ZONE 'UTC' + interval '1 day',
                                 date_trunc('month', p_at AT TIME ZONE 'UTC') + interval '1 month' - interval '1 day'),
                           interval '1 day') AS d (day)
      JOIN usage_totals t ON t.account_id = p_account_id AND t.unit = 'day' AND t.starts_at = d.day AT TIME ZONE 'UTC'
                         AND t.key_id = p_key_id
$$;

-- As before, and forgets that these calls were sent under an Idempotency-Key: whichever is refused now was never sent to anybody.
CREATE OR REPLACE FUNCTION take_back_holds(p_request_id uuid[], p_owner uuid) RETURNS void LANGUAGE sql VOLATILE AS $$
    DELETE FROM idempotent_calls i WHERE i.request_id = ANY (p_request_id);
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
           period_used = greatest(0, k.period_used - (
               SELECT coalesce(sum(g.tokens), 0) FROM gone g
                WHERE g.key_id = k.key_id AND period_start(k.period, k.period_zone, g.created_at) >= k.period_began))
      FROM (SELECT h.key_id, sum(h.tokens)::bigint AS tokens, count(*) AS calls FROM gone h GROUP BY h.key_id) h
     WHERE k.key_id = h.key_id
$$;

-- As before, with a clock that may be set back: a period is never begun again, nor are requests of a minute waited for until the clock is
-- where it was. (Tokens of a minute are: one call may use more than a minute of them, so nothing tells the two apart.) A call that is
-- refused for want of Tokens is told of the rates that limit its key, too: computed where there are any and it is refused, so that no other
-- call costs more.
CREATE OR REPLACE FUNCTION admit_calls(
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
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_known boolean;
    v_keys api_keys[];
    v_hashes bytea[];
    v_key_accounts uuid[];
    v_accounts accounts[];
    v_account_ids uuid[];
    v_offers call_offer[];
    v_offer_names text[];
    -- The calls in the order in which they are decided, account by account; NULL = as they came.
    v_order integer[];
    n integer;
    -- What the call at hand is about.
    v_place integer;
    v_at integer;
    v_key api_keys;
    v_account accounts;
    v_limited boolean;
    v_offer call_offer;
    v_offer_place integer;
    v_wanted integer;
    -- Grants of all accounts in burn order, and what each has left; a grant without a scope is NULL in v_scopes. Those of the account at
    -- hand are at v_first to v_last.
    v_grants uuid[];
    v_grant_accounts uuid[];
    v_left bigint[];
    v_scopes grants[];
    v_scoped boolean;
    v_first integer;
    v_last integer;
    v_all_left bigint;
    -- What this batch holds of each grant and key that it touches.
    v_taken_ids uuid[] := '{}';
    v_taken bigint[] := '{}';
    v_key_ids uuid[] := '{}';
    v_key_held bigint[] := '{}';
    v_key_calls integer[] := '{}';
    v_key_place integer;
    v_own_left bigint;
    v_quota_left bigint;
    v_period_left bigint;
    -- Members with limits, as their account and user, and what is left to each of both limits.
    v_members text[];
    v_member_left bigint[];
    v_month_left bigint[];
    v_member integer;
    v_input numeric;
    v_available bigint;
    v_room numeric;
    v_most numeric;
    v_rest bigint;
    v_take bigint;
    v_limits bigint[];
    v_grant_ids uuid[];
    v_grant_tokens bigint[];
    v_holds holds[] := '{}';
    -- Keys and accounts with limits: when nothing of their minute is used any more, and how many calls run.
    v_limit call_limits;
    v_subjects uuid[] := '{}';
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
    -- Plain calls of one key: one statement for what they are about, and one for each table that they change.
    IF NOT p_again AND p_secret_hash[1] = ALL (p_secret_hash) AND p_model_id[1] = ALL (p_model_id) AND p_protocol[1] = ALL (p_protocol)
       AND num_nonnulls(VARIADIC p_idempotency_hash) = 0 THEN
        SELECT k.key_id, k.account_id, m.supplier_id, m.upstream_id, m.price_version, p.input_ppm, p.cached_ppm, p.output_ppm,
               s.on_leave, s.prompt_overhead, w.channel_ids, w.base_urls, w.secrets_sealed, w.weights, w.priorities, c.limits, c.held
          INTO key_id, account_id, supplier_id, upstream_id, price_version, input_ppm, cached_ppm, output_ppm,
               on_leave, prompt_overhead, channel_ids, base_urls, secrets_sealed, weights, priorities, v_limits, v_taken
          FROM api_keys k
          JOIN accounts a ON a.account_id = k.account_id
          JOIN replicas r ON r.owner = p_owner
          JOIN models m ON m.model_id = p_model_id[1] AND m.status = 'enabled'
          JOIN suppliers s ON s.supplier_id = m.supplier_id AND s.status = 'enabled'
          JOIN model_prices p ON p.model_id = p_model_id[1] AND p.version = m.price_version
         CROSS JOIN LATERAL (
              SELECT array_agg(h.channel_id) AS channel_ids, array_agg(h.base_url) AS base_urls, array_agg(h.secret_sealed) AS secrets_sealed,
                     array_agg(h.weight) AS weights, array_agg(h.priority) AS priorities
                FROM channels h
               WHERE h.supplier_id = m.supplier_id AND h.status = 'enabled' AND h.protocol = p_protocol[1]) w
         CROSS JOIN LATERAL (
              SELECT array_agg(least(c.asked_limit, m.max_output_tokens)) AS limits,
                     array_agg(ceil(((c.input_tokens + s.prompt_overhead)::numeric * p.input_ppm
                         + least(c.asked_limit, m.max_output_tokens)::numeric * c.choices * p.output_ppm) / 1000000)::bigint) AS held
                FROM unnest(p_input_tokens, p_output_limit, p_choices) AS c (input_tokens, asked_limit, choices)) c
         WHERE k.secret_hash = p_secret_hash[1] AND k.status = 'enabled' AND a.suspended_at IS NULL AND w.channel_ids IS NOT NULL
           AND num_nonnulls(k.quota, k.expires_at, k.supplier_id, k.allowed_models, k.allowed_networks, k.period, k.requests_per_minute,
                            k.tokens_per_minute, k.concurrent_calls, a.requests_per_minute, a.tokens_per_minute, a.concurrent_calls) = 0
           AND NOT EXISTS (SELECT FROM members b WHERE b.account_id = k.account_id AND b.user_id = k.created_by
                              AND num_nonnulls(b.quota, b.month_quota) > 0)
           FOR NO KEY UPDATE OF k, a;
        -- A call that costs nothing holds nothing of any grant.
        IF FOUND AND 0 < ALL (v_taken) THEN
            v_now := clock_timestamp();
            v_rest := CASE WHEN cardinality(v_taken) = 1 THEN v_taken[1] ELSE (SELECT sum(c) FROM unnest(v_taken) c) END;
            UPDATE grants g SET left_ = g.left_ - v_rest, held = g.held + v_rest
             WHERE g.grant_id = (SELECT f.grant_id FROM grants f
                                  WHERE f.account_id = admit_calls.account_id AND f.swept_at IS NULL AND f.left_ > 0
                                    AND f.starts_at <= v_now AND f.expires_at > v_now
                                  ORDER BY f.account_id, f.scoped DESC, f.expires_at, f.created_at, f.grant_id LIMIT 1)
               AND NOT g.scoped AND g.left_ >= v_rest
            RETURNING ARRAY[g.grant_id] INTO v_grant_ids;
            IF FOUND THEN
                UPDATE api_keys k SET held = k.held + v_rest, running = k.running + cardinality(v_taken) WHERE k.key_id = admit_calls.key_id;
                INSERT INTO holds
                SELECT c.request_id, admit_calls.account_id, admit_calls.key_id, p_model_id[1], admit_calls.supplier_id,
                       admit_calls.price_version, c.endpoint, c.streamed, c.held, v_grant_ids, ARRAY[c.held], p_owner, v_now + p_hold_for, v_now
                  FROM unnest(p_request_id, p_endpoint, p_streamed, v_taken) AS c (request_id, endpoint, streamed, held);
                verdict := 'admitted';
                FOR i IN 1 .. cardinality(p_request_id) LOOP
                    request_id := p_request_id[i];
                    held := v_taken[i];
                    output_limit := v_limits[i];
                    RETURN NEXT;
                END LOOP;
                RETURN;
            END IF;
        END IF;
        v_taken := '{}';
    END IF;

    SELECT array_agg(l.key), array_agg(l.secret_hash), array_agg(l.account_id), EXISTS (SELECT 1 FROM replicas r WHERE r.owner = p_owner)
      INTO v_keys, v_hashes, v_key_accounts, v_known
      FROM (SELECT k AS key, k.secret_hash, k.account_id FROM api_keys k
             WHERE k.secret_hash = ANY (p_secret_hash) AND k.status <> 'deleted' ORDER BY k.key_id FOR NO KEY UPDATE) l;
    IF NOT v_known THEN
        verdict := 'holds_forgotten';
        FOREACH request_id IN ARRAY p_request_id LOOP RETURN NEXT; END LOOP;
        RETURN;
    END IF;
    SELECT array_agg(l.account), array_agg(l.account_id) INTO v_accounts, v_account_ids
      FROM (SELECT a AS account, a.account_id FROM accounts a
             WHERE a.account_id = ANY (v_key_accounts) ORDER BY a.account_id FOR NO KEY UPDATE) l;
    -- Not now(): that is when the transaction began, and the locks may have been waited for since.
    v_now := clock_timestamp();
    IF p_again THEN
        PERFORM take_back_holds(p_request_id, p_owner);
        -- The rows as that left them; their locks are ours.
        SELECT array_agg(k ORDER BY k.key_id) INTO v_keys FROM api_keys k WHERE k.secret_hash = ANY (v_hashes);
        SELECT array_agg(a ORDER BY a.account_id) INTO v_accounts FROM accounts a WHERE a.account_id = ANY (v_account_ids);
    END IF;

    SELECT array_agg(ROW (m.supplier_id, m.upstream_id, m.max_output_tokens, m.price_version, p.input_ppm, p.cached_ppm,
                          p.output_ppm, s.on_leave, s.prompt_overhead, w.channel_ids, w.base_urls, w.secrets_sealed, w.weights,
                          w.priorities)::call_offer),
           array_agg(c.protocol || ' ' || c.model_id)
      INTO v_offers, v_offer_names
      FROM (SELECT DISTINCT c.model_id, c.protocol FROM unnest(p_model_id, p_protocol) AS c (model_id, protocol)) c
      JOIN models m ON m.model_id = c.model_id AND m.status = 'enabled'
      JOIN suppliers s ON s.supplier_id = m.supplier_id AND s.status = 'enabled'
      JOIN model_prices p ON p.model_id = m.model_id AND p.version = m.price_version
     CROSS JOIN LATERAL (
          SELECT array_agg(h.channel_id) AS channel_ids, array_agg(h.base_url) AS base_urls, array_agg(h.secret_sealed) AS secrets_sealed,
                 array_agg(h.weight) AS weights, array_agg(h.priority) AS priorities
            FROM channels h
           WHERE h.supplier_id = m.supplier_id AND h.status = 'enabled' AND h.protocol = c.protocol) w;
    SELECT g.*, b.*
      INTO v_grants, v_grant_accounts, v_left, v_scopes, v_scoped, v_members, v_member_left, v_month_left
      FROM (SELECT coalesce(array_agg(g.grant_id), '{}'), array_agg(g.account_id), array_agg(g.left_), array_agg(g.scope), bool_or(g.scoped)
              FROM (SELECT g.grant_id, g.account_id, g.left_, g.scoped, CASE WHEN g.scoped THEN g END AS scope FROM grants g
                     WHERE g.account_id = ANY (v_account_ids) AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= v_now
                       AND g.expires_at > v_now
                     ORDER BY g.account_id, g.scoped DESC, g.expires_at, g.created_at, g.grant_id) g) g,
           (SELECT array_agg(b.account_id || ' ' || b.user_id), array_agg(left_ever(b)), array_agg(left_this_month(b, v_now))
              FROM members b WHERE b.account_id = ANY (v_account_ids) AND num_nonnulls(b.quota, b.month_quota) > 0) b;
    IF cardinality(v_account_ids) > 1 THEN
        SELECT array_agg(c.n ORDER BY v_key_accounts[array_position(v_hashes, p_secret_hash[c.n])], c.n) INTO v_order
          FROM generate_subscripts(p_request_id, 1) AS c (n);
    END IF;

    FOR i IN 1 .. cardinality(p_request_id) LOOP
        n := coalesce(v_order[i], i);
        request_id := p_request_id[n];
        held := NULL; output_limit := NULL; original_id := NULL; period_ends := NULL;
        rate_requests := NULL; rate_tokens := NULL; retry_ms := NULL;
        v_place := array_position(v_hashes, p_secret_hash[n]);
        IF v_place IS NULL THEN
            account_id := NULL; key_id := NULL;
            verdict := 'unknown_key';
            RETURN NEXT; CONTINUE;
        END IF;
        IF v_place IS DISTINCT FROM v_at THEN
            v_at := v_place;
            v_key := v_keys[v_place];
            IF v_key.account_id IS DISTINCT FROM v_account.account_id THEN
                v_account := v_accounts[array_position(v_account_ids, v_key.account_id)];
                v_first := coalesce(array_position(v_grant_accounts, v_account.account_id), 1);
                v_last := v_first - 1;
                v_all_left := 0;
                WHILE v_grant_accounts[v_last + 1] = v_account.account_id LOOP
                    v_last := v_last + 1;
                    v_all_left := v_all_left + v_left[v_last];
                END LOOP;
            END IF;
            v_period_left := CASE WHEN v_key.period IS NOT NULL THEN v_key.period_quota - used_of_period(v_key, v_now) END;
            IF v_members IS NOT NULL THEN
                v_member := array_position(v_members, v_key.account_id || ' ' || v_key.created_by);
            END IF;
            v_limited := num_nonnulls(v_key.requests_per_minute, v_key.tokens_per_minute, v_key.concurrent_calls,
                                      v_account.requests_per_minute, v_account.tokens_per_minute, v_account.concurrent_calls) > 0;
        END IF;
        account_id := v_key.account_id;
        key_id := v_key.key_id;
        verdict := CASE
            WHEN v_key.status <> 'enabled' THEN 'key_disabled'
            WHEN v_key.expires_at <= v_now THEN 'key_expired'
            WHEN v_account.suspended_at IS NOT NULL THEN 'account_suspended'
            WHEN v_key.allowed_networks IS NOT NULL AND (p_address[n] <<= ANY (v_key.allowed_networks)) IS NOT TRUE THEN 'address_refused' END;
        IF verdict IS NOT NULL THEN RETURN NEXT; CONTINUE; END IF;

        -- A call that was sent before is answered from what is known of it, whatever has changed since.
        IF p_idempotency_hash[n] IS NOT NULL THEN
            SELECT i.request_id, i.fingerprint, i.answer IS NOT NULL AS answered,
                   i.request_id = ANY (p_request_id) OR EXISTS (SELECT 1 FROM holds h WHERE h.request_id = i.request_id) AS running
              INTO v_known_call
              FROM idempotent_calls i
             WHERE i.key_id = v_key.key_id AND i.idempotency_hash = p_idempotency_hash[n] AND i.created_at > v_now - interval '24 hours'
               AND i.request_id <> p_request_id[n];
            IF FOUND THEN
                original_id := v_known_call.request_id;
                verdict := CASE
                    WHEN v_known_call.fingerprint <> p_fingerprint[n] THEN 'idempotency_mismatch'
                    WHEN v_known_call.answered THEN 'idempotency_answered'
                    WHEN v_known_call.running THEN 'idempotency_running'
                    ELSE 'idempotency_ended' END;
                RETURN NEXT; CONTINUE;
            END IF;
        END IF;

        v_wanted := array_position(v_offer_names, p_protocol[n] || ' ' || p_model_id[n]);
        IF v_wanted IS DISTINCT FROM v_offer_place THEN
            v_offer_place := v_wanted;
            v_offer := v_offers[v_wanted];
            supplier_id := v_offer.supplier_id; upstream_id := v_offer.upstream_id; price_version := v_offer.price_version;
            input_ppm := v_offer.input_ppm; cached_ppm := v_offer.cached_ppm; output_ppm := v_offer.output_ppm;
            channel_ids := v_offer.channel_ids; base_urls := v_offer.base_urls; secrets_sealed := v_offer.secrets_sealed;
            weights := v_offer.weights; priorities := v_offer.priorities;
            on_leave := v_offer.on_leave; prompt_overhead := v_offer.prompt_overhead;
        END IF;
        verdict := CASE
            WHEN v_wanted IS NULL OR v_key.supplier_id <> supplier_id OR p_model_id[n] <> ALL (v_key.allowed_models) THEN 'model_not_found'
            WHEN channel_ids IS NULL THEN 'no_channel' END;
        IF verdict IS NOT NULL THEN RETURN NEXT; CONTINUE; END IF;

        -- How much output fits into what the wallet, the key and its member have left, once the input is paid for? least() passes over what
        -- is NULL.
        v_key_place := array_position(v_key_ids, v_key.key_id);
        v_own_left := least(v_key.quota - v_key.spent - v_key.held, v_period_left) - coalesce(v_key_held[v_key_place], 0);
        v_quota_left := least(v_own_left, v_member_left[v_member], v_month_left[v_member]);
        v_input := p_input_tokens[n] + prompt_overhead;
        v_available := v_all_left;
        IF v_scoped THEN
            v_available := 0;
            FOR g IN v_first .. v_last LOOP
                IF v_scopes[g] IS NULL OR pays_for(v_scopes[g], supplier_id, p_model_id[n]) THEN
                    v_available := v_available + v_left[g];
                END IF;
            END LOOP;
        END IF;
        v_room := least(v_available, v_quota_left)::numeric * 1000000 - v_input * input_ppm;
        output_limit := least(p_output_limit[n], v_offer.max_output_tokens);
        v_most := CASE
            WHEN v_room < 0 THEN 0
            WHEN output_ppm = 0 OR p_choices[n] = 0 THEN output_limit
            ELSE trunc(v_room / (output_ppm::numeric * p_choices[n])) END;
        IF v_room < 0 OR v_most < output_limit THEN
            IF NOT p_exact[n] THEN verdict := 'count_input'; output_limit := NULL; RETURN NEXT; CONTINUE; END IF;
            IF v_room < 0 OR v_most < 1 THEN
                verdict := CASE
                    WHEN v_quota_left < coalesce(v_own_left, v_available) AND v_quota_left < v_available THEN
                        CASE WHEN v_month_left[v_member] < coalesce(v_member_left[v_member], v_available) THEN 'member_month_exhausted'
                             ELSE 'member_exhausted' END
                    WHEN v_quota_left < v_available AND v_own_left < coalesce(v_key.quota - v_key.spent - v_key.held
                                                                         - coalesce(v_key_held[v_key_place], 0), v_available)
                        THEN 'period_exhausted'
                    WHEN v_quota_left < v_available THEN 'quota_exhausted'
                    ELSE 'balance_exhausted' END;
                IF verdict = 'period_exhausted' THEN period_ends := period_end(v_key.period, v_key.period_zone, v_now); END IF;
                IF verdict = 'member_month_exhausted' THEN period_ends := period_end('month', 'UTC', v_now); END IF;
                IF v_limited THEN
                    v_places := ARRAY[array_position(v_subjects, v_key.key_id), array_position(v_subjects, v_account.account_id)];
                    rate_requests := tighter_rate(
                        tighter_rate(NULL, v_key.requests_per_minute, v_now, coalesce(v_requests_full[v_places[1]], v_key.requests_full_at)),
                        v_account.requests_per_minute, v_now, coalesce(v_requests_full[v_places[2]], v_account.requests_full_at));
                    rate_tokens := tighter_rate(
                        tighter_rate(NULL, v_key.tokens_per_minute, v_now, coalesce(v_tokens_full[v_places[1]], v_key.tokens_full_at)),
                        v_account.tokens_per_minute, v_now, coalesce(v_tokens_full[v_places[2]], v_account.tokens_full_at));
                END IF;
                output_limit := NULL; RETURN NEXT; CONTINUE;
            END IF;
            output_limit := v_most;
        END IF;
        held := ceil((v_input * input_ppm + output_limit::numeric * p_choices[n] * output_ppm) / 1000000);

        IF v_limited THEN
            v_places := '{}';
            FOR l IN 1 .. 2 LOOP
                v_limit := CASE l
                    WHEN 1 THEN ROW (v_key.key_id, v_key.requests_per_minute, v_key.tokens_per_minute, v_key.concurrent_calls,
                                     v_key.requests_full_at, v_key.tokens_full_at, v_key.running)::call_limits
                    ELSE ROW (v_account.account_id, v_account.requests_per_minute, v_account.tokens_per_minute, v_account.concurrent_calls,
                              v_account.requests_full_at, v_account.tokens_full_at, NULL)::call_limits END;
                CONTINUE WHEN num_nonnulls(v_limit.requests_per_minute, v_limit.tokens_per_minute, v_limit.concurrent_calls) = 0;
                v_place := array_position(v_subjects, v_limit.subject);
                IF v_place IS NULL THEN
                    IF l = 2 AND v_limit.concurrent_calls IS NOT NULL THEN
                        v_limit.running := (SELECT sum(o.running) FROM api_keys o WHERE o.account_id = v_account.account_id);
                    END IF;
                    v_subjects := v_subjects || v_limit.subject;
                    v_place := cardinality(v_subjects);
                    -- No call moves it beyond a minute; a clock that is set back leaves it there, and one call may go.
                    v_requests_full[v_place] := greatest(v_now, CASE
                        WHEN v_limit.requests_full_at > v_now + c_minute
                            THEN v_now + c_minute - interval '1 minute' / v_limit.requests_per_minute
                        ELSE v_limit.requests_full_at END);
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
                        CASE WHEN p_exact[n] THEN 'tokens_limited' ELSE 'count_input' END END;
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
        END IF;

        v_rest := held;
        v_grant_ids := '{}';
        v_grant_tokens := '{}';
        FOR g IN v_first .. v_last LOOP
            EXIT WHEN v_rest = 0;
            CONTINUE WHEN v_left[g] = 0;
            IF v_scoped THEN
                CONTINUE WHEN NOT (v_scopes[g] IS NULL OR pays_for(v_scopes[g], supplier_id, p_model_id[n]));
            END IF;
            v_take := least(v_left[g], v_rest);
            v_left[g] := v_left[g] - v_take;
            v_all_left := v_all_left - v_take;
            v_rest := v_rest - v_take;
            v_grant_ids := v_grant_ids || v_grants[g];
            v_grant_tokens := v_grant_tokens || v_take;
            v_place := array_position(v_taken_ids, v_grants[g]);
            IF v_place IS NULL THEN
                v_taken_ids := v_taken_ids || v_grants[g];
                v_taken := v_taken || v_take;
            ELSE
                v_taken[v_place] := v_taken[v_place] + v_take;
            END IF;
        END LOOP;
        IF v_rest > 0 THEN
            RAISE EXCEPTION 'hold of % Tokens found % too few', held, v_rest;
        END IF;
        IF v_key_place IS NULL THEN
            v_key_ids := v_key_ids || v_key.key_id;
            v_key_held := v_key_held || held;
            v_key_calls := v_key_calls || 1;
        ELSE
            v_key_held[v_key_place] := v_key_held[v_key_place] + held;
            v_key_calls[v_key_place] := v_key_calls[v_key_place] + 1;
        END IF;
        IF v_member IS NOT NULL THEN
            v_member_left[v_member] := v_member_left[v_member] - held;
            v_month_left[v_member] := v_month_left[v_member] - held;
        END IF;
        IF p_idempotency_hash[n] IS NOT NULL THEN
            INSERT INTO idempotent_calls AS i (key_id, idempotency_hash, fingerprint, request_id, created_at)
            VALUES (v_key.key_id, p_idempotency_hash[n], p_fingerprint[n], p_request_id[n], v_now)
            ON CONFLICT ON CONSTRAINT idempotent_calls_pkey DO UPDATE
               SET fingerprint = excluded.fingerprint, request_id = excluded.request_id, created_at = excluded.created_at, answer = NULL;
        END IF;
        -- It lies in the period that it counts in, which the clock may have been set back behind.
        v_holds := v_holds || ROW (request_id, account_id, key_id, p_model_id[n], supplier_id, price_version, p_endpoint[n],
                                   p_streamed[n], held, v_grant_ids, v_grant_tokens, p_owner, v_now + p_hold_for,
                                   greatest(v_now, v_key.period_began), CASE WHEN p_again THEN held END)::holds;
        verdict := 'admitted';
        RETURN NEXT;
    END LOOP;
    IF v_holds = '{}' THEN RETURN; END IF;

    WITH held AS (
        UPDATE grants g
           SET left_ = g.left_ - v_taken[array_position(v_taken_ids, g.grant_id)],
               held = g.held + v_taken[array_position(v_taken_ids, g.grant_id)]
         WHERE g.grant_id = ANY (v_taken_ids)
    ), counted AS (
        UPDATE api_keys k
           SET held = k.held + v_key_held[array_position(v_key_ids, k.key_id)],
               running = k.running + v_key_calls[array_position(v_key_ids, k.key_id)],
               period_began = greatest(k.period_began, period_start(k.period, k.period_zone, v_now)),
               period_used = CASE WHEN k.period IS NULL THEN 0 ELSE
                   used_of_period(k, v_now) + v_key_held[array_position(v_key_ids, k.key_id)] END,
               requests_full_at = CASE WHEN k.key_id = ANY (v_subjects) THEN v_requests_full[array_position(v_subjects, k.key_id)]
                                       ELSE k.requests_full_at END,
               tokens_full_at = CASE WHEN k.key_id = ANY (v_subjects) THEN v_tokens_full[array_position(v_subjects, k.key_id)]
                                     ELSE k.tokens_full_at END
         WHERE k.key_id = ANY (v_key_ids)
    )
    INSERT INTO holds SELECT h.* FROM unnest(v_holds) h;
    IF v_subjects <> '{}' THEN
        UPDATE accounts a
           SET requests_full_at = v_requests_full[array_position(v_subjects, a.account_id)],
               tokens_full_at = v_tokens_full[array_position(v_subjects, a.account_id)]
         WHERE a.account_id = ANY (v_subjects);
    END IF;
END
$$;

-- As before; a period is never begun again.
CREATE OR REPLACE FUNCTION charge_unheld(p_call settlement, p_now timestamptz) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_rest bigint;
    v_charge bigint := 0;
    v_spend bigint;
    v_grant record;
BEGIN
    -- A report that comes late counts in the period in which it comes.
    SELECT greatest(0, least(p_call.charge, k.quota - k.spent - k.held, k.period_quota - used_of_period(k, p_now),
                             left_ever(b), left_this_month(b, p_now)))
      INTO v_rest
      FROM api_keys k LEFT JOIN members b ON b.account_id = k.account_id AND b.user_id = k.created_by WHERE k.key_id = p_call.key_id;
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
           period_began = greatest(k.period_began, period_start(k.period, k.period_zone, p_now)),
           period_used = CASE WHEN k.period IS NULL THEN 0 ELSE used_of_period(k, p_now) + v_charge END
     WHERE k.key_id = p_call.key_id;
    RETURN v_charge;
END
$$;

-- Has a hold take so many Tokens more, as far as account, key and member have them. The caller holds the locks of key and account, and
-- writes the hold and the key.
CREATE FUNCTION fill_hold(p_hold holds, p_tokens bigint, p_now timestamptz) RETURNS holds LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_grant record;
    v_place integer;
    v_rest bigint;
    v_take bigint;
BEGIN
    SELECT greatest(0, least(p_tokens, k.quota - k.spent - k.held, k.period_quota - used_of_period(k, p_now),
                             left_ever(b), left_this_month(b, p_now)))
      INTO v_rest
      FROM api_keys k LEFT JOIN members b ON b.account_id = k.account_id AND b.user_id = k.created_by WHERE k.key_id = p_hold.key_id;
    FOR v_grant IN
        SELECT g.grant_id, g.left_ FROM grants_in_burn_order(p_hold.account_id, p_hold.supplier_id, p_hold.model_id, p_now) g
    LOOP
        v_take := least(v_grant.left_, v_rest);
        EXIT WHEN v_take = 0;
        UPDATE grants g SET left_ = g.left_ - v_take, held = g.held + v_take WHERE g.grant_id = v_grant.grant_id;
        v_place := array_position(p_hold.grant_ids, v_grant.grant_id);
        IF v_place IS NULL THEN
            p_hold.grant_ids := p_hold.grant_ids || v_grant.grant_id;
            p_hold.grant_tokens := p_hold.grant_tokens || v_take;
        ELSE
            p_hold.grant_tokens[v_place] := p_hold.grant_tokens[v_place] + v_take;
        END IF;
        p_hold.tokens := p_hold.tokens + v_take;
        v_rest := v_rest - v_take;
    END LOOP;
    RETURN p_hold;
END
$$;

-- As before; a period is never begun again, and of a hold that comes back with less than it had, the rest is not forgotten.
CREATE OR REPLACE FUNCTION restore_holds(p_owner uuid, p_hold_for interval, p_holds jsonb) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_now timestamptz;
    v_hold holds;
    v_wanted bigint;
    v_began timestamptz;
    v_counts boolean;
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
        v_wanted := v_hold.tokens;
        v_hold.tokens := 0;
        v_hold.grant_ids := '{}';
        v_hold.grant_tokens := '{}';
        v_hold := fill_hold(v_hold, v_wanted, v_now);
        v_hold.wanted := nullif(v_wanted, v_hold.tokens);
        SELECT greatest(k.period_began, period_start(k.period, k.period_zone, v_now)),
               period_start(k.period, k.period_zone, v_hold.created_at) >= period_start(k.period, k.period_zone, v_now)
          INTO v_began, v_counts
          FROM api_keys k WHERE k.key_id = v_hold.key_id;
        -- It lies in the period that it counts in.
        IF v_counts THEN v_hold.created_at := greatest(v_hold.created_at, v_began); END IF;
        UPDATE api_keys k
           SET held = k.held + v_hold.tokens, running = k.running + 1,
               period_began = v_began,
               period_used = CASE WHEN k.period IS NULL THEN 0 ELSE
                   used_of_period(k, v_now) + CASE WHEN v_counts THEN v_hold.tokens ELSE 0 END END
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

-- Pays so much of what a hold has, and gives the rest back to where it came from. The caller has deleted the hold, under the locks of key
-- and account.
CREATE FUNCTION draw_hold(p_hold holds, p_charge bigint, p_started_at timestamptz, p_now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_rest bigint := p_charge;
    v_line bigint;
    v_spend bigint;
BEGIN
    FOR n IN 1 .. cardinality(p_hold.grant_ids) LOOP
        v_line := p_hold.grant_tokens[n];
        v_spend := least(v_line, v_rest);
        v_rest := v_rest - v_spend;
        UPDATE grants g SET held = g.held - v_line, spent = g.spent + v_spend, left_ = g.left_ + v_line - v_spend
         WHERE g.grant_id = p_hold.grant_ids[n];
        IF v_spend > 0 THEN
            INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id, at)
            VALUES (p_hold.account_id, p_hold.grant_ids[n], 'grant', 'spent', v_spend, p_hold.request_id, p_now);
        END IF;
    END LOOP;
    UPDATE accounts a
       SET tokens_full_at = a.tokens_full_at
               - unused_of_minute(p_hold.tokens, p_hold.tokens - p_charge, a.tokens_per_minute, p_now - p_hold.created_at)
     WHERE a.account_id = p_hold.account_id AND a.tokens_per_minute IS NOT NULL;
    UPDATE api_keys k
       SET held = k.held - p_hold.tokens, spent = k.spent + p_charge, running = k.running - 1,
           last_used_at = greatest(k.last_used_at, p_started_at),
           tokens_full_at = k.tokens_full_at
               - unused_of_minute(p_hold.tokens, p_hold.tokens - p_charge, k.tokens_per_minute, p_now - p_hold.created_at),
           period_used = greatest(0, k.period_used - CASE
               WHEN period_start(k.period, k.period_zone, p_hold.created_at) >= k.period_began THEN p_hold.tokens - p_charge ELSE 0 END)
     WHERE k.key_id = p_hold.key_id;
END
$$;

-- Settles a call that has no hold, or one that is settled by itself: it was settled before, or a crash of Postgres forgot the hold or a
-- part of it, or the reaper took it while the owner was silent, whose record stands where the reaper's was. What is missing of a hold is
-- held now, as far as it is needed. No more is charged than was held at first, which the reaper's record says where it took the hold; where
-- that says nothing, nobody knows. The caller holds the locks of key and account.
CREATE OR REPLACE FUNCTION settle_unheld(p_call settlement, p_now timestamptz, OUT first boolean, OUT charge bigint)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_outcome text;
    v_hold holds;
    v_had bigint;
    v_owed settlement := p_call;
BEGIN
    SELECT u.outcome, u.charge, nullif(u.held, 0) INTO v_outcome, charge, v_had FROM usage_records u
     WHERE u.account_id = p_call.account_id AND u.request_id = p_call.request_id;
    first := v_outcome IS NULL OR (v_outcome = 'interrupted' AND p_call.outcome <> 'interrupted');
    DELETE FROM holds h WHERE h.request_id = p_call.request_id RETURNING h.* INTO v_hold;
    IF FOUND AND NOT first THEN
        PERFORM draw_hold(v_hold, 0, NULL, p_now);
    ELSIF FOUND THEN
        v_had := v_hold.tokens;
        IF least(p_call.charge, v_hold.wanted) > v_had THEN
            v_hold := fill_hold(v_hold, least(p_call.charge, v_hold.wanted) - v_had, p_now);
            -- It counts in the period in which it comes.
            UPDATE api_keys k
               SET held = k.held + v_hold.tokens - v_had,
                   period_began = greatest(k.period_began, period_start(k.period, k.period_zone, p_now)),
                   period_used = CASE WHEN k.period IS NULL THEN 0 ELSE used_of_period(k, p_now) + v_hold.tokens - v_had END
             WHERE k.key_id = p_call.key_id;
        END IF;
        charge := least(p_call.charge, v_hold.tokens);
        PERFORM draw_hold(v_hold, charge, p_call.started_at, p_now);
    ELSIF first THEN
        v_owed.charge := least(p_call.charge, v_had);
        charge := charge_unheld(v_owed, p_now);
    END IF;
    IF NOT first THEN RETURN; END IF;
    INSERT INTO usage_records AS u (request_id, account_id, key_id, model_id, supplier_id, channel_id, price_version, endpoint, streamed,
                                    outcome, basis, http_status, input_tokens, cached_tokens, output_tokens, held, charge, written_off,
                                    upstream_usage, started_at, first_byte_ms, latency_ms, recorded_at)
    VALUES (p_call.request_id, p_call.account_id, p_call.key_id, p_call.model_id, p_call.supplier_id, p_call.channel_id,
            p_call.price_version, p_call.endpoint, p_call.streamed, p_call.outcome, p_call.basis, p_call.http_status,
            p_call.input_tokens, p_call.cached_tokens, p_call.output_tokens, coalesce(v_hold.tokens, 0), charge, p_call.charge - charge,
            p_call.upstream_usage, p_call.started_at, p_call.first_byte_ms, p_call.latency_ms, p_now)
    ON CONFLICT ON CONSTRAINT usage_records_pkey DO UPDATE
       SET channel_id = excluded.channel_id, outcome = excluded.outcome, basis = excluded.basis, http_status = excluded.http_status,
           input_tokens = excluded.input_tokens, cached_tokens = excluded.cached_tokens, output_tokens = excluded.output_tokens,
           charge = excluded.charge, written_off = excluded.written_off, upstream_usage = excluded.upstream_usage,
           started_at = excluded.started_at, first_byte_ms = excluded.first_byte_ms, latency_ms = excluded.latency_ms,
           recorded_at = excluded.recorded_at
     WHERE u.outcome = 'interrupted';
END
$$;

-- As before; holds that are settled by themselves are left to settle_unheld, those of which nothing is missing first, and what goes back to
-- a period never makes it negative. What is left to a key is the least of what its quota, its period and its member's limits leave. A call
-- of a key whose member has limits goes the way of those with other limits, as its admission did: all others cost one more look into an
-- index that is empty where no member has any.
CREATE OR REPLACE FUNCTION settle_calls(
    p_calls settlement[], OUT firsts boolean[], OUT charges bigint[], OUT balances bigint[], OUT quotas bigint[])
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_ids uuid[];
    v_keys uuid[];
    v_key_quotas bigint[];
    v_accounts uuid[];
    v_balances bigint[];
    v_keys_limited boolean;
    v_accounts_limited boolean;
    -- The calls that had a hold, by their place among all; what each held, is charged, and since when it ran.
    v_gone integer[];
    v_held bigint[];
    v_paid bigint[];
    v_since timestamptz[];
    v_place integer;
    v_earlier integer;
    v_first boolean;
    -- A lone call, its hold, and the one grant that this draws on.
    v_call settlement;
    v_tokens bigint;
    v_charge bigint;
    v_grant uuid;
BEGIN
    IF cardinality(p_calls) = 0 THEN
        firsts := '{}'; charges := '{}'; balances := '{}'; quotas := '{}';
        RETURN;
    END IF;
    IF cardinality(p_calls) = 1 THEN
        v_call := p_calls[1];
        PERFORM 1 FROM api_keys k JOIN accounts a ON a.account_id = k.account_id
          WHERE k.key_id = v_call.key_id AND num_nonnulls(k.period, k.tokens_per_minute, a.tokens_per_minute) = 0
            AND NOT EXISTS (SELECT FROM members b WHERE b.account_id = k.account_id AND b.user_id = k.created_by
                               AND num_nonnulls(b.quota, b.month_quota) > 0)
            FOR NO KEY UPDATE OF k, a;
        IF FOUND THEN
            v_now := clock_timestamp();
            DELETE FROM holds h WHERE h.request_id = v_call.request_id AND cardinality(h.grant_ids) = 1 AND h.wanted IS NULL
            RETURNING h.tokens, least(v_call.charge, h.tokens), h.grant_ids[1] INTO v_tokens, v_charge, v_grant;
            IF FOUND THEN
                UPDATE grants g SET held = g.held - v_tokens, spent = g.spent + v_charge, left_ = g.left_ + v_tokens - v_charge
                 WHERE g.grant_id = v_grant;
                IF v_charge > 0 THEN
                    INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id, at)
                    VALUES (v_call.account_id, v_grant, 'grant', 'spent', v_charge, v_call.request_id, v_now);
                END IF;
                UPDATE api_keys k
                   SET held = k.held - v_tokens, spent = k.spent + v_charge, running = k.running - 1,
                       last_used_at = greatest(k.last_used_at, v_call.started_at)
                 WHERE k.key_id = v_call.key_id
                RETURNING ARRAY[k.quota - k.spent - k.held] INTO quotas;
                INSERT INTO usage_records (request_id, account_id, key_id, model_id, supplier_id, channel_id, price_version, endpoint, streamed,
                                           outcome, basis, http_status, input_tokens, cached_tokens, output_tokens, held, charge, written_off,
                                           upstream_usage, started_at, first_byte_ms, latency_ms, recorded_at)
                VALUES (v_call.request_id, v_call.account_id, v_call.key_id, v_call.model_id, v_call.supplier_id, v_call.channel_id,
                        v_call.price_version, v_call.endpoint, v_call.streamed, v_call.outcome, v_call.basis, v_call.http_status,
                        v_call.input_tokens, v_call.cached_tokens, v_call.output_tokens, v_tokens, v_charge, v_call.charge - v_charge,
                        v_call.upstream_usage, v_call.started_at, v_call.first_byte_ms, v_call.latency_ms, v_now);
                SELECT ARRAY[coalesce(sum(g.left_), 0)::bigint] INTO balances FROM grants g
                 WHERE g.account_id = v_call.account_id AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= v_now AND g.expires_at > v_now;
                firsts := ARRAY[true];
                charges := ARRAY[v_charge];
                RETURN;
            END IF;
        END IF;
    END IF;

    SELECT array_agg(c.request_id), array_agg(c.key_id), array_agg(c.account_id) INTO v_ids, v_keys, v_accounts FROM unnest(p_calls) c;
    SELECT array_agg(l.key_id), bool_or(l.limited) INTO v_keys, v_keys_limited
      FROM (SELECT k.key_id, k.period IS NOT NULL OR k.tokens_per_minute IS NOT NULL AS limited
              FROM api_keys k WHERE k.key_id = ANY (v_keys) ORDER BY k.key_id FOR NO KEY UPDATE) l;
    SELECT array_agg(l.account_id), bool_or(l.limited) INTO v_accounts, v_accounts_limited
      FROM (SELECT a.account_id, a.tokens_per_minute IS NOT NULL AS limited
              FROM accounts a WHERE a.account_id = ANY (v_accounts) ORDER BY a.account_id FOR NO KEY UPDATE) l;
    v_now := clock_timestamp();

    -- Of several reports of a call the first counts.
    WITH gone AS (
        DELETE FROM holds h WHERE h.request_id = ANY (v_ids) AND h.wanted IS NULL
        RETURNING array_position(v_ids, h.request_id) AS place, h.tokens, h.grant_ids, h.grant_tokens, h.created_at
    ), calls AS (
        SELECT g.place, g.tokens AS held, least(c.charge, g.tokens) AS paid, g.grant_ids, g.grant_tokens, g.created_at AS since, c.*
          FROM gone g, LATERAL unnest(p_calls[g.place : g.place]) c
    ), lines AS (
        SELECT c.account_id, c.request_id, l.grant_id, l.tokens,
               greatest(0, least(l.tokens, c.paid - (sum(l.tokens) OVER (PARTITION BY c.place ORDER BY l.place) - l.tokens)))::bigint AS spend
          FROM calls c, unnest(c.grant_ids, c.grant_tokens) WITH ORDINALITY AS l (grant_id, tokens, place)
    ), drawn AS (
        UPDATE grants g SET held = g.held - d.tokens, spent = g.spent + d.spend, left_ = g.left_ + d.tokens - d.spend
          FROM (SELECT l.grant_id, sum(l.tokens)::bigint AS tokens, sum(l.spend)::bigint AS spend FROM lines l GROUP BY l.grant_id) d
         WHERE g.grant_id = d.grant_id
    ), entered AS (
        INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id, at)
        SELECT l.account_id, l.grant_id, 'grant', 'spent', l.spend, l.request_id, v_now FROM lines l WHERE l.spend > 0
    ), counted AS (
        UPDATE api_keys k
           SET held = k.held - d.held, spent = k.spent + d.paid, running = k.running - d.calls,
               last_used_at = greatest(k.last_used_at, d.last_used_at)
          FROM (SELECT c.key_id, count(*) AS calls, sum(c.held)::bigint AS held, sum(c.paid)::bigint AS paid, max(c.started_at) AS last_used_at
                  FROM calls c GROUP BY c.key_id) d
         WHERE k.key_id = d.key_id
    ), recorded AS (
        INSERT INTO usage_records (request_id, account_id, key_id, model_id, supplier_id, channel_id, price_version, endpoint, streamed,
                                   outcome, basis, http_status, input_tokens, cached_tokens, output_tokens, held, charge, written_off,
                                   upstream_usage, started_at, first_byte_ms, latency_ms, recorded_at)
        SELECT c.request_id, c.account_id, c.key_id, c.model_id, c.supplier_id, c.channel_id, c.price_version, c.endpoint, c.streamed,
               c.outcome, c.basis, c.http_status, c.input_tokens, c.cached_tokens, c.output_tokens, c.held, c.paid, c.charge - c.paid,
               c.upstream_usage, c.started_at, c.first_byte_ms, c.latency_ms, v_now
          FROM calls c
    )
    SELECT array_agg(c.place ORDER BY c.place), array_agg(c.held ORDER BY c.place), array_agg(c.paid ORDER BY c.place),
           array_agg(c.since ORDER BY c.place)
      INTO v_gone, v_held, v_paid, v_since FROM calls c;

    -- What was held and not spent goes back to the minute and the period that it was taken from.
    IF v_keys_limited OR v_accounts_limited THEN
        WITH unused AS (
            SELECT c.key_id, c.account_id, u.held, u.held - u.paid AS tokens, u.since
              FROM unnest(v_gone, v_held, v_paid, v_since) AS u (place, held, paid, since), LATERAL unnest(p_calls[u.place : u.place]) c
        ), of_accounts AS (
            UPDATE accounts a
               SET tokens_full_at = a.tokens_full_at - (
                       SELECT coalesce(sum(unused_of_minute(u.held, u.tokens, a.tokens_per_minute, v_now - u.since)), '0') FROM unused u
                        WHERE u.account_id = a.account_id)
             WHERE a.account_id = ANY (v_accounts) AND a.tokens_per_minute IS NOT NULL
        )
        UPDATE api_keys k
           SET period_used = greatest(0, k.period_used - (
                   SELECT coalesce(sum(u.tokens), 0) FROM unused u
                    WHERE u.key_id = k.key_id AND period_start(k.period, k.period_zone, u.since) >= k.period_began)),
               tokens_full_at = k.tokens_full_at - (
                   SELECT coalesce(sum(unused_of_minute(u.held, u.tokens, k.tokens_per_minute, v_now - u.since)), '0') FROM unused u
                    WHERE u.key_id = k.key_id)
         WHERE k.key_id = ANY (v_keys) AND (k.period IS NOT NULL OR k.tokens_per_minute IS NOT NULL);
    END IF;

    IF v_gone IS NOT DISTINCT FROM (SELECT array_agg(n) FROM generate_subscripts(v_ids, 1) n) THEN
        firsts := array_fill(true, ARRAY[cardinality(v_ids)]);
        charges := v_paid;
    ELSE
        -- Whoever has no hold, or a part of one, is charged after the others have given back theirs. Another report of a call is answered
        -- what the first was.
        FOR n IN 1 .. cardinality(v_ids) LOOP
            v_place := array_position(v_gone, n);
            firsts[n] := v_place IS NOT NULL;
            charges[n] := v_paid[v_place];
        END LOOP;
        FOR v_place IN
            SELECT c.n FROM generate_subscripts(v_ids, 1) AS c (n) LEFT JOIN holds h ON h.request_id = v_ids[c.n]
             WHERE NOT firsts[c.n] ORDER BY h.wanted > h.tokens NULLS LAST, v_ids[c.n], c.n
        LOOP
            v_earlier := array_position(v_ids, v_ids[v_place]);
            IF v_earlier < v_place THEN
                firsts[v_place] := firsts[v_earlier];
                charges[v_place] := charges[v_earlier];
            ELSE
                SELECT s.first, s.charge INTO v_first, v_charge FROM settle_unheld(p_calls[v_place], v_now) s;
                firsts[v_place] := v_first;
                charges[v_place] := v_charge;
            END IF;
        END LOOP;
    END IF;

    -- least() passes over what is NULL.
    SELECT array_agg(k.key_id),
           array_agg(least(k.quota - k.spent - k.held,
                           CASE WHEN k.period IS NOT NULL THEN k.period_quota - used_of_period(k, v_now) END,
                           (SELECT least(left_ever(b), left_this_month(b, v_now)) FROM members b
                             WHERE b.account_id = k.account_id AND b.user_id = k.created_by AND num_nonnulls(b.quota, b.month_quota) > 0)))
      INTO v_keys, v_key_quotas FROM api_keys k WHERE k.key_id = ANY (v_keys);
    SELECT array_agg(coalesce(g.left_, 0) ORDER BY a.place) INTO v_balances
      FROM unnest(v_accounts) WITH ORDINALITY AS a (account_id, place),
           LATERAL (SELECT sum(g.left_)::bigint AS left_ FROM grants g
                     WHERE g.account_id = a.account_id AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= v_now AND g.expires_at > v_now) g;
    FOR n IN 1 .. cardinality(v_ids) LOOP
        balances[n] := v_balances[array_position(v_accounts, (p_calls[n]).account_id)];
        quotas[n] := v_key_quotas[array_position(v_keys, (p_calls[n]).key_id)];
    END LOOP;
END
$$;

-- Has the commit of this transaction wait for the disk, and so for all that was committed before it, by others too.
CREATE FUNCTION wait_for_disk() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
    PERFORM pg_logical_emit_message(true, 'toki', '');
END
$$;

-- As before, and waits for the disk where the server's default is not to. What asks for more than that, as remote_apply does, stays.
CREATE OR REPLACE PROCEDURE settle_calls_durably(
    p_calls settlement[], INOUT firsts boolean[], INOUT charges bigint[], INOUT balances bigint[], INOUT quotas bigint[])
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT s.firsts, s.charges, s.balances, s.quotas INTO firsts, charges, balances, quotas FROM settle_calls(p_calls) s;
    COMMIT;
    PERFORM wait_for_disk();
END
$$;

-- Settles the calls whose owner fell silent: nothing is charged, everything held goes back. A hold beside its call's record is given back,
-- and the record stands. What somebody else has locked, key or account, is left to the next round; which of the others come first is left
-- to chance, so that nothing that cannot be settled is in their way for ever.
--
-- reaped     how many were settled
-- failures   what each hold that could not be settled met with; it stays, and the others go
CREATE FUNCTION reap_round(p_most integer, OUT reaped integer, OUT failures text[]) LANGUAGE plpgsql VOLATILE
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_keys uuid[];
    v_accounts uuid[];
    v_ids uuid[];
    v_calls settlement[];
    v_call settlement;
BEGIN
    reaped := 0;
    failures := '{}';
    SELECT array_agg(l.key_id), array_agg(l.account_id) INTO v_keys, v_accounts FROM (
        SELECT k.key_id, a.account_id FROM api_keys k JOIN accounts a ON a.account_id = k.account_id
         WHERE k.key_id IN (SELECT h.key_id FROM holds h WHERE h.deadline < v_now)
         ORDER BY random() LIMIT p_most FOR NO KEY UPDATE OF k, a SKIP LOCKED) l;
    -- Read again under the locks: the owner may have settled or extended the call meanwhile.
    SELECT array_agg(l.request_id) INTO v_ids FROM (
        SELECT h.request_id FROM holds h
         WHERE h.key_id = ANY (v_keys) AND h.account_id = ANY (v_accounts) AND h.deadline < v_now
         ORDER BY random() LIMIT p_most FOR UPDATE SKIP LOCKED) l;
    IF v_ids IS NULL THEN RETURN; END IF;
    UPDATE holds h SET wanted = h.tokens
     WHERE h.request_id = ANY (v_ids) AND h.wanted IS NULL
       AND EXISTS (SELECT 1 FROM usage_records u WHERE u.account_id = h.account_id AND u.request_id = h.request_id);
    SELECT array_agg(ROW (
               h.request_id, h.account_id, h.key_id, h.model_id, h.supplier_id, NULL, h.price_version, h.endpoint, h.streamed,
               'interrupted', 'waived', 0, 0, 0, 0, 0, NULL, least(h.created_at, v_now), NULL,
               greatest(0, extract(epoch FROM v_now - h.created_at) * 1000)::bigint)::settlement)
      INTO v_calls FROM holds h WHERE h.request_id = ANY (v_ids);
    BEGIN
        SELECT cardinality(s.firsts) INTO reaped FROM settle_calls(v_calls) s;
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        -- What passes by itself (serialization, resources, locks, operators) is for the next round.
        IF left(SQLSTATE, 2) IN ('40', '53', '55', '57') THEN RAISE; END IF;
    END;
    FOREACH v_call IN ARRAY v_calls LOOP
        BEGIN
            PERFORM settle_calls(ARRAY[v_call]);
            reaped := reaped + 1;
        EXCEPTION WHEN OTHERS THEN
            IF left(SQLSTATE, 2) IN ('40', '53', '55', '57') THEN RAISE; END IF;
            failures := failures || format('call %s of key %s: %s', v_call.request_id, v_call.key_id, SQLERRM);
        END;
    END LOOP;
END
$$;

-- For servers of the version before, while they are replaced.
CREATE OR REPLACE FUNCTION reap_holds(p_most integer) RETURNS integer LANGUAGE sql VOLATILE AS $$
    SELECT r.reaped FROM reap_round(p_most) r
$$;

-- As before. Records of the month that came before their partition, from a clock that was ahead, lie in the default partition, which must
-- have none when the new one is attached: they move. Nobody else can move a record: only the owner of the tables suspends a trigger, in a
-- transaction that nobody else writes beside. The totals are added up by triggers of the whole table, which do not see it.
CREATE OR REPLACE FUNCTION create_usage_partition(p_name text, p_from timestamptz, p_to timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_from uuid := first_request_id(p_from);
    v_to uuid := first_request_id(p_to);
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE usage_records INCLUDING ALL)', p_name);
    EXECUTE format('CREATE TRIGGER usage_records_no_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', p_name);
    -- As attaching does, and in its order.
    LOCK TABLE ONLY usage_records IN SHARE UPDATE EXCLUSIVE MODE;
    LOCK TABLE usage_records_rest IN ACCESS EXCLUSIVE MODE;
    IF EXISTS (SELECT 1 FROM usage_records_rest r WHERE r.request_id >= v_from AND r.request_id < v_to) THEN
        EXECUTE format('INSERT INTO %I SELECT r.* FROM usage_records_rest r WHERE r.request_id >= $1 AND r.request_id < $2', p_name)
            USING v_from, v_to;
        ALTER TABLE usage_records_rest DISABLE TRIGGER usage_records_append_only;
        DELETE FROM usage_records_rest r WHERE r.request_id >= v_from AND r.request_id < v_to;
        ALTER TABLE usage_records_rest ENABLE TRIGGER usage_records_append_only;
    END IF;
    EXECUTE format('ALTER TABLE usage_records ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', p_name, v_from, v_to);
END
$$;
