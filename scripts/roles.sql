-- What a role needs that `toki serve` runs as, while `toki migrate` runs as the owner of the tables: rows, and no table. To be run by the
-- owner, once, after the first migration; the role is made before, by whoever may: CREATE ROLE toki_app LOGIN PASSWORD '…';
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO toki_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO toki_app;
GRANT EXECUTE ON FUNCTION create_usage_partitions(timestamptz) TO toki_app;
-- Of later migrations, too.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO toki_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO toki_app;
-- Triggers keep these from everybody; this role is not even asked.
REVOKE UPDATE, DELETE ON ledger, journal, payment_events, operator_actions FROM toki_app;
REVOKE INSERT, UPDATE, DELETE ON _sqlx_migrations FROM toki_app;
