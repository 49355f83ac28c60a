-- The decisions about calls, made where the data is: one round trip each, nothing cached outside.
--
-- Both functions lock first, in statements of their own and in one order (keys by id, then accounts by id), and decide after.
-- A VOLATILE plpgsql function takes a new snapshot for each statement, so what it reads after a lock is what the lock waited
-- for. One statement that locks and decides would decide on the balance from before the wait. Whoever changes the grants of an
-- account holds the account's lock, so grants need no order of their own.

-- Admits a batch of calls: one row each, in the order given. A refused call leaves no trace and its neighbours alone.
--
-- p_secret_hash     HMAC of the presented secret
-- p_input_tokens    upper bound of the input, in model Tokens
-- p_output_limit    output limit asked for, a choice; NULL = the model's maximum
-- p_choices         how many choices (`n`)
-- p_exact           whether p_input_tokens is a count; a cheap bound that would refuse or clamp is answered 'count_input'
--
-- verdict: admitted | count_input | unknown_key | key_disabled | key_expired | account_suspended | model_not_found
--          | balance_exhausted | quota_exhausted | no_channel
CREATE FUNCTION admit_calls(
    p_request_id uuid[], p_secret_hash bytea[], p_model_id text[], p_protocol text[], p_input_tokens bigint[],
    p_output_limit bigint[], p_choices bigint[], p_exact boolean[], p_endpoint text[], p_streamed boolean[],
    p_owner uuid, p_hold_for interval)
RETURNS TABLE (
    request_id uuid, verdict text, account_id uuid, key_id uuid, supplier_id uuid, upstream_id text, price_version integer,
    input_ppm bigint, cached_ppm bigint, output_ppm bigint, held bigint, output_limit bigint,
    channel_ids uuid[], base_urls text[], secrets_sealed bytea[], weights integer[])
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_key api_keys%ROWTYPE;
    v_suspended boolean;
    v_model record;
    v_available numeric;
    v_room numeric;
    v_most numeric;
    v_rest bigint;
    v_take bigint;
    v_grant record;
    v_grant_ids uuid[];
    v_grant_tokens bigint[];
