-- Buying a package again: beside what one has, or for when that ends.

ALTER TABLE orders
    -- now: beside what is running; after_current: when the last of the account's grants of this package ends that can still be spent.
    ADD COLUMN starts text NOT NULL DEFAULT 'now',
    ADD CONSTRAINT orders_starts_check CHECK (starts IN ('now', 'after_current')),
    -- A form posted with the other choice is another order.
    DROP CONSTRAINT orders_account_id_form_key_key,
    ADD CONSTRAINT orders_account_id_form_key_key UNIQUE (account_id, form_key, starts);

CREATE FUNCTION orders_keep_the_choice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.starts IS DISTINCT FROM OLD.starts THEN
        RAISE EXCEPTION 'what an order was confirmed with cannot change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER orders_keep_the_choice BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION orders_keep_the_choice();

-- What is left of a grant whose time is over expires; unless its package rolls over, and another purchase of it was queued that ends
-- later: then it moves there.
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
          JOIN orders n ON n.account_id = o.account_id AND n.package_id = o.package_id AND n.starts = 'after_current' AND n.rolls_over
          JOIN grants q ON q.order_id = n.order_id
         WHERE o.order_id = v_grant.order_id AND o.rolls_over AND v_grant.left_ > 0
           AND q.swept_at IS NULL AND q.expires_at > v_grant.expires_at AND q.expires_at > clock_timestamp()
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
