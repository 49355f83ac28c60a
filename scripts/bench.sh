#!/usr/bin/env bash
# Benchmarks, each as a ratio against its baseline in the same run.
. "$(dirname "$0")/lib.sh"

if compgen -G 'benches/*.rs' >/dev/null; then
  exec cargo bench --features ssr
fi
say "There are no benchmarks yet: they come with the accounting work. Nothing was measured."
