-- Calls of one key that are decided alike are answered in one row, and settled by their sums: what they have in common was said and looked
-- up once a call.

-- As admit_calls before, and one row a group of calls that were decided alike: what each of them holds, and its output limit, in the order of
-- request_ids.
--
-- A call that waits for its locks is decided by models, channels, prices and members as they were when it asked; by key, account and grants
-- as they are once it has the locks.
CREATE FUNCTION admit_in_groups(
    p_request_id uuid[], p_secret_hash bytea[], p_model_id text[], p_protocol text[], p_input_tokens bigint[],
    p_output_limit bigint[], p_choices bigint[], p_exact boolean[], p_endpoint text[], p_streamed boolean[],
    p_address inet[], p_idempotency_hash bytea[], p_fingerprint bytea[],
    p_owner uuid, p_hold_for interval, p_again boolean)
RETURNS TABLE (
    request_ids uuid[], verdict text, account_id uuid, key_id uuid, supplier_id uuid, upstream_id text, price_version integer,
    input_ppm bigint, cached_ppm bigint, output_ppm bigint, helds bigint[], output_limits bigint[],
    channel_ids uuid[], base_urls text[], secrets_sealed bytea[], weights integer[], priorities integer[],
    on_leave text, prompt_overhead bigint, original_id uuid, period_ends timestamptz,
    rate_requests bigint[], rate_tokens bigint[], retry_ms bigint)
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_expires_at timestamptz;
    v_quota_left bigint;
    v_max_output bigint;
    v_limit bigint;
    v_least bigint;
    v_sum bigint;
    v_grant_ids uuid[];
