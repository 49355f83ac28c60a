-- Sessions as their user sees them.

-- What names a session to its user. The cookie's id stays a secret, and its hash with it.
ALTER TABLE sessions ADD COLUMN session_id uuid NOT NULL DEFAULT gen_random_uuid();
ALTER TABLE sessions ADD CONSTRAINT sessions_session_id_key UNIQUE (session_id);
