-- How many bytes of answers are kept of each API key, for whoever sends a call again: beyond a bound no more are (gateway::idempotency). By
-- the hour in which the calls began, so that nothing is subtracted when their day is over: what is looked at are the last 25 hours.
CREATE TABLE kept_answers (
    key_id uuid        NOT NULL,
    hour   timestamptz NOT NULL,
    bytes  bigint      NOT NULL,
    CONSTRAINT kept_answers_pkey PRIMARY KEY (key_id, hour)
) WITH (fillfactor = 70);
CREATE INDEX kept_answers_hour_idx ON kept_answers (hour);
INSERT INTO kept_answers (key_id, hour, bytes)
SELECT i.key_id, date_trunc('hour', i.created_at, 'UTC'), sum(octet_length(i.answer))
  FROM idempotent_calls i WHERE i.answer IS NOT NULL GROUP BY 1, 2;
-- Last, since calls wait while it is made.
ALTER TABLE kept_answers ADD CONSTRAINT kept_answers_key_id_fkey FOREIGN KEY (key_id) REFERENCES api_keys (key_id);
