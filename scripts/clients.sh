#!/usr/bin/env bash
# Real clients against the debug server: the packages that people install, each in its own words (tests/clients). Requests are counted
# before us and behind us, and beside the supplier's channels there are some that lead nowhere: what a client shows, and how often it
# and we ask, must not depend on which is tried first.
. "$(dirname "$0")/lib.sh"
. scripts/sandbox.sh

scripts/setup.sh node
python_with tests/clients/requirements.txt
throwaway_cluster
(
  serve_sandbox clients
  node "$root/tests/clients/counter.mjs" "$url" >counted &
  running+=($!)
  wait_for counted $! || die "the counter did not start"

  # The way to the sandbox leads through the counter, or nowhere.
  export TOKI_SUPPLIER_NETWORKS=127.0.0.0/8 SANDBOX_SECRET=sk-sandbox-supplier
  for id in $("$toki" channel list --json | field 'channels.map((channel) => channel.channel_id).join(" ")'); do
    "$toki" channel disable "$id" >/dev/null
  done
  for to in "$(field supplier <counted)" "$(field nobody <counted)"; do
    channel() { "$toki" channel add --supplier sandbox --secret-env SANDBOX_SECRET --base-url "$to/sandbox$1" --protocol "$2" >/dev/null; }
    channel /v1 openai
    channel /anthropic/v1 anthropic
  done

  CLIENTS_URL=$(field gateway <counted)
  CLIENTS_POOR_KEY=$(new_key poor --quota 1)
  export CLIENTS_URL CLIENTS_KEY=$key CLIENTS_POOR_KEY

  # A key that may send one request a minute, for one script: the second request is refused.
  rated_key() {
    local made
    made=$("$toki" key create --email $email --name rated --json)
    "$toki" key edit "$(field key_id <<<"$made")" --requests-per-minute 1 >/dev/null
    field secret <<<"$made"
  }

  # run COMMAND… SCRIPT: with a key and failing models of its own.
  run() {
    local how id
    for how in error cut no-done error-event; do
      id=sandbox/$how-$(basename "${!#}")
      "$toki" model add --id "$id" --supplier sandbox --upstream-id "$how" --context 128000 --max-output 4096 >/dev/null
    done
    CLIENTS_RATED_KEY=$(rated_key) "$@"
  }

  failed=
  for script in openai anthropic langchain litellm llm; do
    run "$python" -B "$root/tests/clients/${script}_client.py" || failed=yes
  done
  for script in openai ai_sdk; do
    run node "$root/tests/clients/${script}_client.mjs" || failed=yes
  done
  "$toki" audit >/dev/null || { failed=yes; say "the books do not balance"; }
  [ -z "$failed" ]
)
