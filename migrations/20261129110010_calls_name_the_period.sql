-- A batch decides each call after what the calls before it hold. Which of two quotas refuses a call was told by what the period had left
-- before the batch, and the wallet after it: a key with the quota of a period and no other could be told that its own is exhausted, and not
-- when that begins anew. Now both are as they stand when the call is decided.
--
-- It is one condition of admit_calls(), which is replaced in the function as it stands.
DO $$
DECLARE
    v_before text := pg_get_functiondef(to_regproc('admit_calls'));
    v_after text := replace(
        v_before,
        'v_period_left < coalesce(v_key.quota - v_key.spent - v_key.held, v_available)',
        'v_own_left < coalesce(v_key.quota - v_key.spent - v_key.held - coalesce(v_key_held[v_key_place], 0), v_available)');
BEGIN
    IF v_after = v_before THEN RAISE EXCEPTION 'admit_calls() has another text than this migration is for'; END IF;
    EXECUTE v_after;
END
$$;
