#!/usr/bin/env bash
# The browser tests, against the debug server, or that of TOKI_BIN, and the site that is in target/site. Arguments go to Playwright.
#
#   scripts/e2e.sh [--project=js] [tests/journey.spec.ts] …
. "$(dirname "$0")/lib.sh"

toki=${TOKI_BIN:-$target/debug/toki}
[ -x "$toki" ] || die "no server in $toki: cargo build --features ssr"
[ -f "$target/site/hash.txt" ] || die "no site: scripts/site.sh"
scripts/setup.sh chromium node
throwaway_cluster
cd end2end
tsc --noEmit
TOKI_BIN=$toki playwright test "$@"
