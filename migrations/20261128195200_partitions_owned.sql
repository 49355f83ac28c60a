-- A server makes next month's partitions, and may run as a role that owns nothing: the function does that as the owner of the tables.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION create_usage_partitions(timestamptz) SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END
$$;
REVOKE EXECUTE ON FUNCTION create_usage_partitions(timestamptz) FROM PUBLIC;
