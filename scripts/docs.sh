#!/usr/bin/env bash
# Runs the examples of the docs and of the landing page against the debug server, as its pages show them (tests/docs).
. "$(dirname "$0")/lib.sh"
. scripts/sandbox.sh

scripts/setup.sh node curl
# What the examples import is what the clients' tests drive.
python_with tests/clients/requirements.txt
# The Rust example is compiled against the crates that the tests were, of which this is a list: after them, it compiles none.
crates=$target/docs-crates.json
cargo build --quiet --features ssr --example call --message-format=json >"$crates"
throwaway_cluster
(
  serve_sandbox docs
  export DOCS_URL=$url DOCS_NODE_PACKAGES=$root/end2end/node_modules DOCS_CRATES=$crates
  TOKI_KEY=$key "$python" -B "$root/tests/docs/examples.py"
)
