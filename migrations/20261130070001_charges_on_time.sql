-- What is charged without a hold, or is put back of one, does not depend on when the sweep ran either.

-- As before, but where the wallet as it stands has too little, what rolls over to it comes first.
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
    IF v_rest > (SELECT coalesce(sum(g.left_), 0)
                   FROM grants_in_burn_order(p_call.account_id, p_call.supplier_id, p_call.model_id, p_now) g) THEN
        PERFORM roll_over_ended_grants(ARRAY[p_call.account_id], p_now);
    END IF;
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

-- As before, and here too.
CREATE OR REPLACE FUNCTION fill_hold(p_hold holds, p_tokens bigint, p_now timestamptz) RETURNS holds LANGUAGE plpgsql VOLATILE AS $$
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
    IF v_rest > (SELECT coalesce(sum(g.left_), 0)
                   FROM grants_in_burn_order(p_hold.account_id, p_hold.supplier_id, p_hold.model_id, p_now) g) THEN
        PERFORM roll_over_ended_grants(ARRAY[p_hold.account_id], p_now);
    END IF;
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
