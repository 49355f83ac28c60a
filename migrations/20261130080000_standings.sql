-- What every page says of an account's wallet: what can be spent now, what the grants that are running brought, what of it ends soon and
-- when, and whether there ever was anything. Always one row. Part of the statement that asks for it, as readers() is: what loads a
-- session for a page finds both with it, a round trip less for each page.
CREATE FUNCTION standings(p_account_id uuid)
RETURNS TABLE (balance bigint, brought bigint, ending bigint, ends_at timestamptz, ever boolean)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(g.left_) FILTER (WHERE v.live), 0)::bigint,
           coalesce(sum(g.tokens) FILTER (WHERE v.live), 0)::bigint,
           coalesce(sum(g.left_) FILTER (WHERE v.live AND v.ends), 0)::bigint,
           min(g.expires_at) FILTER (WHERE v.live AND v.ends AND g.left_ > 0),
           count(*) > 0
      FROM grants g,
           LATERAL (SELECT g.swept_at IS NULL AND g.starts_at <= now() AND g.expires_at > now() AS live,
                           g.expires_at < now() + least(interval '7 days', (g.expires_at - g.starts_at) / 4) AS ends) v
     WHERE g.account_id = p_account_id
$$;
