#!/usr/bin/env bash
# The accounting simulator and the parsers for as long as you like. First PROPTEST_CASES (100,000 unless set) times four cases of damaged
# bytes for each parser; then the simulator: SIM_OPS operations (a million unless set) in two lanes of runs, one a core, each
# run of a seed of its own. The seeds begin at SIM_SEED, or at the time, so that every soak sees other runs. A failure prints how to
# see it again.
. "$(dirname "$0")/lib.sh"

export SIM_OPS=${SIM_OPS:-1000000} SIM_SEED=${SIM_SEED:-$(date +%s)}
PROPTEST_CASES=${PROPTEST_CASES:-100000}
step "Parsers of the gateway, $PROPTEST_CASES × 4 cases each"
PROPTEST_CASES=$PROPTEST_CASES cargo test --features ssr --lib -- gateway::fuzz
step "Postgres, thrown away at the end"
throwaway_cluster
step "$SIM_OPS operations from SIM_SEED=$SIM_SEED"
cargo test --features ssr --test sim -- lane --nocapture --test-threads 2
