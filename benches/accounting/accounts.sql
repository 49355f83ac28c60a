-- A supplier, a model, and $accounts accounts with a key and a grant each. Ids are random where the program makes ordered ones, which only a
-- table much larger than these would notice.
INSERT INTO suppliers (supplier_id, slug, name) VALUES (gen_random_uuid(), 'bench', 'Bench');
INSERT INTO channels (channel_id, supplier_id, base_url) SELECT gen_random_uuid(), supplier_id, 'http://127.0.0.1:9' FROM suppliers;
BEGIN;
INSERT INTO models (model_id, supplier_id, upstream_id, context_tokens, max_output_tokens)
    SELECT 'bench/model', supplier_id, 'model', 131072, 8192 FROM suppliers;
INSERT INTO model_prices (model_id, version, input_ppm, cached_ppm, output_ppm) VALUES ('bench/model', 1, 1000000, 500000, 1000000);
COMMIT;
INSERT INTO users (user_id, email, password_hash) VALUES (gen_random_uuid(), 'bench@example.com', '');
INSERT INTO operator_actions (action_id, action, subject_id, system_user_name)
    VALUES (gen_random_uuid(), 'account.credit', 'bench', 'bench');
INSERT INTO accounts (account_id, name) SELECT gen_random_uuid(), 'account ' || n FROM generate_series(1, $accounts) n;
INSERT INTO members (account_id, user_id, role) SELECT account_id, user_id, 'owner' FROM accounts, users;
INSERT INTO api_keys (key_id, account_id, created_by, name, secret_hash, secret_hint, quota)
    SELECT gen_random_uuid(), account_id, user_id, 'key', sha256(account_id::text::bytea), '', 1000000000000 FROM accounts, users;
INSERT INTO grants (grant_id, account_id, source, action_id, tokens, left_, expires_at)
    SELECT gen_random_uuid(), account_id, 'credit', action_id, 1000000000000, 1000000000000, now() + '1 year'
      FROM accounts, operator_actions;
INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens, action_id)
    SELECT account_id, grant_id, 'issued', 'grant', tokens, action_id FROM grants;
CREATE TABLE bench_floor (id bigint PRIMARY KEY, left_ bigint NOT NULL) WITH (fillfactor = 70);
INSERT INTO bench_floor SELECT n, 1000000000000 FROM generate_series(0, 999) n;
VACUUM ANALYZE;
