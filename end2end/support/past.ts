// An account with some weeks behind it, made of calls that were made just now.
import { psql } from "./server.ts";

/** The totals of all records, anew. */
const TOTALS = `
  DELETE FROM usage_totals;
  INSERT INTO usage_totals
  SELECT r.account_id, u.unit, date_trunc(u.unit, r.started_at, 'UTC'), r.key_id, r.model_id, r.supplier_id, count(*),
         count(*) FILTER (WHERE is_failure(r.outcome)), sum(r.input_tokens), sum(r.cached_tokens), sum(r.output_tokens), sum(r.charge)
    FROM usage_records r CROSS JOIN (VALUES ('hour'), ('day')) AS u (unit)
   GROUP BY 1, 2, 3, 4, 5, 6;`;

/**
 * Spreads the account's calls over the last weeks in their order, weekends quieter, as if they had been made then: records, entries,
 * totals; and before them the grants that paid and the keys that called.
 */
export function spreadOverWeeks(account: string) {
  psql(
    process.env.E2E_DATABASE_URL!,
    `SET session_replication_role = replica;
     CREATE TEMP TABLE moved AS
     WITH days AS (
       SELECT d, weight, sum(weight) OVER (ORDER BY d DESC) - weight AS since, sum(weight) OVER () AS total
         FROM (SELECT d, (4 + d * 5 % 4) * CASE WHEN extract(isodow FROM (now() AT TIME ZONE 'UTC')::date - d) < 6 THEN 3 ELSE 1 END
                 FROM generate_series(0, 28) AS d) AS weights (d, weight)),
     calls AS (
       SELECT u.request_id, u.started_at, (row_number() OVER (ORDER BY u.request_id) - 0.5) / count(*) OVER () AS place
         FROM usage_records u JOIN accounts a USING (account_id) WHERE a.name = '${account}'),
     placed AS (
       SELECT request_id, started_at, d, (place * total - since) / weight AS of_day, date_trunc('day', now(), 'UTC') AS today
         FROM calls JOIN days ON place * total >= since AND place * total < since + weight),
     shifts AS (
       SELECT request_id, started_at,
              greatest(interval '0', started_at - CASE d
                WHEN 0 THEN now() - (1 - of_day) * least(interval '10 hours', now() - today)
                ELSE today - make_interval(days => d) + interval '8 hours' + of_day * interval '10 hours' END) AS shift
         FROM placed)
     SELECT request_id, shift, (substr(first_request_id(started_at - shift)::text, 1, 13) || substr(request_id::text, 14))::uuid AS moved_id
       FROM shifts;
     UPDATE ledger l SET request_id = moved_id, at = at - shift FROM moved m WHERE m.request_id = l.request_id;
     CREATE TEMP TABLE ours AS SELECT account_id AS ours_id FROM accounts WHERE name = '${account}';
     UPDATE ledger SET at = at - interval '32 days' FROM ours WHERE account_id = ours_id AND from_book = 'issued';
     UPDATE grants SET starts_at = starts_at - interval '32 days' FROM ours WHERE account_id = ours_id;
     UPDATE api_keys SET created_at = created_at - interval '32 days' FROM ours WHERE account_id = ours_id;
     UPDATE usage_records u SET request_id = moved_id, started_at = started_at - shift, recorded_at = recorded_at - shift
       FROM moved m WHERE m.request_id = u.request_id;
     ${TOTALS}`,
  );
  // As on any day but the one on which every row was rewritten.
  psql(process.env.E2E_DATABASE_URL!, "VACUUM ANALYZE");
}

/** Puts so many copies of the account's newest call before all others, over 90 days: records and entries for pages to read, no grants. */
export function repeatBefore(account: string, calls: number) {
  psql(
    process.env.E2E_DATABASE_URL!,
    `SET session_replication_role = replica;
     CREATE TEMP TABLE newest AS SELECT u.* FROM usage_records u JOIN accounts a USING (account_id) WHERE a.name = '${account}' ORDER BY u.request_id DESC LIMIT 1;
     CREATE TEMP TABLE paid AS SELECT l.* FROM ledger l JOIN newest n ON l.account_id = n.account_id AND l.request_id = n.request_id AND l.to_book = 'spent' LIMIT 1;
     CREATE TEMP TABLE before AS
     SELECT (substr(first_request_id(at)::text, 1, 14) || '7' || substr(gen_random_uuid()::text, 16))::uuid AS request_id, at
       FROM (SELECT now() - interval '120 days' + i * (interval '90 days' / ${calls}) AS at FROM generate_series(0, ${calls - 1}) i) times;
     INSERT INTO usage_records (request_id, account_id, key_id, model_id, supplier_id, channel_id, price_version, endpoint, streamed, outcome, basis,
                                http_status, input_tokens, cached_tokens, output_tokens, held, charge, written_off, upstream_usage, started_at,
                                first_byte_ms, latency_ms, recorded_at)
     SELECT b.request_id, account_id, key_id, model_id, supplier_id, channel_id, price_version, endpoint, streamed, outcome, basis, http_status,
            input_tokens, cached_tokens, output_tokens, held, charge, written_off, upstream_usage, b.at, first_byte_ms, latency_ms, b.at
       FROM newest, before b;
     INSERT INTO ledger (entry_id, account_id, grant_id, from_book, to_book, tokens, request_id, at) OVERRIDING SYSTEM VALUE
     SELECT -(row_number() OVER (ORDER BY b.request_id DESC)), account_id, grant_id, from_book, to_book, tokens, b.request_id, b.at FROM paid, before b;
     ${TOTALS}`,
  );
  psql(process.env.E2E_DATABASE_URL!, "VACUUM ANALYZE");
}