BEGIN
    PERFORM 1 FROM api_keys k WHERE k.secret_hash = ANY (p_secret_hash) ORDER BY k.key_id FOR NO KEY UPDATE;
    PERFORM 1 FROM accounts a
      WHERE a.account_id IN (SELECT k.account_id FROM api_keys k WHERE k.secret_hash = ANY (p_secret_hash))
      ORDER BY a.account_id FOR NO KEY UPDATE;
    -- Not now(): that is when the transaction began, and the locks may have been waited for since.
    v_now := clock_timestamp();

    FOR i IN 1 .. cardinality(p_request_id) LOOP
        request_id := p_request_id[i];
        verdict := NULL; account_id := NULL; key_id := NULL; supplier_id := NULL; upstream_id := NULL; price_version := NULL;
        input_ppm := NULL; cached_ppm := NULL; output_ppm := NULL; held := NULL; output_limit := NULL;
        channel_ids := NULL; base_urls := NULL; secrets_sealed := NULL; weights := NULL;

        SELECT k.* INTO v_key FROM api_keys k WHERE k.secret_hash = p_secret_hash[i];
        IF v_key.key_id IS NULL OR v_key.status = 'deleted' THEN
            verdict := 'unknown_key'; RETURN NEXT; CONTINUE;
        END IF;
        key_id := v_key.key_id;
        account_id := v_key.account_id;
        IF v_key.status <> 'enabled' THEN verdict := 'key_disabled'; RETURN NEXT; CONTINUE; END IF;
        IF v_key.expires_at <= v_now THEN verdict := 'key_expired'; RETURN NEXT; CONTINUE; END IF;
        SELECT a.suspended_at IS NOT NULL INTO v_suspended FROM accounts a WHERE a.account_id = v_key.account_id;
        IF v_suspended THEN verdict := 'account_suspended'; RETURN NEXT; CONTINUE; END IF;

        SELECT m.supplier_id, m.upstream_id, m.max_output_tokens, m.price_version, p.input_ppm, p.cached_ppm, p.output_ppm
          INTO v_model
          FROM models m
          JOIN suppliers s ON s.supplier_id = m.supplier_id
          JOIN model_prices p ON p.model_id = m.model_id AND p.version = m.price_version
         WHERE m.model_id = p_model_id[i] AND m.status = 'enabled' AND s.status = 'enabled'
           AND (v_key.supplier_id IS NULL OR v_key.supplier_id = m.supplier_id);
        IF NOT FOUND THEN verdict := 'model_not_found'; RETURN NEXT; CONTINUE; END IF;
        supplier_id := v_model.supplier_id;
        upstream_id := v_model.upstream_id;
        price_version := v_model.price_version;
        input_ppm := v_model.input_ppm;
        cached_ppm := v_model.cached_ppm;
        output_ppm := v_model.output_ppm;

        SELECT array_agg(c.channel_id), array_agg(c.base_url), array_agg(c.secret_sealed), array_agg(c.weight)
          INTO channel_ids, base_urls, secrets_sealed, weights
          FROM channels c
         WHERE c.supplier_id = v_model.supplier_id AND c.status = 'enabled' AND c.protocol = p_protocol[i];
        IF channel_ids IS NULL THEN verdict := 'no_channel'; RETURN NEXT; CONTINUE; END IF;

        -- How much output fits into what the wallet and the key have left, once the input is paid for?
        SELECT coalesce(sum(g.left_), 0) INTO v_available
          FROM grants g
         WHERE g.account_id = v_key.account_id AND g.swept_at IS NULL AND g.starts_at <= v_now AND g.expires_at > v_now
           AND (g.scope_supplier_ids = '{}' OR v_model.supplier_id = ANY (g.scope_supplier_ids))
           AND (g.scope_model_ids = '{}' OR p_model_id[i] = ANY (g.scope_model_ids));
        v_room := least(v_available, coalesce(v_key.quota - v_key.spent - v_key.held, v_available)) * 1000000
                  - p_input_tokens[i]::numeric * v_model.input_ppm;
        output_limit := least(coalesce(p_output_limit[i], v_model.max_output_tokens), v_model.max_output_tokens);
        v_most := CASE
            WHEN v_room < 0 THEN 0
            WHEN v_model.output_ppm = 0 OR p_choices[i] = 0 THEN output_limit
            ELSE trunc(v_room / (v_model.output_ppm::numeric * p_choices[i])) END;
        IF v_room < 0 OR v_most < output_limit THEN
            IF NOT p_exact[i] THEN verdict := 'count_input'; RETURN NEXT; CONTINUE; END IF;
            IF v_room < 0 OR v_most < 1 THEN
                verdict := CASE WHEN v_key.quota - v_key.spent - v_key.held < v_available THEN 'quota_exhausted' ELSE 'balance_exhausted' END;
                output_limit := NULL; RETURN NEXT; CONTINUE;
            END IF;
            output_limit := v_most;
        END IF;
        held := ceil((p_input_tokens[i]::numeric * v_model.input_ppm
                      + output_limit::numeric * p_choices[i] * v_model.output_ppm) / 1000000);

        v_rest := held;
        v_grant_ids := '{}';
        v_grant_tokens := '{}';
        IF v_rest > 0 THEN
            FOR v_grant IN
                SELECT g.grant_id, g.left_ FROM grants g
                 WHERE g.account_id = v_key.account_id AND g.swept_at IS NULL AND g.left_ > 0
                   AND g.starts_at <= v_now AND g.expires_at > v_now
                   AND (g.scope_supplier_ids = '{}' OR v_model.supplier_id = ANY (g.scope_supplier_ids))
                   AND (g.scope_model_ids = '{}' OR p_model_id[i] = ANY (g.scope_model_ids))
                 ORDER BY g.scoped DESC, g.expires_at, g.created_at, g.grant_id
            LOOP
                v_take := least(v_grant.left_, v_rest);
                UPDATE grants g SET left_ = g.left_ - v_take, held = g.held + v_take WHERE g.grant_id = v_grant.grant_id;
                v_grant_ids := v_grant_ids || v_grant.grant_id;
                v_grant_tokens := v_grant_tokens || v_take;
                v_rest := v_rest - v_take;
                EXIT WHEN v_rest = 0;
            END LOOP;
            IF v_rest > 0 THEN
                RAISE EXCEPTION 'hold of % Tokens found % too few', held, v_rest;
            END IF;
            UPDATE api_keys k SET held = k.held + admit_calls.held WHERE k.key_id = v_key.key_id;
        END IF;
        INSERT INTO holds (request_id, account_id, key_id, model_id, supplier_id, price_version, endpoint, streamed, tokens,
                           grant_ids, grant_tokens, owner, deadline, created_at)
        VALUES (p_request_id[i], v_key.account_id, v_key.key_id, p_model_id[i], v_model.supplier_id, v_model.price_version,
                p_endpoint[i], p_streamed[i], admit_calls.held,
                v_grant_ids, v_grant_tokens, p_owner, v_now + p_hold_for, v_now);
        verdict := 'admitted';
        RETURN NEXT;
    END LOOP;
