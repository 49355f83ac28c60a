#!/usr/bin/env bash
# The release binary and the site it serves, one after the other: two at once do not fit in a small machine.
. "$(dirname "$0")/lib.sh"

# What is delivered is made of the very crates that were tested.
cargo metadata --locked --format-version 1 >/dev/null
scripts/setup.sh wasm wasm-bindgen node
step "Server (release)"
cargo build --release --features ssr --bin toki
step "Site (release)"
scripts/site.sh release
