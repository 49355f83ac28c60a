#!/usr/bin/env bash
# Everything in debug, rebuilt and restarted whenever a source file changes. A build that fails leaves the last good server running.
. "$(dirname "$0")/lib.sh"
. scripts/stack.sh

toki=$target/debug/toki
built=$target/dev-built

build() {
  touch "$built"
  cargo build --features ssr --bin toki && scripts/site.sh dev
}

restart() {
  stop_server
  "$toki" migrate || return 1
  # From here on queries are checked against the running database, so that a new one needs no `scripts/sqlx.sh prepare` to be tried.
  export SQLX_OFFLINE=false
  start_server "$toki"
}

wait_for_change() {
  until [ -n "$(find src style public migrations Cargo.toml -newer "$built" -print -quit 2>/dev/null)" ]; do sleep 1; done
}

need_free_port dev
scripts/setup.sh wasm wasm-bindgen node
[ -n "${DATABASE_URL:-}" ] || scripts/setup.sh postgres
mkdir -p "$target"
start_database

shown=
while true; do
  step "Building"
  if ! build; then
    say "The build failed; waiting for a change."
  elif ! restart; then
    say "The server did not start; waiting for a change."
  elif [ -z "$shown" ]; then
    "$toki" demo && shown=yes
    say "Ctrl-C stops everything."
  fi
  wait_for_change
done
