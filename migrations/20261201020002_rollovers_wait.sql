-- A purchase whose payment is disputed takes nothing over, and what is left of the one before may end meanwhile. It waits for what the bank
-- decides: when that is for the customer, it rolls over as it would have, and else it expires then. Nobody can spend it until then.

-- Whether what is left of a grant whose time is over waits for that: a purchase would take it over that is frozen by a dispute and had not
-- ended before, and none takes it over now (roll_over_ended_grants).
CREATE FUNCTION awaits_taker(p_grant grants, p_at timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT p_grant.left_ > 0
       AND coalesce(bool_or(n.status = 'disputed' AND q.frozen_at IS NOT NULL AND q.expires_at > least(p_at, q.frozen_at))
                    AND NOT bool_or(q.swept_at IS NULL AND q.expires_at > p_at), false)
      FROM orders o
      JOIN orders n ON n.account_id = o.account_id AND n.package_id = o.package_id AND n.rolls_over
      JOIN grants q ON q.order_id = n.order_id
     WHERE o.order_id = p_grant.order_id AND o.rolls_over
       AND q.starts_at > q.created_at AND q.created_at < p_grant.expires_at AND q.expires_at > p_grant.expires_at
$$;

-- As before, but for what waits for the end of a dispute.
CREATE OR REPLACE FUNCTION sweep_expired_grants(p_most integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_accounts uuid[];
    v_now timestamptz;
    v_grant record;
    v_visited integer;
BEGIN
    SELECT array_agg(locked.account_id) INTO v_accounts FROM (
        SELECT a.account_id FROM accounts a
         WHERE a.account_id IN (SELECT g.account_id FROM grants g
                                 WHERE g.swept_at IS NULL AND g.expires_at <= clock_timestamp() AND (g.left_ > 0 OR g.held = 0)
                                   AND NOT awaits_taker(g, clock_timestamp())
                                 ORDER BY g.expires_at LIMIT p_most)
         ORDER BY a.account_id FOR NO KEY UPDATE SKIP LOCKED) locked;
    v_now := clock_timestamp();
    v_visited := roll_over_ended_grants(v_accounts, v_now);
    FOR v_grant IN
        SELECT g.grant_id, g.account_id, g.left_ FROM grants g
         WHERE g.account_id = ANY (v_accounts) AND g.swept_at IS NULL AND g.expires_at <= v_now AND (g.left_ > 0 OR g.held = 0)
           AND NOT awaits_taker(g, v_now)
    LOOP
        IF v_grant.left_ > 0 THEN
            INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, at)
            VALUES (v_grant.account_id, v_grant.grant_id, 'grant', 'expired', v_grant.left_, v_now);
        END IF;
        UPDATE grants g SET left_ = 0, expired = g.expired + g.left_, swept_at = CASE WHEN g.held = 0 THEN v_now END
         WHERE g.grant_id = v_grant.grant_id;
        v_visited := v_visited + 1;
    END LOOP;
    PERFORM pg_notify('account_changes', a.account_id::text) FROM unnest(v_accounts) AS a (account_id);
    RETURN v_visited;
END
$$;
