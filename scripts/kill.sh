#!/usr/bin/env bash
# `kill -9` at every point of a fulfilment and of a refund, FAULT_ROUNDS times each (50 unless set), with real processes on clusters of
# the tests' own. Afterwards each order was credited once, each refund was made once, and the audit is clean; or it says where not.
. "$(dirname "$0")/lib.sh"

export FAULT_ROUNDS=${FAULT_ROUNDS:-50}
scripts/setup.sh postgres
step "$FAULT_ROUNDS rounds"
cargo test --features ssr --test it -- killed_at_each_point --nocapture --test-threads 2
