// An account with some weeks behind it, made of calls that were made just now.
import { psql } from "./server.ts";

/** Spreads the account's calls over the last weeks, weekends quieter, as if they had been made then: records, entries, totals. */
export function spreadOverWeeks(account: string) {
  psql(
    process.env.E2E_DATABASE_URL!,
    `SET session_replication_role = replica;
     CREATE TEMP TABLE moved AS
     SELECT request_id, shift, (substr(first_request_id(started_at - shift)::text, 1, 13) || substr(request_id::text, 14))::uuid AS moved_id
       FROM (SELECT u.request_id, u.started_at,
                    make_interval(days => (row_number() OVER (ORDER BY u.request_id) * 7 % 29)::int, mins => (row_number() OVER (ORDER BY u.request_id) * 37 % 600)::int)
                        AS shift
               FROM usage_records u JOIN accounts a USING (account_id) WHERE a.name = '${account}') calls
      WHERE extract(isodow FROM started_at - shift) < 6 OR random() < 0.3;
     UPDATE ledger l SET request_id = moved_id, at = at - shift FROM moved m WHERE m.request_id = l.request_id;
     UPDATE usage_records u SET request_id = moved_id, started_at = started_at - shift, recorded_at = recorded_at - shift
       FROM moved m WHERE m.request_id = u.request_id;
     DELETE FROM usage_totals;
     INSERT INTO usage_totals
     SELECT r.account_id, u.unit, date_trunc(u.unit, r.started_at, 'UTC'), r.key_id, r.model_id, count(*),
            count(*) FILTER (WHERE is_failure(r.outcome)), sum(r.input_tokens), sum(r.cached_tokens), sum(r.output_tokens), sum(r.charge)
       FROM usage_records r CROSS JOIN (VALUES ('hour'), ('day')) AS u (unit)
      GROUP BY 1, 2, 3, 4, 5;
     ANALYZE`,
  );
}
