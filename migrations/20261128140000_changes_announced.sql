-- Orders and grants announce that something of their account changed, for pages that are open. Not what calls do to grants: a notification
-- takes one lock for all of Postgres until its transaction has committed.
CREATE FUNCTION announce_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('account_changes', NEW.account_id::text);
    RETURN NULL;
END
$$;
CREATE FUNCTION announce_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('account_changes', o.account_id::text) FROM orders o WHERE o.order_id = NEW.order_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER grants_announce AFTER INSERT ON grants FOR EACH ROW EXECUTE FUNCTION announce_grant();
CREATE TRIGGER order_transitions_announce AFTER INSERT ON order_transitions FOR EACH ROW EXECUTE FUNCTION announce_order();
