-- What ends all sessions of a user ends those too that begin later from what was proven before: a sign-in whose password was right when it
-- was looked at, and another's when its session is made.
ALTER TABLE users ADD COLUMN session_epoch integer NOT NULL DEFAULT 0;

-- A key that changed hands: what it had spent until then is not its new owner's, whose limits count what they spend themselves.
ALTER TABLE api_keys
    ADD COLUMN inherited_at timestamptz,
    -- In Tokens: ever, and in the calendar month (UTC) of that moment.
    ADD COLUMN inherited_spent bigint NOT NULL DEFAULT 0,
    ADD COLUMN inherited_in_month bigint NOT NULL DEFAULT 0;

-- What a key was charged in the calendar month (UTC) of a moment, until then. A call counts in the month in which it began, as on every page.
CREATE FUNCTION charged_in_month(p_account_id uuid, p_key_id uuid, p_at timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(t.charge), 0)::bigint
      FROM generate_series(date_trunc('month', p_at AT TIME ZONE 'UTC'), p_at AT TIME ZONE 'UTC', interval '1 day') AS d (day)
      JOIN usage_totals t ON t.account_id = p_account_id AND t.unit = 'day' AND t.starts_at = d.day AT TIME ZONE 'UTC' AND t.key_id = p_key_id
$$;

CREATE OR REPLACE FUNCTION used_ever(p_account_id uuid, p_user_id uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(k.spent - k.inherited_spent + k.held), 0)::bigint
      FROM api_keys k WHERE k.account_id = p_account_id AND k.created_by = p_user_id
$$;

CREATE OR REPLACE FUNCTION used_this_month(p_account_id uuid, p_user_id uuid, p_at timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(k.held + charged_in_month(k.account_id, k.key_id, p_at)
                        - CASE WHEN k.inherited_at >= date_trunc('month', p_at, 'UTC') THEN k.inherited_in_month ELSE 0 END), 0)::bigint
      FROM api_keys k WHERE k.account_id = p_account_id AND k.created_by = p_user_id
$$;

-- Answers are kept sealed from now on; those in clear go, and whoever asks for one again is told so.
UPDATE idempotent_calls SET answer = NULL WHERE answer IS NOT NULL;
