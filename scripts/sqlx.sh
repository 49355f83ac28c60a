#!/usr/bin/env bash
# The committed query data in .sqlx, with which everybody builds without a database. The compiler makes it: sqlx's macros ask the
# database about every query they expand, and note what it says.
#
#   scripts/sqlx.sh prepare     writes .sqlx anew
#   scripts/sqlx.sh check       fails where .sqlx differs from what the schema of migrations/ says; leaves the tests built
. "$(dirname "$0")/lib.sh"

verb=${1:-}
case $verb in prepare | check) ;; *) die "usage: $0 prepare|check" ;; esac

throwaway_cluster
psql "$DATABASE_URL" -Xqc "DROP DATABASE IF EXISTS toki_queries" -c "CREATE DATABASE toki_queries" 2>/dev/null
schema=${DATABASE_URL/\/toki\?/\/toki_queries?}
# The binary that migrates is yet to be compiled, against this very schema: psql applies the files instead.
for migration in migrations/*.sql; do
  psql "$schema" -Xq --single-transaction -v ON_ERROR_STOP=1 -f "$migration" >/dev/null
done

found=$target/sqlx-found
rm -rf "$found"
mkdir -p "$found"
# Cargo does not know that the macros read a database: a newer server file makes it expand them again. The browser's build, which
# never saw that file, stays fresh.
touch src/server/mod.rs
DATABASE_URL=$schema SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$found cargo test --features ssr --no-run

case $verb in
  prepare)
    rm -rf .sqlx
    cp -r "$found" .sqlx
    say ".sqlx holds $(find .sqlx -name 'query-*.json' | wc -l) queries"
    ;;
  check)
    diff -r .sqlx "$found" || die ".sqlx is not what the queries and the schema say: run scripts/sqlx.sh prepare and commit .sqlx"
    say "$(find .sqlx -name 'query-*.json' | wc -l) queries agree with the schema and with .sqlx"
    ;;
esac
