#!/usr/bin/env bash
# Every check and every test, the cheap ones first. Sets up what is missing; leaves nothing running.
#
# Compile passes on two slow cores are what this costs, so there are five, each used for all that it can prove: clippy for the server
# is also the build without a database, and the build of the tests is also the check of every query against the schema.
. "$(dirname "$0")/lib.sh"

step "Setting up"
# Whoever builds this later gets the same crates.
cargo metadata --locked --format-version 1 >/dev/null
scripts/setup.sh postgres chromium wasm wasm-bindgen nextest lint deny node python stripe-sdks aiosmtpd
# Cargo does not know that the macros read .sqlx; see scripts/sqlx.sh.
touch src/server/mod.rs
scripts/check.sh
step "Licences, sources and duplicates of what it is made of"
scripts/deny.sh
step "Postgres, thrown away at the end"
throwaway_cluster
step "Building the tests, every query against the schema of migrations/"
scripts/sqlx.sh check
step "Tests"
# Postgres makes each test's database as a copy of this one: with the schema in it, migrations run once and not 800 times.
DATABASE_URL=${DATABASE_URL/\/toki\?/\/template1?} "$target/debug/toki" migrate
cargo nextest run --features ssr
step "Real clients"
scripts/clients.sh
step "Examples of the docs"
scripts/docs.sh
step "Site (release) and its size"
scripts/site.sh release
scripts/size.sh
step "Browser tests"
scripts/e2e.sh
step "Everything passed"
