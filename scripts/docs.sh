#!/usr/bin/env bash
# Runs the examples of the docs and of the landing page against the debug server, as its pages show them (tests/docs).
. "$(dirname "$0")/lib.sh"
. scripts/sandbox.sh

scripts/setup.sh node curl
# What the examples import is what the clients' tests drive.
python_with tests/clients/requirements.txt
# The Rust example is compiled against the crates that the tests were, as cargo names them to the compiler of one that lies here: after
# the tests, it compiles none. Cargo says so only of what it compiles.
build=$target/docs-build.log
touch tests/docs/call.rs
cargo build -v --features ssr --example call 2>"$build" || { cat "$build" >&2; die "the example call was not compiled"; }
throwaway_cluster
(
  serve_sandbox docs
  export DOCS_URL=$url DOCS_NODE_PACKAGES=$root/end2end/node_modules DOCS_BUILD=$build
  TOKI_KEY=$key "$python" -B "$root/tests/docs/examples.py"
)
