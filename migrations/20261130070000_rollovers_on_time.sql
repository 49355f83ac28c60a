-- What can be spent does not depend on when the sweep ran: what is left of a grant whose time is over, and rolls over to another purchase of
-- its package that was queued before that, comes there with the sweep, or before it when a call or another change of the wallet needs it.

-- Moves what is left of these accounts' grants whose time is over to the purchases that take it over, which were queued before that: what
-- ended earlier has expired, whether or not the sweep had come by. Whoever asks holds the locks of the accounts, and took the time after
-- that. Answers how many grants that was.
CREATE FUNCTION roll_over_ended_grants(p_account_ids uuid[], p_at timestamptz) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_ended record;
    v_moved integer := 0;
BEGIN
    -- One that takes over has not ended, so nothing is moved twice.
    FOR v_ended IN
        SELECT g.grant_id, g.account_id, g.left_, q.grant_id AS next_id, q.order_id AS next_order_id
          FROM grants g
          JOIN orders o ON o.order_id = g.order_id AND o.rolls_over
         CROSS JOIN LATERAL (
               SELECT q.grant_id, q.order_id
                 FROM orders n
                 JOIN grants q ON q.order_id = n.order_id
                WHERE n.account_id = o.account_id AND n.package_id = o.package_id AND n.rolls_over
                  AND q.starts_at > q.created_at AND q.created_at < g.expires_at
                  AND q.swept_at IS NULL AND q.expires_at > g.expires_at AND q.expires_at > p_at
                ORDER BY q.starts_at, q.grant_id LIMIT 1) q
         WHERE g.account_id = ANY (p_account_ids) AND g.swept_at IS NULL AND g.left_ > 0 AND g.expires_at <= p_at
    LOOP
        UPDATE grants q SET tokens = q.tokens + v_ended.left_, left_ = q.left_ + v_ended.left_ WHERE q.grant_id = v_ended.next_id;
        INSERT INTO ledger (account_id, grant_id, to_account_id, to_grant_id, from_book, to_book, tokens, order_id, at)
        VALUES (v_ended.account_id, v_ended.grant_id, v_ended.account_id, v_ended.next_id, 'grant', 'grant', v_ended.left_,
                v_ended.next_order_id, p_at);
        UPDATE grants g SET tokens = g.tokens - g.left_, left_ = 0, swept_at = CASE WHEN g.held = 0 THEN p_at END
         WHERE g.grant_id = v_ended.grant_id;
        v_moved := v_moved + 1;
    END LOOP;
    RETURN v_moved;
END
$$;

-- As before: what rolls over first, then what expires. One time for both, taken under the locks. Open pages are told.
CREATE OR REPLACE FUNCTION sweep_expired_grants(p_most integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_accounts uuid[];
    v_now timestamptz;
    v_grant record;
    v_visited integer;
BEGIN
    SELECT array_agg(locked.account_id) INTO v_accounts FROM (
        SELECT a.account_id FROM accounts a
         WHERE a.account_id IN (SELECT g.account_id FROM grants g
                                 WHERE g.swept_at IS NULL AND g.expires_at <= clock_timestamp() AND (g.left_ > 0 OR g.held = 0)
                                 ORDER BY g.expires_at LIMIT p_most)
         ORDER BY a.account_id FOR NO KEY UPDATE SKIP LOCKED) locked;
    v_now := clock_timestamp();
    v_visited := roll_over_ended_grants(v_accounts, v_now);
    FOR v_grant IN
        SELECT g.grant_id, g.account_id, g.left_ FROM grants g
         WHERE g.account_id = ANY (v_accounts) AND g.swept_at IS NULL AND g.expires_at <= v_now AND (g.left_ > 0 OR g.held = 0)
    LOOP
        IF v_grant.left_ > 0 THEN
            INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, at)
            VALUES (v_grant.account_id, v_grant.grant_id, 'grant', 'expired', v_grant.left_, v_now);
        END IF;
        UPDATE grants g SET left_ = 0, expired = g.expired + g.left_, swept_at = CASE WHEN g.held = 0 THEN v_now END
         WHERE g.grant_id = v_grant.grant_id;
        v_visited := v_visited + 1;
    END LOOP;
    PERFORM pg_notify('account_changes', a.account_id::text) FROM unnest(v_accounts) AS a (account_id);
    RETURN v_visited;
END
$$;

-- As before, but for a call that the wallet as it stands cannot pay for as it was asked: what rolls over to its account comes first, and
-- the call is decided on what is there then. The lock of its account is ours, so whoever else was moving it is done.
CREATE OR REPLACE FUNCTION admit_calls_one_by_one(
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
    -- The account that was looked through for what rolls over to it.
    v_rolled uuid;
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
                v_first := NULL;
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
        output_limit := least(p_output_limit[n], v_offer.max_output_tokens);
        LOOP
            IF v_first IS NULL THEN
                v_first := coalesce(array_position(v_grant_accounts, v_account.account_id), 1);
                v_last := v_first - 1;
                v_all_left := 0;
                WHILE v_grant_accounts[v_last + 1] = v_account.account_id LOOP
                    v_last := v_last + 1;
                    v_all_left := v_all_left + v_left[v_last];
                END LOOP;
            END IF;
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
            v_most := CASE
                WHEN v_room < 0 THEN 0
                WHEN output_ppm = 0 OR p_choices[n] = 0 THEN output_limit
                ELSE div(v_room, output_ppm::numeric * p_choices[n]) END;
            EXIT WHEN v_room >= 0 AND v_most >= output_limit;
            -- It is refused or clamped now, unless it is the wallet that has too little, and what rolls over makes it more.
            EXIT WHEN v_rolled = v_account.account_id
                   OR v_available::numeric * 1000000 >= v_input * input_ppm + output_limit::numeric * p_choices[n] * output_ppm;
            v_rolled := v_account.account_id;
            EXIT WHEN roll_over_ended_grants(ARRAY[v_rolled], v_now) = 0;
            -- What calls of this batch took before is not written yet.
            SELECT coalesce(array_agg(g.grant_id), '{}'), array_agg(g.account_id), array_agg(g.left_), array_agg(g.scope),
                   bool_or(g.scoped)
              INTO v_grants, v_grant_accounts, v_left, v_scopes, v_scoped
              FROM (SELECT g.grant_id, g.account_id, g.scoped, CASE WHEN g.scoped THEN g END AS scope,
                           g.left_ - coalesce(v_taken[array_position(v_taken_ids, g.grant_id)], 0) AS left_
                      FROM grants g
                     WHERE g.account_id = ANY (v_account_ids) AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= v_now
                       AND g.expires_at > v_now
                     ORDER BY g.account_id, g.scoped DESC, g.expires_at, g.created_at, g.grant_id) g;
            v_first := NULL;
        END LOOP;
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
        held := div(v_input * input_ppm + output_limit::numeric * p_choices[n] * output_ppm + 999999, 1000000);

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
