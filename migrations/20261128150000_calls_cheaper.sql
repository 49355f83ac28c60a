-- What a call costs the database. Nothing here changes what is decided, charged or recorded.
--
-- Postgres parses the stored text of every CHECK and every generated column of a table anew for each statement that writes to it, needed
-- or not: some 90 µs of each UPDATE of a grant or a key, 150 µs of each INSERT into the ledger, two thirds of what such a statement took.
-- So what calls change is held by few short CHECKs; rules about columns that no call changes are in triggers that fire when those
-- columns are named; and rows that are written once hand themselves to a function, whose body is parsed once a connection. All refuse
-- with the name that the rule always had, but for balances below zero, which are one CHECK now.

-- Refuses a row as a CHECK of that name would.
CREATE FUNCTION refuse_row(p_table text, p_rule text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION 'new row for relation "%" violates check constraint "%_%_check"', p_table, p_table, p_rule
        USING ERRCODE = 'check_violation', TABLE = p_table, CONSTRAINT = p_table || '_' || p_rule || '_check';
END
$$;

-- Keys. A generated column costs what a CHECK does, and `limited` is what three columns say already.
ALTER TABLE accounts DROP COLUMN limited;
ALTER TABLE api_keys
    DROP COLUMN limited,
    DROP CONSTRAINT api_keys_allowed_models_check,
    DROP CONSTRAINT api_keys_allowed_networks_check,
    DROP CONSTRAINT api_keys_concurrent_calls_check,
    DROP CONSTRAINT api_keys_deleted_check,
    DROP CONSTRAINT api_keys_held_check,
    DROP CONSTRAINT api_keys_name_check,
    DROP CONSTRAINT api_keys_period_check,
    DROP CONSTRAINT api_keys_period_quota_check,
    DROP CONSTRAINT api_keys_period_used_check,
    DROP CONSTRAINT api_keys_period_whole_check,
    DROP CONSTRAINT api_keys_quota_check,
    DROP CONSTRAINT api_keys_requests_per_minute_check,
    DROP CONSTRAINT api_keys_running_check,
    DROP CONSTRAINT api_keys_secret_hash_check,
    DROP CONSTRAINT api_keys_spent_check,
    DROP CONSTRAINT api_keys_status_check,
    DROP CONSTRAINT api_keys_tokens_per_minute_check,
    ADD CONSTRAINT api_keys_use_check CHECK (least(spent, held, running, period_used) >= 0);
CREATE FUNCTION check_key() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    -- As in a CHECK, a rule that comes to NULL is not broken.
    v_broken text := CASE
        WHEN NOT length(NEW.name) BETWEEN 1 AND 100 THEN 'name'
        WHEN NOT octet_length(NEW.secret_hash) = 32 THEN 'secret_hash'
        WHEN NOT NEW.status IN ('enabled', 'disabled', 'deleted') THEN 'status'
        WHEN NOT (NEW.status = 'deleted') = (NEW.deleted_at IS NOT NULL) THEN 'deleted'
        WHEN NOT NEW.quota >= 0 THEN 'quota'
        WHEN NOT NEW.requests_per_minute BETWEEN 1 AND 1000000 THEN 'requests_per_minute'
        WHEN NOT NEW.tokens_per_minute BETWEEN 1 AND 1000000000000 THEN 'tokens_per_minute'
        WHEN NOT NEW.concurrent_calls BETWEEN 1 AND 100000 THEN 'concurrent_calls'
        WHEN NOT cardinality(NEW.allowed_models) BETWEEN 1 AND 200 THEN 'allowed_models'
        WHEN NOT cardinality(NEW.allowed_networks) BETWEEN 1 AND 100 THEN 'allowed_networks'
        WHEN NOT NEW.period IN ('day', 'week', 'month') THEN 'period'
        WHEN NOT num_nulls(NEW.period, NEW.period_zone, NEW.period_quota) IN (0, 3) THEN 'period_whole'
        WHEN NOT NEW.period_quota >= 0 THEN 'period_quota' END;
BEGIN
    IF v_broken IS NOT NULL THEN PERFORM refuse_row('api_keys', v_broken); END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER api_keys_checked
    AFTER INSERT OR UPDATE OF name, secret_hash, status, deleted_at, quota, requests_per_minute, tokens_per_minute, concurrent_calls,
                              allowed_models, allowed_networks, period, period_zone, period_quota
    ON api_keys FOR EACH ROW EXECUTE FUNCTION check_key();

-- Grants. `scoped`, which the index of the burn order holds, was generated; now it is set when a grant is made.
ALTER TABLE grants
    ALTER COLUMN scoped DROP EXPRESSION,
    DROP CONSTRAINT grants_cause_check,
    DROP CONSTRAINT grants_expired_check,
    DROP CONSTRAINT grants_expires_at_check,
    DROP CONSTRAINT grants_frozen_check,
    DROP CONSTRAINT grants_held_check,
    DROP CONSTRAINT grants_left_check,
    DROP CONSTRAINT grants_refunded_check,
    DROP CONSTRAINT grants_source_check,
    DROP CONSTRAINT grants_spent_check,
    DROP CONSTRAINT grants_swept_check,
    DROP CONSTRAINT grants_tokens_check,
    ADD CONSTRAINT grants_books_check CHECK (least(left_, held, spent, expired, refunded) >= 0),
    ADD CONSTRAINT grants_swept_check CHECK (swept_at IS NULL OR frozen_at IS NOT NULL OR left_ + held = 0);
CREATE FUNCTION set_scoped() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.scoped := NEW.scope_supplier_ids <> '{}' OR NEW.scope_model_ids <> '{}';
    RETURN NEW;
END
$$;
CREATE TRIGGER grants_scoped BEFORE INSERT ON grants FOR EACH ROW EXECUTE FUNCTION set_scoped();
CREATE FUNCTION check_grant() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_broken text := CASE
        WHEN NOT NEW.source IN ('order', 'credit', 'code', 'transfer') THEN 'source'
        WHEN NOT ((NEW.source = 'order') = (NEW.order_id IS NOT NULL)
                  AND (NEW.source = 'code') = (NEW.redemption_id IS NOT NULL)
                  AND (NEW.source IN ('credit', 'transfer')) = (NEW.action_id IS NOT NULL)) THEN 'cause'
        WHEN NOT NEW.expires_at > NEW.starts_at THEN 'expires_at'
        WHEN NOT (NEW.frozen_at IS NULL OR NEW.swept_at IS NOT NULL) THEN 'frozen'
        WHEN NOT NEW.scoped = (NEW.scope_supplier_ids <> '{}' OR NEW.scope_model_ids <> '{}') THEN 'scoped' END;
BEGIN
    IF v_broken IS NOT NULL THEN PERFORM refuse_row('grants', v_broken); END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER grants_checked
    AFTER INSERT OR UPDATE OF source, order_id, redemption_id, action_id, starts_at, expires_at, swept_at, frozen_at, scoped,
                              scope_supplier_ids, scope_model_ids
    ON grants FOR EACH ROW EXECUTE FUNCTION check_grant();

-- Entries and records: written once, so the whole row is looked at. An entry of a call, which nearly all are, is told from the others
-- first, since plpgsql prepares an expression in each transaction that comes to it. Sound rows are told without a function of ours: a dump
-- is restored with no schema to find one in.
CREATE FUNCTION is_sound(p_entry ledger) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_broken text;
BEGIN
    IF p_entry.to_book = 'spent' AND p_entry.from_book = 'grant' AND p_entry.tokens > 0 AND p_entry.request_id IS NOT NULL
       AND num_nonnulls(p_entry.redemption_id, p_entry.refund_id, p_entry.to_grant_id, p_entry.to_account_id) = 0 THEN
        RETURN true;
    END IF;
    v_broken := CASE
        WHEN NOT p_entry.tokens > 0 THEN 'tokens'
        WHEN NOT (p_entry.from_book, p_entry.to_book) IN (
            ('issued', 'grant'), ('grant', 'spent'), ('grant', 'expired'), ('grant', 'refunded'), ('refunded', 'grant'), ('grant', 'grant'))
            THEN 'books'
        WHEN NOT CASE
            WHEN p_entry.from_book = 'issued' THEN
                num_nonnulls(p_entry.order_id, p_entry.action_id, p_entry.redemption_id) = 1 AND p_entry.request_id IS NULL
            WHEN p_entry.to_book = 'spent' THEN p_entry.request_id IS NOT NULL AND p_entry.redemption_id IS NULL
            WHEN p_entry.to_book = 'expired' THEN p_entry.request_id IS NULL AND p_entry.redemption_id IS NULL
            ELSE num_nonnulls(p_entry.order_id, p_entry.action_id) = 1 AND p_entry.request_id IS NULL AND p_entry.redemption_id IS NULL END
            THEN 'cause'
        WHEN NOT ((p_entry.from_book = 'grant' AND p_entry.to_book = 'grant') = (p_entry.to_grant_id IS NOT NULL)
                  AND (p_entry.to_grant_id IS NULL) = (p_entry.to_account_id IS NULL)
                  AND p_entry.to_grant_id IS DISTINCT FROM p_entry.grant_id) THEN 'move'
        WHEN NOT ((p_entry.from_book <> 'refunded' OR p_entry.refund_id IS NOT NULL)
                  AND (p_entry.refund_id IS NULL OR 'refunded' IN (p_entry.from_book, p_entry.to_book))) THEN 'refund' END;
    IF v_broken IS NULL THEN RETURN true; END IF;
    RETURN refuse_row('ledger', v_broken);
END
$$;
CREATE FUNCTION is_sound(p_call usage_records) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_broken text := CASE
        WHEN NOT p_call.outcome IN (
            'ok', 'upstream_error', 'upstream_timeout', 'upstream_cut', 'client_left', 'key_ended', 'interrupted') THEN 'outcome'
        WHEN NOT p_call.basis IN ('measured', 'counted', 'waived') THEN 'basis'
        WHEN NOT least(p_call.input_tokens, p_call.output_tokens, p_call.cached_tokens, p_call.input_tokens - p_call.cached_tokens) >= 0
            THEN 'tokens'
        WHEN NOT (least(p_call.charge, p_call.written_off) >= 0 AND (p_call.basis <> 'waived' OR p_call.charge = 0)) THEN 'charge' END;
BEGIN
    IF v_broken IS NULL THEN RETURN true; END IF;
    RETURN refuse_row('usage_records', v_broken);
END
$$;
ALTER TABLE usage_records
    DROP CONSTRAINT usage_records_basis_check,
    DROP CONSTRAINT usage_records_charge_check,
    DROP CONSTRAINT usage_records_outcome_check,
    DROP CONSTRAINT usage_records_tokens_check,
    ADD CONSTRAINT usage_records_sound_check CHECK (is_sound(usage_records));
-- Entries are numbered, so that the primary key may begin with the account, as those do who read them, and one index does for two. Of a
-- grant's entries nobody looks for other than the one that issued it, which has an index of its own.
ALTER TABLE ledger
    DROP CONSTRAINT ledger_books_check,
    DROP CONSTRAINT ledger_cause_check,
    DROP CONSTRAINT ledger_move_check,
    DROP CONSTRAINT ledger_refund_check,
    DROP CONSTRAINT ledger_tokens_check,
    ADD CONSTRAINT ledger_sound_check CHECK (is_sound(ledger)),
    DROP CONSTRAINT ledger_pkey,
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (account_id, entry_id);
DROP INDEX ledger_account_id_idx;
DROP INDEX ledger_grant_id_idx;
-- Five references cost each entry of a call 8 µs to find that it has none of them. Entries name what the transaction that writes them has
-- made or locked, and that is never removed: grants, actions and refunds by their triggers, orders by one of their own from now on, a
-- redemption that brought a grant by the grant's reference.
ALTER TABLE ledger
    DROP CONSTRAINT ledger_action_id_fkey,
    DROP CONSTRAINT ledger_order_id_fkey,
    DROP CONSTRAINT ledger_redemption_id_fkey,
    DROP CONSTRAINT ledger_refund_id_fkey,
    DROP CONSTRAINT ledger_to_grant_id_fkey;
CREATE TRIGGER orders_no_delete BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION refuse_removal();

-- A model that calls of a batch ask for by a protocol: its price, and the ways to its supplier; channel_ids NULL = there is none.
CREATE TYPE call_offer AS (
    supplier_id       uuid,
    upstream_id       text,
    max_output_tokens bigint,
    price_version     integer,
    input_ppm         bigint,
    cached_ppm        bigint,
    output_ppm        bigint,
    on_leave          text,
    prompt_overhead   bigint,
    channel_ids       uuid[],
    base_urls         text[],
    secrets_sealed    bytea[],
    weights           integer[],
    priorities        integer[]
);

-- Takes back what calls hold whose admission is asked for again, since its answer was lost. The caller holds the locks of keys and
-- accounts.
CREATE FUNCTION take_back_holds(p_request_id uuid[], p_owner uuid) RETURNS void LANGUAGE sql VOLATILE AS $$
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
     WHERE k.key_id = h.key_id
$$;

-- As before, with as few statements as it takes: each costs 10 to 40 µs to begin and to end, however little it does. Keys and accounts
-- are read by the statements that lock them, which see each row as the last who had it left it; grants and offers once for the whole
-- batch; and the calls are decided in a loop without any statement, but for those under an Idempotency-Key.
--
-- An expression of plpgsql costs 2 µs when a transaction comes to it first: most of what a lone call costs. So calls of one key for one
-- model, which nothing limits but their wallet and one grant without a scope pays for, have a way of their own before that. It writes
-- what the other way would, and where it finds anything out of the ordinary, it has written nothing and leaves the decision to it.
--
-- Columns that a verdict does not need mean nothing beside it.
--
-- The settings that kept the planner from scanning whole tables are those of the gateway's connections now (gateway::database): setting
-- and resetting them took 20 µs of each call of the function.
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
    v_quota_left bigint;
    v_period_left bigint;
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
    SELECT coalesce(array_agg(g.grant_id), '{}'), array_agg(g.account_id), array_agg(g.left_), array_agg(g.scope), bool_or(g.scoped)
      INTO v_grants, v_grant_accounts, v_left, v_scopes, v_scoped
      FROM (SELECT g.grant_id, g.account_id, g.left_, g.scoped, CASE WHEN g.scoped THEN g END AS scope FROM grants g
             WHERE g.account_id = ANY (v_account_ids) AND g.swept_at IS NULL AND g.left_ > 0 AND g.starts_at <= v_now AND g.expires_at > v_now
             ORDER BY g.account_id, g.scoped DESC, g.expires_at, g.created_at, g.grant_id) g;
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

        -- How much output fits into what the wallet and the key have left, once the input is paid for? least() passes over what is NULL.
        v_key_place := array_position(v_key_ids, v_key.key_id);
        v_quota_left := least(v_key.quota - v_key.spent - v_key.held, v_period_left) - coalesce(v_key_held[v_key_place], 0);
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
                    WHEN v_quota_left < v_available AND v_period_left < coalesce(v_key.quota - v_key.spent - v_key.held, v_available)
                        THEN 'period_exhausted'
                    WHEN v_quota_left < v_available THEN 'quota_exhausted'
                    ELSE 'balance_exhausted' END;
                IF verdict = 'period_exhausted' THEN period_ends := period_end(v_key.period, v_key.period_zone, v_now); END IF;
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
        IF p_idempotency_hash[n] IS NOT NULL THEN
            INSERT INTO idempotent_calls AS i (key_id, idempotency_hash, fingerprint, request_id, created_at)
            VALUES (v_key.key_id, p_idempotency_hash[n], p_fingerprint[n], p_request_id[n], v_now)
            ON CONFLICT ON CONSTRAINT idempotent_calls_pkey DO UPDATE
               SET fingerprint = excluded.fingerprint, request_id = excluded.request_id, created_at = excluded.created_at, answer = NULL;
        END IF;
        v_holds := v_holds || ROW (request_id, account_id, key_id, p_model_id[n], supplier_id, price_version, p_endpoint[n],
                                   p_streamed[n], held, v_grant_ids, v_grant_tokens, p_owner, v_now + p_hold_for, v_now)::holds;
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
               period_began = period_start(k.period, k.period_zone, v_now),
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

-- As before, with as few statements as it takes; the parts of the answer come as arrays, in the order of the calls. A call that has a hold
-- has no record: who deletes the one writes the other. So records are looked for only where there is no hold. A lone call whose hold draws on
-- one grant has a way of its own, as in admit_calls.
DROP FUNCTION settle_calls(settlement[]);
CREATE FUNCTION settle_calls(
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
            FOR NO KEY UPDATE OF k, a;
        IF FOUND THEN
            v_now := clock_timestamp();
            DELETE FROM holds h WHERE h.request_id = v_call.request_id AND cardinality(h.grant_ids) = 1
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
        DELETE FROM holds h WHERE h.request_id = ANY (v_ids)
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
           SET period_used = k.period_used - (
                   SELECT coalesce(sum(u.tokens), 0) FROM unused u
                    WHERE u.key_id = k.key_id AND period_start(k.period, k.period_zone, u.since) = k.period_began),
               tokens_full_at = k.tokens_full_at - (
                   SELECT coalesce(sum(unused_of_minute(u.held, u.tokens, k.tokens_per_minute, v_now - u.since)), '0') FROM unused u
                    WHERE u.key_id = k.key_id)
         WHERE k.key_id = ANY (v_keys) AND (k.period IS NOT NULL OR k.tokens_per_minute IS NOT NULL);
    END IF;

    IF v_gone IS NOT DISTINCT FROM (SELECT array_agg(n) FROM generate_subscripts(v_ids, 1) n) THEN
        firsts := array_fill(true, ARRAY[cardinality(v_ids)]);
        charges := v_paid;
    ELSE
        -- Whoever has no hold is charged after the others have given back theirs. Another report of a call is answered what the first was.
        FOR n IN 1 .. cardinality(v_ids) LOOP
            v_place := array_position(v_gone, n);
            firsts[n] := v_place IS NOT NULL;
            charges[n] := v_paid[v_place];
        END LOOP;
        FOR v_place IN SELECT c.n FROM generate_subscripts(v_ids, 1) AS c (n) WHERE NOT firsts[c.n] ORDER BY v_ids[c.n], c.n LOOP
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

    SELECT array_agg(k.key_id), array_agg(k.quota - k.spent - k.held) INTO v_keys, v_key_quotas FROM api_keys k WHERE k.key_id = ANY (v_keys);
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

-- Settles a call that has no hold: it was settled before, or a crash of Postgres forgot the hold, or the reaper took it while the owner was
-- silent, whose record stands where the reaper's was. The caller holds the locks of key and account.
CREATE FUNCTION settle_unheld(p_call settlement, p_now timestamptz, OUT first boolean, OUT charge bigint) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    v_outcome text;
BEGIN
    SELECT u.outcome, u.charge INTO v_outcome, charge FROM usage_records u
     WHERE u.account_id = p_call.account_id AND u.request_id = p_call.request_id;
    first := v_outcome IS NULL OR (v_outcome = 'interrupted' AND p_call.outcome <> 'interrupted');
    IF NOT first THEN RETURN; END IF;
    charge := charge_unheld(p_call, p_now);
    INSERT INTO usage_records AS u (request_id, account_id, key_id, model_id, supplier_id, channel_id, price_version, endpoint, streamed,
                                    outcome, basis, http_status, input_tokens, cached_tokens, output_tokens, held, charge, written_off,
                                    upstream_usage, started_at, first_byte_ms, latency_ms, recorded_at)
    VALUES (p_call.request_id, p_call.account_id, p_call.key_id, p_call.model_id, p_call.supplier_id, p_call.channel_id, p_call.price_version,
            p_call.endpoint, p_call.streamed, p_call.outcome, p_call.basis, p_call.http_status, p_call.input_tokens, p_call.cached_tokens,
            p_call.output_tokens, 0, charge, p_call.charge - charge, p_call.upstream_usage, p_call.started_at, p_call.first_byte_ms,
            p_call.latency_ms, p_now)
    ON CONFLICT ON CONSTRAINT usage_records_pkey DO UPDATE
       SET channel_id = excluded.channel_id, outcome = excluded.outcome, basis = excluded.basis, http_status = excluded.http_status,
           input_tokens = excluded.input_tokens, cached_tokens = excluded.cached_tokens, output_tokens = excluded.output_tokens,
           charge = excluded.charge, written_off = excluded.written_off, upstream_usage = excluded.upstream_usage,
           started_at = excluded.started_at, first_byte_ms = excluded.first_byte_ms, latency_ms = excluded.latency_ms,
           recorded_at = excluded.recorded_at
     WHERE u.outcome = 'interrupted';
END
$$;

-- As before, where settle_calls answers otherwise. It runs on connections of the console, so it keeps the planner from scans itself.
CREATE OR REPLACE FUNCTION reap_holds(p_most integer) RETURNS integer LANGUAGE plpgsql VOLATILE
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_keys uuid[];
    v_settled integer;
BEGIN
    SELECT array_agg(locked.key_id) INTO v_keys FROM (
        SELECT k.key_id FROM api_keys k
         WHERE k.key_id IN (SELECT h.key_id FROM holds h WHERE h.deadline < clock_timestamp() ORDER BY h.deadline LIMIT p_most)
         ORDER BY k.key_id FOR NO KEY UPDATE SKIP LOCKED) locked;
    -- Read again under the lock: the owner may have settled or extended the call meanwhile.
    SELECT coalesce(cardinality(s.firsts), 0) INTO v_settled FROM settle_calls((
        SELECT coalesce(array_agg(ROW(
                   h.request_id, h.account_id, h.key_id, h.model_id, h.supplier_id, NULL, h.price_version, h.endpoint, h.streamed,
                   'interrupted', 'waived', 0, 0, 0, 0, 0, NULL, h.created_at, NULL,
                   (extract(epoch FROM clock_timestamp() - h.created_at) * 1000)::bigint)::settlement), '{}')
          FROM (SELECT * FROM holds
                 WHERE key_id = ANY (v_keys) AND deadline < clock_timestamp()
                 ORDER BY deadline LIMIT p_most FOR UPDATE) h)) s;
    RETURN v_settled;
END
$$;

-- Settles a batch and makes it durable in two steps, so that nobody waits for the disk behind the locks of its keys and accounts. The
-- first commit releases them and does not wait; the second writes one more record to the log, after all that the first wrote, and waits
-- until the disk has it and so everything before it. Whoever reads what was settled in between, and commits, does so later in the same
-- log: a crash forgets both or the reader alone.
--
-- To be called outside a transaction. What fails after the first step is settled all the same; sent again, it is a duplicate.
CREATE PROCEDURE settle_calls_durably(
    p_calls settlement[], INOUT firsts boolean[], INOUT charges bigint[], INOUT balances bigint[], INOUT quotas bigint[])
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT s.firsts, s.charges, s.balances, s.quotas INTO firsts, charges, balances, quotas FROM settle_calls(p_calls) s;
    COMMIT;
    PERFORM pg_logical_emit_message(true, 'toki', '');
END
$$;
