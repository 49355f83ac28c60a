-- What is left of a grant whose time is over moves to another purchase of its package that was queued after it. One that was to be queued
-- and began at once, because there was nothing left to follow, is no such purchase: what had ended before it was bought has expired, and
-- did so or not by whether this had run in between.
CREATE OR REPLACE FUNCTION sweep_expired_grants(p_most integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_accounts uuid[];
    v_grant record;
    v_next record;
    v_visited integer := 0;
BEGIN
    SELECT array_agg(locked.account_id) INTO v_accounts FROM (
        SELECT a.account_id FROM accounts a
         WHERE a.account_id IN (SELECT g.account_id FROM grants g
                                 WHERE g.swept_at IS NULL AND g.expires_at <= clock_timestamp() AND (g.left_ > 0 OR g.held = 0)
                                 ORDER BY g.expires_at LIMIT p_most)
         ORDER BY a.account_id FOR NO KEY UPDATE SKIP LOCKED) locked;
    FOR v_grant IN
        SELECT g.grant_id, g.account_id, g.order_id, g.expires_at, g.left_ FROM grants g
         WHERE g.account_id = ANY (v_accounts) AND g.swept_at IS NULL AND g.expires_at <= clock_timestamp()
           AND (g.left_ > 0 OR g.held = 0)
    LOOP
        SELECT q.grant_id, q.order_id INTO v_next
          FROM orders o
          JOIN orders n ON n.account_id = o.account_id AND n.package_id = o.package_id AND n.rolls_over
          JOIN grants q ON q.order_id = n.order_id
         WHERE o.order_id = v_grant.order_id AND o.rolls_over AND v_grant.left_ > 0
           AND q.starts_at > q.created_at AND q.swept_at IS NULL AND q.expires_at > v_grant.expires_at AND q.expires_at > clock_timestamp()
         ORDER BY q.starts_at, q.grant_id LIMIT 1;
        IF FOUND THEN
            UPDATE grants q SET tokens = q.tokens + v_grant.left_, left_ = q.left_ + v_grant.left_ WHERE q.grant_id = v_next.grant_id;
            INSERT INTO ledger (account_id, grant_id, to_account_id, to_grant_id, from_book, to_book, tokens, order_id, at)
            VALUES (v_grant.account_id, v_grant.grant_id, v_grant.account_id, v_next.grant_id, 'grant', 'grant', v_grant.left_,
                    v_next.order_id, clock_timestamp());
            UPDATE grants g SET tokens = g.tokens - g.left_, left_ = 0, swept_at = CASE WHEN g.held = 0 THEN clock_timestamp() END
             WHERE g.grant_id = v_grant.grant_id;
        ELSE
            IF v_grant.left_ > 0 THEN
                INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, at)
                VALUES (v_grant.account_id, v_grant.grant_id, 'grant', 'expired', v_grant.left_, clock_timestamp());
            END IF;
            UPDATE grants g SET left_ = 0, expired = g.expired + g.left_,
                                swept_at = CASE WHEN g.held = 0 THEN clock_timestamp() END
             WHERE g.grant_id = v_grant.grant_id;
        END IF;
        v_visited := v_visited + 1;
    END LOOP;
    RETURN v_visited;
END
$$;
