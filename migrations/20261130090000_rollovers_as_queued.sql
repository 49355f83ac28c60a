-- What is left of a grant that ended before a purchase was queued has expired. Where the sweep had not come by in between, it rolled over
-- to that nevertheless: it depended on when the sweep ran.

-- As before, but only purchases that were queued before a grant ended take over what is left of it.
CREATE OR REPLACE FUNCTION roll_over_ended_grants(p_account_ids uuid[], p_at timestamptz) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
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
