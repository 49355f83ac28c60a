-- The user a session stands for, in the account that it names, or else in the one that they chose last; no row when they are gone or
-- suspended, when all their sessions have been ended, or when they belong to the named account no longer. Part of the statement that asks
-- for it, since Postgres writes such a function out: what loads a session finds its reader with it, a round trip less for each page.
-- p_epoch NULL = without a session.
CREATE FUNCTION readers(p_user_id uuid, p_epoch integer, p_account_id uuid)
RETURNS TABLE (
    user_id uuid, email text, operator boolean, account_id uuid, role text, verified boolean, two_factor boolean, several_accounts boolean)
LANGUAGE sql STABLE AS $$
    SELECT u.user_id, u.email, u.operator, m.account_id, m.role, u.email_verified_at IS NOT NULL,
           EXISTS (SELECT 1 FROM two_factors f WHERE f.user_id = u.user_id AND f.confirmed_at IS NOT NULL),
           EXISTS (SELECT 1 FROM members o WHERE o.user_id = u.user_id AND o.account_id <> m.account_id)
      FROM users u JOIN members m ON m.user_id = u.user_id
     WHERE u.user_id = p_user_id AND u.suspended_at IS NULL AND (p_account_id IS NULL OR m.account_id = p_account_id)
       AND (p_epoch IS NULL OR u.session_epoch = p_epoch)
     ORDER BY m.chosen_at DESC, m.account_id LIMIT 1
$$;
