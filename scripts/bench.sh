#!/usr/bin/env bash
# Benchmarks, each as a ratio against its baseline in the same run, on a Postgres that waits for its disk as a real one does.
. "$(dirname "$0")/lib.sh"

# Which of them.
benches=()
for name in ${BENCH:-accounting gateway hostile}; do benches+=(--bench "$name"); done

step "Setting up"
scripts/setup.sh nginx
step "Building"
cargo bench --features ssr "${benches[@]}" --no-run
step "Postgres, thrown away at the end"
# Never one that tests share, which does not wait; and beside the build, since /tmp may be memory, where nothing takes time.
unset THROWAWAY_URL
mkdir -p "$target"
TMPDIR=$target throwaway_cluster fsync=on full_page_writes=on
step "Measuring"
ulimit -n "$(ulimit -Hn)"
cargo bench --features ssr "${benches[@]}"
