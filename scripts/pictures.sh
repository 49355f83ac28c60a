#!/usr/bin/env bash
# The pictures of README, in docs/pictures: the main pages of a customer with some weeks behind them, in both themes.
. "$(dirname "$0")/lib.sh"

scripts/site.sh release
cargo build --features ssr
PICTURES=1 scripts/e2e.sh --project=js tests/pictures.spec.ts
