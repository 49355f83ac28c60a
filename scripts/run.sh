#!/usr/bin/env bash
# Everything, in the foreground, until Ctrl-C: sets up, builds, starts Postgres and the server, makes demo data on the first start.
. "$(dirname "$0")/lib.sh"
. scripts/stack.sh

need_free_port run
scripts/setup.sh wasm wasm-bindgen node
[ -n "${DATABASE_URL:-}" ] || scripts/setup.sh postgres
scripts/build.sh
toki=$target/release/toki

step "Database"
start_database
"$toki" migrate
step "Server"
start_server "$toki" || die "the server did not start"
"$toki" demo
say "Ctrl-C stops everything."
status=0
wait "$server" || status=$?
server=
die "the server ended by itself (exit $status)"
