#!/usr/bin/env bash
# Whether everything that this program is made of has a licence and comes from a place that deny.toml allows, and nothing twice that it
# does not know of. Needs no network.
. "$(dirname "$0")/lib.sh"

scripts/setup.sh deny
cargo deny --offline --locked --log-level warn check --hide-inclusion-graph bans licenses sources
