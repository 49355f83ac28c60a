#!/usr/bin/env bash
# Whether everything that this program is made of has a licence and comes from a place that deny.toml allows, and nothing twice that it
# does not know of. Asks nobody but the registry, for what is not downloaded yet.
. "$(dirname "$0")/lib.sh"

scripts/setup.sh deny
cargo deny --locked --log-level warn check --hide-inclusion-graph bans licenses sources
