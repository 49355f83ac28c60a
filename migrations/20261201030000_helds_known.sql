-- Calls cost less, and one whose hold a crash forgot is never charged more than had been held.

-- As before: hours are added up first, and days out of hours.
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
    SELECT h.account_id, u.unit, date_bin(u.span, h.hour, '2000-01-01 00:00:00+00'), h.key_id, h.model_id, h.supplier_id, sum(h.calls),
           sum(h.failed), sum(h.input_tokens), sum(h.cached_tokens), sum(h.output_tokens), sum(h.charge)
      FROM (SELECT r.account_id, date_bin('1 hour', r.started_at, '2000-01-01 00:00:00+00') AS hour, r.key_id, r.model_id, r.supplier_id,
                   count(*) AS calls, count(*) FILTER (WHERE is_failure(r.outcome)) AS failed, sum(r.input_tokens) AS input_tokens,
                   sum(r.cached_tokens) AS cached_tokens, sum(r.output_tokens) AS output_tokens, sum(r.charge) AS charge
              FROM new_records r GROUP BY 1, 2, 3, 4, 5) h
     CROSS JOIN (VALUES ('hour', interval '1 hour'), ('day', interval '1 day')) AS u (unit, span)
     GROUP BY 1, 2, 3, 4, 5, 6
        ON CONFLICT ON CONSTRAINT usage_totals_pkey DO UPDATE
       SET calls = t.calls + excluded.calls, failed = t.failed + excluded.failed, input_tokens = t.input_tokens + excluded.input_tokens,
           cached_tokens = t.cached_tokens + excluded.cached_tokens, output_tokens = t.output_tokens + excluded.output_tokens,
           charge = t.charge + excluded.charge;
    RETURN NULL;
END
$$;

-- As before. Whether a limit of its member holds for the key is a question of its own: as a join it was answered by reading all limited
-- members that there are, in plans made while they were few.
--
-- A call that waits for its locks is decided by models, channels, prices and members as they were when it asked; by key, account and grants
-- as they are once it has the locks.
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
    v_expires_at timestamptz;
    v_quota_left bigint;
    v_max_output bigint;
    v_limits bigint[];
    v_held bigint[];
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
                output_limit := least(p_output_limit[1], v_max_output);
                v_sum := div((p_input_tokens[1] + prompt_overhead)::numeric * input_ppm
                             + output_limit::numeric * p_choices[1] * output_ppm + 999999, 1000000);
                v_limits := ARRAY[output_limit];
                v_held := ARRAY[v_sum];
                v_least := v_sum;
            ELSE
                SELECT array_agg(c.limited), array_agg(c.held), sum(c.held), min(c.held) INTO v_limits, v_held, v_sum, v_least
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
                                      WHERE f.account_id = admit_calls.account_id AND f.swept_at IS NULL AND f.left_ > 0
                                        AND f.starts_at <= v_now AND f.expires_at > v_now
                                      ORDER BY f.account_id, f.scoped DESC, f.expires_at, f.created_at, f.grant_id LIMIT 1)
                   AND NOT g.scoped AND g.left_ >= v_sum
                RETURNING ARRAY[g.grant_id] INTO v_grant_ids;
                IF FOUND THEN
                    UPDATE api_keys k SET held = k.held + v_sum, running = k.running + cardinality(v_held)
                     WHERE k.key_id = admit_calls.key_id;
                    INSERT INTO holds
                    SELECT c.request_id, admit_calls.account_id, admit_calls.key_id, p_model_id[1], admit_calls.supplier_id,
                           admit_calls.price_version, c.endpoint, c.streamed, c.held, v_grant_ids, ARRAY[c.held], p_owner,
                           v_now + p_hold_for, v_now
                      FROM unnest(p_request_id, p_endpoint, p_streamed, v_held) AS c (request_id, endpoint, streamed, held);
                    verdict := 'admitted';
                    FOR i IN 1 .. cardinality(p_request_id) LOOP
                        request_id := p_request_id[i];
                        held := v_held[i];
                        output_limit := v_limits[i];
                        RETURN NEXT;
                    END LOOP;
                    RETURN;
                END IF;
            END IF;
        END IF;
    END IF;
    RETURN QUERY SELECT * FROM admit_calls_one_by_one(
        p_request_id, p_secret_hash, p_model_id, p_protocol, p_input_tokens, p_output_limit, p_choices, p_exact, p_endpoint, p_streamed,
        p_address, p_idempotency_hash, p_fingerprint, p_owner, p_hold_for, p_again);
END
$$;

-- As before, and the replica says what each call had held, where it knows. Where there is no hold, that is the most that the call is charged,
-- and else what the reaper's record says. A call that was reaped and then admitted once more, because the first answer was lost, is charged
-- by what the second one said: its record names that supplier, that price and that hold, so that the charge can be recomputed from it.
DROP FUNCTION settle_unheld(settlement, timestamptz);
CREATE FUNCTION settle_unheld(p_call settlement, p_held bigint, p_now timestamptz, OUT first boolean, OUT charge bigint)
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
    v_had := coalesce(p_held, v_had);
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
            p_call.input_tokens, p_call.cached_tokens, p_call.output_tokens, coalesce(v_hold.tokens, v_had, 0), charge,
            p_call.charge - charge, p_call.upstream_usage, p_call.started_at, p_call.first_byte_ms, p_call.latency_ms, p_now)
    ON CONFLICT ON CONSTRAINT usage_records_pkey DO UPDATE
       SET supplier_id = excluded.supplier_id, channel_id = excluded.channel_id, price_version = excluded.price_version,
           outcome = excluded.outcome, basis = excluded.basis, http_status = excluded.http_status, input_tokens = excluded.input_tokens, cached_tokens = excluded.cached_tokens,
           output_tokens = excluded.output_tokens, held = excluded.held, charge = excluded.charge, written_off = excluded.written_off,
           upstream_usage = excluded.upstream_usage, started_at = excluded.started_at, first_byte_ms = excluded.first_byte_ms,
           latency_ms = excluded.latency_ms, recorded_at = excluded.recorded_at
     WHERE u.outcome = 'interrupted';
END
$$;

-- As before. p_helds: what each call held at first, or NULL; replicas of before say nothing.
DROP FUNCTION settle_calls(settlement[]);
CREATE FUNCTION settle_calls(
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

-- As before. That without p_helds stays for replicas of before.
CREATE PROCEDURE settle_calls_durably(
    p_calls settlement[], p_helds bigint[], INOUT firsts boolean[], INOUT charges bigint[], INOUT balances bigint[], INOUT quotas bigint[])
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT s.firsts, s.charges, s.balances, s.quotas INTO firsts, charges, balances, quotas FROM settle_calls(p_calls, p_helds) s;
    COMMIT;
    PERFORM wait_for_disk();
END
$$;
