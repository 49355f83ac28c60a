-- A page of the ledger of long ago is found, and says what was in the wallet then, without reading all that came since. No call writes, or
-- looks at, anything of this.

-- What had come into a wallet up to an entry and with it, less what had left it. Derived from entries, which never change, and so may be
-- deleted at any time: it is made again, and until then more entries are read.
CREATE TABLE ledger_marks (
    account_id uuid   NOT NULL,
    entry_id   bigint NOT NULL,
    tokens     bigint NOT NULL,
    CONSTRAINT ledger_marks_pkey PRIMARY KEY (account_id, entry_id)
);

-- What the entries between two, neither of them included, brought into a wallet, less what they took out of it.
CREATE FUNCTION moved_between(p_account_id uuid, p_after bigint, p_before bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT coalesce(sum(CASE WHEN l.from_book IN ('issued', 'refunded') THEN l.tokens
                                     WHEN l.to_account_id = p_account_id THEN 0 ELSE -l.tokens END), 0)
              FROM ledger l
             WHERE l.account_id = p_account_id AND l.entry_id > p_after AND l.entry_id < p_before)
         + (SELECT coalesce(sum(l.tokens), 0)
              FROM ledger l
             WHERE l.to_account_id = p_account_id AND l.account_id <> p_account_id AND l.entry_id > p_after AND l.entry_id < p_before);
END
$$;

-- What came into a wallet since an entry, less what left it. Where there is a mark since then, it is what is in the wallet now, less what
-- was in it then, which the last mark before the entry knows but for the entries between the two.
CREATE FUNCTION moved_since(p_account_id uuid, p_entry_id bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_mark ledger_marks;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM ledger_marks m WHERE m.account_id = p_account_id AND m.entry_id >= p_entry_id) THEN
        RETURN moved_between(p_account_id, p_entry_id, 9223372036854775807);
    END IF;
    SELECT m.* INTO v_mark FROM ledger_marks m
     WHERE m.account_id = p_account_id AND m.entry_id <= p_entry_id ORDER BY m.entry_id DESC LIMIT 1;
    RETURN (SELECT coalesce(sum(g.left_ + g.held), 0) FROM grants g WHERE g.account_id = p_account_id)
         - coalesce(v_mark.tokens, 0)
         - moved_between(p_account_id, coalesce(v_mark.entry_id, '-9223372036854775808'), p_entry_id + 1);
END
$$;

-- Marks an account's entries after its last mark, one of each `p_every`, if they are older than `p_before`: no transaction may be as old
-- that has yet to commit one before them. (Had one been, the audit would find the mark wrong; without it, it is made anew.) Returns how many.
CREATE FUNCTION mark_ledger(p_account_id uuid, p_every bigint, p_before timestamptz) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_mark ledger_marks;
    v_made bigint;
BEGIN
    SELECT m.* INTO v_mark FROM ledger_marks m WHERE m.account_id = p_account_id ORDER BY m.entry_id DESC LIMIT 1;
    v_mark.entry_id := coalesce(v_mark.entry_id, '-9223372036854775808');
    INSERT INTO ledger_marks (account_id, entry_id, tokens)
    SELECT p_account_id, s.entry_id, s.tokens
      FROM (SELECT e.entry_id, e.at, coalesce(v_mark.tokens, 0) + sum(e.moved) OVER (ORDER BY e.entry_id) AS tokens,
                   row_number() OVER (ORDER BY e.entry_id) AS place
              FROM (SELECT l.entry_id, l.at, CASE WHEN l.from_book IN ('issued', 'refunded') THEN l.tokens
                                                  WHEN l.to_account_id = p_account_id THEN 0 ELSE -l.tokens END AS moved
                      FROM ledger l WHERE l.account_id = p_account_id AND l.entry_id > v_mark.entry_id
                     UNION ALL
                    SELECT l.entry_id, l.at, l.tokens
                      FROM ledger l
                     WHERE l.to_account_id = p_account_id AND l.account_id <> p_account_id AND l.entry_id > v_mark.entry_id) e) s
     WHERE s.place % p_every = 0 AND s.at < p_before
        ON CONFLICT ON CONSTRAINT ledger_marks_pkey DO NOTHING;
    GET DIAGNOSTICS v_made = ROW_COUNT;
    RETURN v_made;
END
$$;

-- An entry before which all of an account's calls are of before a moment, and from which on none is: as many looks as the numbers of
-- entries can be halved. It may be looked for so, since settlements take the time of calls from the clock while they hold the account's
-- lock, and number them after that; what is no call is as old as its transaction, and is in no such order. NULL = there is no entry.
CREATE FUNCTION first_call_entry(p_account_id uuid, p_at timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_low bigint;
    v_high bigint;
    v_middle bigint;
    v_entry_id bigint;
    v_at timestamptz;
BEGIN
    SELECT l.entry_id INTO v_low FROM ledger l WHERE l.account_id = p_account_id ORDER BY l.entry_id LIMIT 1;
    SELECT l.entry_id + 1 INTO v_high FROM ledger l WHERE l.account_id = p_account_id ORDER BY l.entry_id DESC LIMIT 1;
    WHILE v_low < v_high LOOP
        v_middle := v_low + (v_high - v_low) / 2;
        SELECT l.entry_id, l.at INTO v_entry_id, v_at FROM ledger l
         WHERE l.account_id = p_account_id AND l.entry_id >= v_middle AND l.to_book = 'spent' ORDER BY l.entry_id LIMIT 1;
        -- Without a call from the middle on, there is no time.
        IF v_at < p_at THEN
            v_low := v_entry_id + 1;
        ELSE
            v_high := v_middle;
        END IF;
    END LOOP;
    RETURN v_low;
END
$$;

-- The newest entries of a wallet before an entry and from one moment to another, which is not included: more than are asked for where some
-- are no calls. `p_which`: all, calls or others. Calls are looked for where their time is, the others, which are few, among all others.
CREATE FUNCTION entries_of_days(
    p_account_id uuid, p_which text, p_before bigint, p_since timestamptz, p_until timestamptz, p_most bigint)
RETURNS SETOF ledger LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- By so much the clock may have been set back: a call that is so much too new has none after it that is old enough, and the like.
    c_set_back CONSTANT interval := '5 minutes';
    v_first bigint := '-9223372036854775808';
    v_end bigint := p_before;
BEGIN
    IF p_which <> 'others' THEN
        IF isfinite(p_since) THEN v_first := first_call_entry(p_account_id, p_since - c_set_back); END IF;
        IF isfinite(p_until) THEN v_end := least(p_before, first_call_entry(p_account_id, p_until + c_set_back)); END IF;
        RETURN QUERY
            SELECT l.* FROM ledger l
             WHERE l.account_id = p_account_id AND l.entry_id >= v_first AND l.entry_id < v_end AND l.to_book = 'spent'
               AND l.at >= p_since AND l.at < p_until
             ORDER BY l.entry_id DESC LIMIT p_most;
    END IF;
    IF p_which <> 'calls' THEN
        RETURN QUERY
            SELECT l.* FROM ledger l
             WHERE l.account_id = p_account_id AND l.entry_id < p_before AND l.to_book <> 'spent' AND l.at >= p_since AND l.at < p_until
             ORDER BY l.entry_id DESC LIMIT p_most;
        RETURN QUERY
            SELECT l.* FROM ledger l
             WHERE l.to_account_id = p_account_id AND l.account_id <> p_account_id AND l.entry_id < p_before
               AND l.at >= p_since AND l.at < p_until
             ORDER BY l.entry_id DESC LIMIT p_most;
    END IF;
END
$$;
