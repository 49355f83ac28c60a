#!/usr/bin/env bash
# Benchmarks, each as a ratio against its baseline in the same run, on a Postgres that waits for its disk as a real one does;
# last what the console costs, which is measured in a browser and on a Postgres of its own.
. "$(dirname "$0")/lib.sh"

# Which of them.
benches=() others=() console=
for name in ${BENCH:-accounting gateway hostile console}; do
  if [ "$name" = console ]; then console=yes; else benches+=(--bench "$name") others+=("$name"); fi
done

if [ -n "$console" ]; then
  failed=
  # In a process of their own, so that their Postgres has ended; and one that missed its bar does not hide what comes after.
  if [ ${#others[@]} -gt 0 ]; then BENCH=${others[*]} scripts/bench.sh || failed=yes; fi
  step "The console"
  scripts/lighthouse.sh || failed=yes
  [ -z "$failed" ] || die "a bar was missed, or something could not be measured: see above"
  exit
fi

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
