#!/usr/bin/env bash
# What the console costs its readers: Lighthouse as a phone, and what the server takes to render each page of an account with 10,000
# calls, beside what it takes to say that it is alive. Prints figures and fails where a bar is missed.
. "$(dirname "$0")/lib.sh"

scripts/build.sh
FIGURES=1 TOKI_BIN=$target/release/toki scripts/e2e.sh --project=js --reporter=line tests/figures.spec.ts