END
$$;

-- Settles a batch of finished calls, each exactly once whoever else tries. p_settlements is an array of objects with the columns
-- of usage_records. `charge` is what the call cost; what exceeds its hold is written off.
--
-- verdict: settled | duplicate (the record that was there first stands, and its charge is returned)
-- balance_left, quota_left: after this settlement; quota_left NULL = the key has no quota of its own.
CREATE FUNCTION settle_calls(p_settlements jsonb)
RETURNS TABLE (request_id uuid, verdict text, charge bigint, balance_left bigint, quota_left bigint)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_call usage_records%ROWTYPE;
    v_hold holds%ROWTYPE;
    v_scope record;
    v_rest bigint;
    v_line bigint;
    v_spend bigint;
    v_charge bigint;
    v_held bigint;
BEGIN
    PERFORM 1 FROM api_keys k
      WHERE k.key_id IN (SELECT (e ->> 'key_id')::uuid FROM jsonb_array_elements(p_settlements) e)
      ORDER BY k.key_id FOR NO KEY UPDATE;
    PERFORM 1 FROM accounts a
      WHERE a.account_id IN (SELECT (e ->> 'account_id')::uuid FROM jsonb_array_elements(p_settlements) e)
      ORDER BY a.account_id FOR NO KEY UPDATE;
    v_now := clock_timestamp();

    FOR v_call IN SELECT * FROM jsonb_populate_recordset(NULL::usage_records, p_settlements) LOOP
        request_id := v_call.request_id;
        SELECT u.charge INTO v_charge FROM usage_records u WHERE u.request_id = v_call.request_id;
        IF FOUND THEN
            verdict := 'duplicate';
        ELSE
            verdict := 'settled';
            DELETE FROM holds h WHERE h.request_id = v_call.request_id RETURNING h.* INTO v_hold;
            IF FOUND THEN
                v_held := v_hold.tokens;
                v_charge := least(v_call.charge, v_held);
                v_rest := v_charge;
                FOR n IN 1 .. cardinality(v_hold.grant_ids) LOOP
                    v_line := v_hold.grant_tokens[n];
                    v_spend := least(v_line, v_rest);
                    v_rest := v_rest - v_spend;
                    UPDATE grants g SET held = g.held - v_line, spent = g.spent + v_spend, left_ = g.left_ + v_line - v_spend
                     WHERE g.grant_id = v_hold.grant_ids[n];
                    IF v_spend > 0 THEN
                        INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id, at)
                        VALUES (v_call.account_id, v_hold.grant_ids[n], 'grant', 'spent', v_spend, v_call.request_id, v_now);
                    END IF;
                END LOOP;
            ELSE
                -- A crash of Postgres forgot the hold. The call happened: it is charged what account and key can still pay.
                v_held := 0;
                SELECT least(v_call.charge, coalesce(k.quota - k.spent - k.held, v_call.charge)) INTO v_rest
                  FROM api_keys k WHERE k.key_id = v_call.key_id;
                v_charge := 0;
                FOR v_scope IN
                    SELECT g.grant_id, g.left_ FROM grants g
                     WHERE g.account_id = v_call.account_id AND g.swept_at IS NULL AND g.left_ > 0
                       AND g.starts_at <= v_now AND g.expires_at > v_now
                       AND (g.scope_supplier_ids = '{}' OR v_call.supplier_id = ANY (g.scope_supplier_ids))
                       AND (g.scope_model_ids = '{}' OR v_call.model_id = ANY (g.scope_model_ids))
                     ORDER BY g.scoped DESC, g.expires_at, g.created_at, g.grant_id
                LOOP
                    v_spend := least(v_scope.left_, v_rest);
                    EXIT WHEN v_spend = 0;
                    UPDATE grants g SET left_ = g.left_ - v_spend, spent = g.spent + v_spend WHERE g.grant_id = v_scope.grant_id;
                    INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, request_id, at)
                    VALUES (v_call.account_id, v_scope.grant_id, 'grant', 'spent', v_spend, v_call.request_id, v_now);
                    v_charge := v_charge + v_spend;
                    v_rest := v_rest - v_spend;
                END LOOP;
            END IF;
            UPDATE api_keys k SET held = k.held - v_held, spent = k.spent + v_charge,
                                  last_used_at = greatest(k.last_used_at, v_call.started_at)
             WHERE k.key_id = v_call.key_id;
            v_call.written_off := v_call.charge - v_charge;
            v_call.charge := v_charge;
            v_call.held := v_held;
            v_call.recorded_at := v_now;
            INSERT INTO usage_records SELECT v_call.*;
        END IF;
        charge := v_charge;
        SELECT coalesce(sum(g.left_), 0)::bigint INTO balance_left FROM grants g
         WHERE g.account_id = v_call.account_id AND g.swept_at IS NULL AND g.starts_at <= v_now AND g.expires_at > v_now;
        SELECT k.quota - k.spent - k.held INTO quota_left FROM api_keys k WHERE k.key_id = v_call.key_id;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Settles the calls whose owner fell silent: nothing is charged, everything held goes back. Keys that another replica has
