-- Mail to people: written in the transaction of its cause, sent by whichever replica takes it first.

CREATE TABLE mails (
    -- Also its Message-ID.
    mail_id      uuid        NOT NULL,
    recipient    text        NOT NULL,
    kind         text        NOT NULL,
    subject      text        NOT NULL,
    -- Text and HTML, sealed: links in them sign people in. Forgotten once the mail is sent or given up.
    body_sealed  bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- When the next attempt is due; while one runs, until when it has the mail for itself.
    not_before   timestamptz NOT NULL DEFAULT now(),
    -- What it says is worth nothing any more after this.
    useful_until timestamptz NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    last_error   text,
    sent_at      timestamptz,
    given_up_at  timestamptz,
    CONSTRAINT mails_pkey PRIMARY KEY (mail_id),
    CONSTRAINT mails_recipient_check CHECK (length(recipient) BETWEEN 3 AND 254),
    CONSTRAINT mails_kind_check CHECK (kind ~ '^[a-z_]{1,40}$'),
    CONSTRAINT mails_subject_check CHECK (length(subject) BETWEEN 1 AND 200 AND subject !~ '[[:cntrl:]]'),
    CONSTRAINT mails_attempts_check CHECK (attempts >= 0),
    CONSTRAINT mails_last_error_check CHECK (length(last_error) <= 1000),
    CONSTRAINT mails_end_check CHECK (sent_at IS NULL OR given_up_at IS NULL),
    CONSTRAINT mails_body_sealed_check CHECK ((body_sealed IS NULL) = (sent_at IS NOT NULL OR given_up_at IS NOT NULL))
);
CREATE INDEX mails_not_before_idx ON mails (not_before) WHERE sent_at IS NULL AND given_up_at IS NULL;
CREATE INDEX mails_created_at_idx ON mails (created_at);
