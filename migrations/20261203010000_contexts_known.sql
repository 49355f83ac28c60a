-- Who sets no output limit is given what the model's context has room for beside the input.

-- As admit_in_groups before, and what the model can take and put out at most.
--
-- A call that waits for its locks is decided by models, channels, prices and members as they were when it asked; by key, account and grants
-- as they are once it has the locks.
CREATE FUNCTION admit_groups(
    p_request_id uuid[], p_secret_hash bytea[], p_model_id text[], p_protocol text[], p_input_tokens bigint[],
    p_output_limit bigint[], p_choices bigint[], p_exact boolean[], p_endpoint text[], p_streamed boolean[],
    p_address inet[], p_idempotency_hash bytea[], p_fingerprint bytea[],
    p_owner uuid, p_hold_for interval, p_again boolean)
RETURNS TABLE (
    request_ids uuid[], verdict text, account_id uuid, key_id uuid, supplier_id uuid, upstream_id text, price_version integer,
    input_ppm bigint, cached_ppm bigint, output_ppm bigint, helds bigint[], output_limits bigint[],
    channel_ids uuid[], base_urls text[], secrets_sealed bytea[], weights integer[], priorities integer[],
    on_leave text, prompt_overhead bigint, original_id uuid, period_ends timestamptz,
    rate_requests bigint[], rate_tokens bigint[], retry_ms bigint, context_tokens bigint, max_output_tokens bigint)
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_expires_at timestamptz;
    v_quota_left bigint;
    v_limit bigint;
    v_least bigint;
    v_sum bigint;
    v_grant_ids uuid[];
BEGIN
    IF NOT p_again AND p_secret_hash[1] = ALL (p_secret_hash) AND p_model_id[1] = ALL (p_model_id) AND p_protocol[1] = ALL (p_protocol)
       AND num_nonnulls(VARIADIC p_idempotency_hash) = 0 THEN
        SELECT k.key_id, k.account_id, m.supplier_id, m.upstream_id, m.price_version, p.input_ppm, p.cached_ppm, p.output_ppm,
               s.on_leave, s.prompt_overhead, w.channel_ids, w.base_urls, w.secrets_sealed, w.weights, w.priorities,
               m.context_tokens, m.max_output_tokens, k.quota - k.spent - k.held, k.expires_at
          INTO key_id, account_id, supplier_id, upstream_id, price_version, input_ppm, cached_ppm, output_ppm,
               on_leave, prompt_overhead, channel_ids, base_urls, secrets_sealed, weights, priorities,
               context_tokens, max_output_tokens, v_quota_left, v_expires_at
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
                v_limit := least(p_output_limit[1], max_output_tokens);
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
                               LATERAL (SELECT least(c.asked_limit, max_output_tokens) AS limited) l) c;
            END IF;
            -- Not before: the locks may have been waited for.
            v_now := clock_timestamp();
            -- A call that costs nothing holds nothing of any grant.
            IF v_least > 0 AND (v_sum > v_quota_left OR v_expires_at <= v_now) IS NOT TRUE THEN
                UPDATE grants g SET left_ = g.left_ - v_sum, held = g.held + v_sum
                 WHERE g.grant_id = (SELECT f.grant_id FROM grants f
                                      WHERE f.account_id = admit_groups.account_id AND f.swept_at IS NULL AND f.left_ > 0
                                        AND f.starts_at <= v_now AND f.expires_at > v_now
                                      ORDER BY f.account_id, f.scoped DESC, f.expires_at, f.created_at, f.grant_id LIMIT 1)
                   AND NOT g.scoped AND g.left_ >= v_sum
                RETURNING ARRAY[g.grant_id] INTO v_grant_ids;
                IF FOUND THEN
                    UPDATE api_keys k SET held = k.held + v_sum, running = k.running + cardinality(helds)
                     WHERE k.key_id = admit_groups.key_id;
                    INSERT INTO holds
                    SELECT c.request_id, admit_groups.account_id, admit_groups.key_id, p_model_id[1], admit_groups.supplier_id,
                           admit_groups.price_version, c.endpoint, c.streamed, c.held, v_grant_ids, ARRAY[c.held], p_owner,
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
           d.on_leave, d.prompt_overhead, d.original_id, d.period_ends, d.rate_requests, d.rate_tokens, d.retry_ms,
           m.context_tokens, m.max_output_tokens
      FROM admit_calls_one_by_one(
               p_request_id, p_secret_hash, p_model_id, p_protocol, p_input_tokens, p_output_limit, p_choices, p_exact, p_endpoint,
               p_streamed, p_address, p_idempotency_hash, p_fingerprint, p_owner, p_hold_for, p_again) d
      LEFT JOIN models m ON m.model_id = p_model_id[array_position(p_request_id, d.request_id)];
END
$$;

-- For replicas of before.
CREATE OR REPLACE FUNCTION admit_in_groups(
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
LANGUAGE sql VOLATILE
AS $$
    SELECT g.request_ids, g.verdict, g.account_id, g.key_id, g.supplier_id, g.upstream_id, g.price_version, g.input_ppm, g.cached_ppm,
           g.output_ppm, g.helds, g.output_limits, g.channel_ids, g.base_urls, g.secrets_sealed, g.weights, g.priorities,
           g.on_leave, g.prompt_overhead, g.original_id, g.period_ends, g.rate_requests, g.rate_tokens, g.retry_ms
      FROM admit_groups(
               p_request_id, p_secret_hash, p_model_id, p_protocol, p_input_tokens, p_output_limit, p_choices, p_exact, p_endpoint,
               p_streamed, p_address, p_idempotency_hash, p_fingerprint, p_owner, p_hold_for, p_again) g
$$;