-- locked are left to it, or to the next round. Returns how many it settled.
CREATE FUNCTION reap_holds(p_most integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
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
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'request_id', h.request_id, 'account_id', h.account_id, 'key_id', h.key_id, 'model_id', h.model_id,
            'supplier_id', h.supplier_id, 'price_version', h.price_version, 'endpoint', h.endpoint, 'streamed', h.streamed,
            'outcome', 'interrupted', 'basis', 'waived', 'http_status', 0, 'input_tokens', 0, 'cached_tokens', 0,
            'output_tokens', 0, 'held', h.tokens, 'charge', 0, 'written_off', 0, 'started_at', h.created_at,
            'latency_ms', (extract(epoch FROM clock_timestamp() - h.created_at) * 1000)::bigint)), '[]')
          FROM (SELECT * FROM holds
                 WHERE key_id = ANY (v_keys) AND deadline < clock_timestamp()
                 ORDER BY deadline LIMIT p_most FOR UPDATE) h));
    RETURN v_settled;
END
$$;

-- Writes the expiry of grants whose time is over. What running calls still hold stays held, and is swept after they settle.
-- Accounts that somebody else has locked wait for the next round. Returns how many grants it visited.
CREATE FUNCTION sweep_expired_grants(p_most integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_accounts uuid[];
    v_grant record;
    v_visited integer := 0;
BEGIN
    SELECT array_agg(locked.account_id) INTO v_accounts FROM (
        SELECT a.account_id FROM accounts a
         WHERE a.account_id IN (SELECT g.account_id FROM grants g
                                 WHERE g.swept_at IS NULL AND g.expires_at <= clock_timestamp() AND (g.left_ > 0 OR g.held = 0)
                                 ORDER BY g.expires_at LIMIT p_most)
         ORDER BY a.account_id FOR NO KEY UPDATE SKIP LOCKED) locked;
    FOR v_grant IN
        SELECT g.grant_id, g.account_id, g.left_ FROM grants g
         WHERE g.account_id = ANY (v_accounts) AND g.swept_at IS NULL AND g.expires_at <= clock_timestamp()
           AND (g.left_ > 0 OR g.held = 0)
    LOOP
        IF v_grant.left_ > 0 THEN
            INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, at)
            VALUES (v_grant.account_id, v_grant.grant_id, 'grant', 'expired', v_grant.left_, clock_timestamp());
        END IF;
        UPDATE grants g SET left_ = 0, expired = g.expired + g.left_,
                            swept_at = CASE WHEN g.held = 0 THEN clock_timestamp() END
         WHERE g.grant_id = v_grant.grant_id;
        v_visited := v_visited + 1;
    END LOOP;
    RETURN v_visited;
END
$$;
