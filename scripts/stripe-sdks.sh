#!/usr/bin/env bash
# Has Stripe's official SDKs judge the fake Stripe of the tests, which is at the address given.
#
#   scripts/stripe-sdks.sh http://127.0.0.1:PORT
. "$(dirname "$0")/lib.sh"

[ $# = 1 ] || die "usage: $0 ADDRESS"
scripts/setup.sh stripe-sdks
PYTHONPATH=$TOOLS_DIR/stripe-sdks/python PYTHONDONTWRITEBYTECODE=1 python3 tests/stripe_sdks/judge.py "$1"
node tests/stripe_sdks/judge.mjs "$1" "$TOOLS_DIR/stripe-sdks/node"
