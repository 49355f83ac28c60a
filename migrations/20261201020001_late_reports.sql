-- A call whose hold was reaped and that was then admitted once more, because the first answer was lost, is charged by what the second one
-- said. Where its price or its hold had changed in between, the record that its report completes said what the first had, and its charge
-- could not be recomputed from it.

-- As before; the record names the price that the charge was reckoned at, and the hold that it was paid from.
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
            p_call.input_tokens, p_call.cached_tokens, p_call.output_tokens, coalesce(v_hold.tokens, v_had, 0), charge,
            p_call.charge - charge, p_call.upstream_usage, p_call.started_at, p_call.first_byte_ms, p_call.latency_ms, p_now)
    ON CONFLICT ON CONSTRAINT usage_records_pkey DO UPDATE
       SET channel_id = excluded.channel_id, price_version = excluded.price_version, outcome = excluded.outcome, basis = excluded.basis,
           http_status = excluded.http_status, input_tokens = excluded.input_tokens, cached_tokens = excluded.cached_tokens,
           output_tokens = excluded.output_tokens, held = excluded.held, charge = excluded.charge, written_off = excluded.written_off,
           upstream_usage = excluded.upstream_usage, started_at = excluded.started_at, first_byte_ms = excluded.first_byte_ms,
           latency_ms = excluded.latency_ms, recorded_at = excluded.recorded_at
     WHERE u.outcome = 'interrupted';
END
$$;
