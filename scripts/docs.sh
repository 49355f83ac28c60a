#!/usr/bin/env bash
# Runs the examples of the docs against the debug server, as its pages show them (tests/docs).
. "$(dirname "$0")/lib.sh"
. scripts/sandbox.sh

scripts/setup.sh node curl
# What the examples import is what the clients' tests drive.
python_with tests/clients/requirements.txt
throwaway_cluster
(
  serve_sandbox docs
  DOCS_URL=$url TOKI_KEY=$key DOCS_NODE_PACKAGES=$root/end2end/node_modules "$python" -B "$root/tests/docs/examples.py"
)
