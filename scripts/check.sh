#!/usr/bin/env bash
# The fast part of the tests: formatting, tidy, clippy for the server and for the browser. Needs no database.
. "$(dirname "$0")/lib.sh"

scripts/setup.sh lint wasm
step "Formatting"
cargo fmt --check
step "Tidy"
# Tidy is plain std: rustc alone has it in seconds, where cargo would first compile all that the library depends on.
CARGO_MANIFEST_DIR=$PWD rustc --edition 2024 --test tests/tidy/main.rs --out-dir "$target/tidy"
RUST_BACKTRACE=0 "$target/tidy/main" --quiet
step "Clippy, server (queries against .sqlx)"
cargo clippy --features ssr --all-targets -- -D warnings
step "Clippy, browser"
cargo clippy --lib --features hydrate --target wasm32-unknown-unknown -- -D warnings
