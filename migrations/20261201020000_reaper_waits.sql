-- The reaper passes over what somebody else has locked, so an account whose calls keep its locks taken all the time could keep a hold for
-- as long. What is long past its deadline is waited for.

-- Settles these calls, whose owner fell silent, as interrupted and free of charge: all together, or one by one where that fails. The caller
-- holds the locks of their keys, accounts and holds, and took the time after that.
CREATE FUNCTION reap_calls(p_ids uuid[], p_now timestamptz, OUT reaped integer, OUT failures text[]) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_calls settlement[];
    v_call settlement;
BEGIN
    reaped := 0;
    failures := '{}';
    IF p_ids IS NULL THEN RETURN; END IF;
    UPDATE holds h SET wanted = h.tokens
     WHERE h.request_id = ANY (p_ids) AND h.wanted IS NULL
       AND EXISTS (SELECT 1 FROM usage_records u WHERE u.account_id = h.account_id AND u.request_id = h.request_id);
    SELECT array_agg(ROW (
               h.request_id, h.account_id, h.key_id, h.model_id, h.supplier_id, NULL, h.price_version, h.endpoint, h.streamed,
               'interrupted', 'waived', 0, 0, 0, 0, 0, NULL, least(h.created_at, p_now), NULL,
               greatest(0, extract(epoch FROM p_now - h.created_at) * 1000)::bigint)::settlement)
      INTO v_calls FROM holds h WHERE h.request_id = ANY (p_ids);
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

-- As before: what somebody else has locked, key or account, is left to the next round, or to reap_waiting; which of the others come first
-- is left to chance, so that nothing that cannot be settled is in their way for ever.
--
-- reaped     how many were settled
-- failures   what each hold that could not be settled met with; it stays, and the others go
CREATE OR REPLACE FUNCTION reap_round(p_most integer, OUT reaped integer, OUT failures text[]) LANGUAGE plpgsql VOLATILE
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_keys uuid[];
    v_accounts uuid[];
    v_ids uuid[];
BEGIN
    SELECT array_agg(l.key_id), array_agg(l.account_id) INTO v_keys, v_accounts FROM (
        SELECT k.key_id, a.account_id FROM api_keys k JOIN accounts a ON a.account_id = k.account_id
         WHERE k.key_id IN (SELECT h.key_id FROM holds h WHERE h.deadline < v_now)
         ORDER BY random() LIMIT p_most FOR NO KEY UPDATE OF k, a SKIP LOCKED) l;
    -- Read again under the locks: the owner may have settled or extended the call meanwhile.
    SELECT array_agg(l.request_id) INTO v_ids FROM (
        SELECT h.request_id FROM holds h
         WHERE h.key_id = ANY (v_keys) AND h.account_id = ANY (v_accounts) AND h.deadline < v_now
         ORDER BY random() LIMIT p_most FOR UPDATE SKIP LOCKED) l;
    SELECT r.reaped, r.failures INTO reaped, failures FROM reap_calls(v_ids, v_now) r;
END
$$;

-- The same for the calls of one key and account, for whose locks it waits, in their order and behind whoever waited before; for 2 s at most
-- each, so that a lock that somebody keeps is in nobody's way.
CREATE FUNCTION reap_waiting(p_key_id uuid, p_account_id uuid, p_most integer, OUT reaped integer, OUT failures text[])
LANGUAGE plpgsql VOLATILE
SET lock_timeout = '2s' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS $$
DECLARE
    v_now timestamptz;
    v_ids uuid[];
BEGIN
    PERFORM 1 FROM api_keys k WHERE k.key_id = p_key_id FOR NO KEY UPDATE;
    PERFORM 1 FROM accounts a WHERE a.account_id = p_account_id FOR NO KEY UPDATE;
    v_now := clock_timestamp();
    SELECT array_agg(l.request_id) INTO v_ids FROM (
        SELECT h.request_id FROM holds h
         WHERE h.key_id = p_key_id AND h.account_id = p_account_id AND h.deadline < v_now
         ORDER BY random() LIMIT p_most FOR UPDATE SKIP LOCKED) l;
    SELECT r.reaped, r.failures INTO reaped, failures FROM reap_calls(v_ids, v_now) r;
END
$$;
