-- Who ran the `toki` command that did a deed, as the machine names its users: `ada`, `ada via sudo`, or `uid 1000` where it has no name.
-- NULL: a user of the console did it, or it was done before this was written down.
ALTER TABLE operator_actions
    ADD COLUMN system_user_name text
        CONSTRAINT operator_actions_system_user_name_check CHECK (char_length(system_user_name) BETWEEN 1 AND 200),
    -- From now on every deed has somebody who did it. Those of before stay as they are, since nobody may change them.
    ADD CONSTRAINT operator_actions_actor_check CHECK (num_nonnulls(actor_user_id, system_user_name) = 1) NOT VALID;