BEGIN
    IF NOT p_again AND p_secret_hash[1] = ALL (p_secret_hash) AND p_model_id[1] = ALL (p_model_id) AND p_protocol[1] = ALL (p_protocol)
       AND num_nonnulls(VARIADIC p_idempotency_hash) = 0 THEN
        SELECT k.key_id, k.account_id, m.supplier_id, m.upstream_id, m.price_version, p.input_ppm, p.cached_ppm, p.output_ppm,
               s.on_leave, s.prompt_overhead, w.channel_ids, w.base_urls, w.secrets_sealed, w.weights, w.priorities,
               m.max_output_tokens, k.quota - k.spent - k.held, k.expires_at
          INTO key_id, account_id, supplier_id, upstream_id, price_version, input_ppm, cached_ppm, output_ppm,
               on_leave, prompt_overhead, channel_ids, base_urls, secrets_sealed, weights, priorities,
               v_max_output, v_quota_left, v_expires_at
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
         WHERE k.secret_hash = p_secret_hash[1] AND k.status = 'enabled' AND a.suspended_at IS NULL AND w.channel_ids IS NOT NULL
           AND (k.supplier_id IS NULL OR k.supplier_id = m.supplier_id)
           AND num_nonnulls(k.allowed_models, k.allowed_networks, k.period, k.requests_per_minute, k.tokens_per_minute, k.concurrent_calls,
                            a.requests_per_minute, a.tokens_per_minute, a.concurrent_calls) = 0
           AND (SELECT count(*) FROM members b
                 WHERE b.account_id = k.account_id AND b.user_id = k.created_by AND num_nonnulls(b.quota, b.month_quota) > 0) = 0
           FOR NO KEY UPDATE OF k, a;
        IF FOUND THEN
            IF cardinality(p_request_id) = 1 THEN
                v_limit := least(p_output_limit[1], v_max_output);
                v_sum := div((p_input_tokens[1] + prompt_overhead)::numeric * input_ppm
                             + v_limit::numeric * p_choices[1] * output_ppm + 999999, 1000000);
                output_limits := ARRAY[v_limit];
                helds := ARRAY[v_sum];
                v_least := v_sum;
            ELSE
                SELECT array_agg(c.limited), array_agg(c.held), sum(c.held), min(c.held) INTO output_limits, helds, v_sum, v_least
                  FROM (SELECT l.limited, div((c.input_tokens + prompt_overhead)::numeric * input_ppm
                                              + l.limited::numeric * c.choices * output_ppm + 999999, 1000000)::bigint AS held
                          FROM unnest(p_input_tokens, p_output_limit, p_choices) AS c (input_tokens, asked_limit, choices),
                               LATERAL (SELECT least(c.asked_limit, v_max_output) AS limited) l) c;
            END IF;
            -- Not before: the locks may have been waited for.
            v_now := clock_timestamp();
            -- A call that costs nothing holds nothing of any grant.
            IF v_least > 0 AND (v_sum > v_quota_left OR v_expires_at <= v_now) IS NOT TRUE THEN
                UPDATE grants g SET left_ = g.left_ - v_sum, held = g.held + v_sum
                 WHERE g.grant_id = (SELECT f.grant_id FROM grants f
                                      WHERE f.account_id = admit_in_groups.account_id AND f.swept_at IS NULL AND f.left_ > 0
                                        AND f.starts_at <= v_now AND f.expires_at > v_now
                                      ORDER BY f.account_id, f.scoped DESC, f.expires_at, f.created_at, f.grant_id LIMIT 1)
                   AND NOT g.scoped AND g.left_ >= v_sum
                RETURNING ARRAY[g.grant_id] INTO v_grant_ids;
                IF FOUND THEN
                    UPDATE api_keys k SET held = k.held + v_sum, running = k.running + cardinality(helds)
                     WHERE k.key_id = admit_in_groups.key_id;
                    INSERT INTO holds
                    SELECT c.request_id, admit_in_groups.account_id, admit_in_groups.key_id, p_model_id[1], admit_in_groups.supplier_id,
                           admit_in_groups.price_version, c.endpoint, c.streamed, c.held, v_grant_ids, ARRAY[c.held], p_owner,
                           v_now + p_hold_for, v_now
                      FROM unnest(p_request_id, p_endpoint, p_streamed, helds) AS c (request_id, endpoint, streamed, held);
                    request_ids := p_request_id;
                    verdict := 'admitted';
                    RETURN NEXT;
                    RETURN;
                END IF;
            END IF;
        END IF;
    END IF;
    RETURN QUERY
    SELECT ARRAY[d.request_id], d.verdict, d.account_id, d.key_id, d.supplier_id, d.upstream_id, d.price_version, d.input_ppm, d.cached_ppm,
           d.output_ppm, ARRAY[d.held], ARRAY[d.output_limit], d.channel_ids, d.base_urls, d.secrets_sealed, d.weights, d.priorities,
           d.on_leave, d.prompt_overhead, d.original_id, d.period_ends, d.rate_requests, d.rate_tokens, d.retry_ms
      FROM admit_calls_one_by_one(
               p_request_id, p_secret_hash, p_model_id, p_protocol, p_input_tokens, p_output_limit, p_choices, p_exact, p_endpoint,
               p_streamed, p_address, p_idempotency_hash, p_fingerprint, p_owner, p_hold_for, p_again) d;
END
$$;

-- For replicas of before: a row a call.
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
LANGUAGE sql VOLATILE
AS $$
    SELECT c.request_id, g.verdict, g.account_id, g.key_id, g.supplier_id, g.upstream_id, g.price_version, g.input_ppm, g.cached_ppm,
           g.output_ppm, c.held, c.output_limit, g.channel_ids, g.base_urls, g.secrets_sealed, g.weights, g.priorities,
           g.on_leave, g.prompt_overhead, g.original_id, g.period_ends, g.rate_requests, g.rate_tokens, g.retry_ms
      FROM admit_in_groups(
               p_request_id, p_secret_hash, p_model_id, p_protocol, p_input_tokens, p_output_limit, p_choices, p_exact, p_endpoint,
               p_streamed, p_address, p_idempotency_hash, p_fingerprint, p_owner, p_hold_for, p_again) g,
           unnest(g.request_ids, g.helds, g.output_limits) AS c (request_id, held, output_limit)
