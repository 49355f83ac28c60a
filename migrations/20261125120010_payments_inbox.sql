-- Events that wait for another, events that an operator looked into, and how far the provider's own list of events was read.

ALTER TABLE payment_event_outcomes
    -- Whose deed this outcome is; empty = nobody's.
    ADD COLUMN action_id uuid,
    ADD CONSTRAINT payment_event_outcomes_action_id_fkey FOREIGN KEY (action_id) REFERENCES operator_actions (action_id),
    DROP CONSTRAINT payment_event_outcomes_outcome_check,
    ADD CONSTRAINT payment_event_outcomes_outcome_check CHECK (outcome IN (
        'fulfilled', 'already_fulfilled', 'closed', 'recorded', 'waiting', 'ignored', 'quarantined', 'dismissed')),
    ADD CONSTRAINT payment_event_outcomes_dismissed_check CHECK (outcome <> 'dismissed' OR action_id IS NOT NULL);
CREATE INDEX payment_event_outcomes_open_idx ON payment_event_outcomes (outcome, outcome_id) WHERE outcome IN ('waiting', 'quarantined');

-- Everything that the provider had listed at that time has been stored.
CREATE TABLE payment_listings (
    provider     text        NOT NULL,
    listed_until timestamptz NOT NULL,
    CONSTRAINT payment_listings_pkey PRIMARY KEY (provider),
    CONSTRAINT payment_listings_provider_check CHECK (provider IN ('stripe', 'sandbox'))
);
