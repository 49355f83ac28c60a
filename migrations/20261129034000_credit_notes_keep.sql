-- A credit note keeps what it said when it was issued: Tokens that running calls give back later go to its refund, and whether an earlier
-- refund failed since is no matter of its tax.
ALTER TABLE credit_notes
    ADD COLUMN tokens bigint,
    -- Of the amount. Empty = issued before notes kept it, or before anybody had said at which rate: then it is what the tax in all notes
    -- until this one is more than the tax in those before it, whatever became of them.
    ADD COLUMN tax_minor bigint;
ALTER TABLE credit_notes DISABLE TRIGGER credit_notes_append_only;
UPDATE credit_notes c SET tokens = coalesce(r.tokens, 0) FROM refunds r WHERE r.refund_id = c.refund_id;
ALTER TABLE credit_notes ENABLE TRIGGER credit_notes_append_only;