$$;

-- As before. Calls of one key whose holds are all of one grant go a shorter way.
CREATE OR REPLACE FUNCTION settle_calls(
    p_calls settlement[], p_helds bigint[] DEFAULT NULL, OUT firsts boolean[], OUT charges bigint[], OUT balances bigint[], OUT quotas bigint[])
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
    v_charges bigint[];
    v_last_used_at timestamptz;
    -- Whether they are of one key that no other limit than its own quota needs to know about.
    v_alike boolean := false;
    v_quota_left bigint;
    v_balance bigint;
    -- The calls that had a hold, by their place among all; the hold, what it held and of which grant first, what is charged, since when it ran.
    v_gone integer[];
    v_holds holds[];
    v_held bigint[];
    v_grants uuid[];
    v_paid bigint[];
    v_since timestamptz[];
    v_whole boolean;
    v_alike_grants boolean;
    v_sum_held bigint;
    v_sum_paid bigint;
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
            AND (SELECT count(*) FROM members b
                 WHERE b.account_id = k.account_id AND b.user_id = k.created_by AND num_nonnulls(b.quota, b.month_quota) > 0) = 0
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

    SELECT array_agg(c.request_id), array_agg(c.key_id), array_agg(c.account_id), array_agg(c.charge), max(c.started_at)
      INTO v_ids, v_keys, v_accounts, v_charges, v_last_used_at FROM unnest(p_calls) c;
    IF v_keys[1] = ALL (v_keys) THEN
        PERFORM 1 FROM api_keys k JOIN accounts a ON a.account_id = k.account_id
          WHERE k.key_id = v_keys[1] AND num_nonnulls(k.period, k.tokens_per_minute, a.tokens_per_minute) = 0
            AND (SELECT count(*) FROM members b
                 WHERE b.account_id = k.account_id AND b.user_id = k.created_by AND num_nonnulls(b.quota, b.month_quota) > 0) = 0
            FOR NO KEY UPDATE OF k, a;
        v_alike := FOUND;
    END IF;
    IF v_alike THEN
        v_keys := v_keys[1:1];
        v_accounts := v_accounts[1:1];
    ELSE
        SELECT array_agg(l.key_id), bool_or(l.limited) INTO v_keys, v_keys_limited
          FROM (SELECT k.key_id, k.period IS NOT NULL OR k.tokens_per_minute IS NOT NULL AS limited
                  FROM api_keys k WHERE k.key_id = ANY (v_keys) ORDER BY k.key_id FOR NO KEY UPDATE) l;
        SELECT array_agg(l.account_id), bool_or(l.limited) INTO v_accounts, v_accounts_limited
          FROM (SELECT a.account_id, a.tokens_per_minute IS NOT NULL AS limited
                  FROM accounts a WHERE a.account_id = ANY (v_accounts) ORDER BY a.account_id FOR NO KEY UPDATE) l;
    END IF;
    v_now := clock_timestamp();

    -- Of several reports of a call the first counts.
    WITH gone AS (
        DELETE FROM holds h WHERE h.request_id = ANY (v_ids) AND h.wanted IS NULL
        RETURNING array_position(v_ids, h.request_id) AS place, h.tokens, h.grant_ids, h.grant_tokens, h.created_at, h AS hold
    )
    SELECT array_agg(g.place), array_agg(g.hold), array_agg(g.tokens), array_agg(least(v_charges[g.place], g.tokens)), array_agg(g.created_at),
           array_agg(g.grant_ids[1]), count(*) = cardinality(v_ids), bool_and(cardinality(g.grant_ids) = 1 AND g.grant_tokens[1] = g.tokens)
      INTO v_gone, v_holds, v_held, v_paid, v_since, v_grants, v_whole, v_alike_grants
      FROM (SELECT * FROM gone ORDER BY place) g;

    IF v_alike AND v_whole AND v_alike_grants AND v_grants[1] = ALL (v_grants) THEN
        SELECT sum(c.held), sum(c.paid) INTO v_sum_held, v_sum_paid FROM unnest(v_held, v_paid) AS c (held, paid);
        UPDATE grants g SET held = g.held - v_sum_held, spent = g.spent + v_sum_paid, left_ = g.left_ + v_sum_held - v_sum_paid
         WHERE g.grant_id = v_grants[1];
        INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id, at)
        SELECT v_accounts[1], v_grants[1], 'grant', 'spent', c.paid, c.request_id, v_now
          FROM unnest(v_ids, v_paid) AS c (request_id, paid) WHERE c.paid > 0;
        UPDATE api_keys k
           SET held = k.held - v_sum_held, spent = k.spent + v_sum_paid, running = k.running - cardinality(v_ids),
               last_used_at = greatest(k.last_used_at, v_last_used_at)
         WHERE k.key_id = v_keys[1]
        RETURNING k.quota - k.spent - k.held INTO v_quota_left;
        INSERT INTO usage_records (request_id, account_id, key_id, model_id, supplier_id, channel_id, price_version, endpoint, streamed,
                                   outcome, basis, http_status, input_tokens, cached_tokens, output_tokens, held, charge, written_off,
                                   upstream_usage, started_at, first_byte_ms, latency_ms, recorded_at)
        SELECT c.request_id, c.account_id, c.key_id, c.model_id, c.supplier_id, c.channel_id, c.price_version, c.endpoint, c.streamed,
               c.outcome, c.basis, c.http_status, c.input_tokens, c.cached_tokens, c.output_tokens, c.held, c.paid, c.charge - c.paid,
               c.upstream_usage, c.started_at, c.first_byte_ms, c.latency_ms, v_now
          FROM unnest(p_calls, v_held, v_paid) AS c (
                   request_id, account_id, key_id, model_id, supplier_id, channel_id, price_version, endpoint, streamed, outcome, basis,
                   http_status, input_tokens, cached_tokens, output_tokens, charge, upstream_usage, started_at, first_byte_ms, latency_ms,
                   held, paid);
        SELECT coalesce(sum(g.left_), 0) INTO v_balance FROM grants g
         WHERE g.account_id = v_accounts[1] AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= v_now AND g.expires_at > v_now;
        firsts := array_fill(true, ARRAY[cardinality(v_ids)]);
        charges := v_paid;
        balances := array_fill(v_balance, ARRAY[cardinality(v_ids)]);
        quotas := array_fill(v_quota_left, ARRAY[cardinality(v_ids)]);
        RETURN;
    END IF;

    WITH calls AS (
        SELECT g.place, g.tokens AS held, least(c.charge, g.tokens) AS paid, g.grant_ids, g.grant_tokens, c.*
          FROM (SELECT array_position(v_ids, h.request_id) AS place, h.tokens, h.grant_ids, h.grant_tokens FROM unnest(v_holds) h) g,
               LATERAL unnest(p_calls[g.place : g.place]) c
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
    )
    INSERT INTO usage_records (request_id, account_id, key_id, model_id, supplier_id, channel_id, price_version, endpoint, streamed,
                               outcome, basis, http_status, input_tokens, cached_tokens, output_tokens, held, charge, written_off,
                               upstream_usage, started_at, first_byte_ms, latency_ms, recorded_at)
    SELECT c.request_id, c.account_id, c.key_id, c.model_id, c.supplier_id, c.channel_id, c.price_version, c.endpoint, c.streamed,
           c.outcome, c.basis, c.http_status, c.input_tokens, c.cached_tokens, c.output_tokens, c.held, c.paid, c.charge - c.paid,
           c.upstream_usage, c.started_at, c.first_byte_ms, c.latency_ms, v_now
      FROM calls c;

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

    IF v_whole THEN
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
                SELECT s.first, s.charge INTO v_first, v_charge FROM settle_unheld(p_calls[v_place], p_helds[v_place], v_now) s;
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
