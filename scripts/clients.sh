#!/usr/bin/env bash
# Real clients against the debug server: the packages that people install, each in its own words (tests/clients). The Python packages
# are installed once, into a cache beside the project's tools; those for Node.js are the browser tests'.
. "$(dirname "$0")/lib.sh"

toki=$target/debug/toki
[ -x "$toki" ] || die "no debug server: cargo build --features ssr"
scripts/setup.sh node python
packages=tests/clients/requirements.txt
python=$TOOLS_DIR/clients-$(sha256sum <$packages | cut -c1-12)
if [ ! -e "$python/installed" ]; then
  say "Installing the clients of $packages (pip; once)"
  rm -rf "$python"
  python3 -m venv "$python"
  "$python/bin/pip" install --quiet --disable-pip-version-check -r $packages
  touch "$python/installed"
fi
throwaway_cluster

# In a subshell: what it starts and makes ends with it, whatever happens.
(
  home=$(mktemp -d "${TMPDIR:-/tmp}/toki-clients.XXXXXX")
  database=toki_clients_$$
  server=
  leave() {
    [ -z "$server" ] || { kill -TERM "$server" && wait "$server" || true; }
    psql "$THROWAWAY_URL" -Xqc "DROP DATABASE IF EXISTS $database WITH (FORCE)"
    rm -rf "$home"
  }
  trap leave EXIT
  psql "$THROWAWAY_URL" -Xqc "CREATE DATABASE $database"
  export DATABASE_URL=${THROWAWAY_URL/\/toki\?/\/$database?}
  export TOKI_ADDR=127.0.0.1:0

  # Where a secret key is made and found again.
  cd "$home"
  "$toki" migrate >/dev/null
  "$toki" serve --sandbox --json >ready 2>log &
  server=$!
  for _ in $(seq 300); do
    [ ! -s ready ] || break
    kill -0 "$server" 2>/dev/null || { cat log >&2; die "the server did not start"; }
    sleep 0.1
  done
  field() { node -p "JSON.parse(require('fs').readFileSync(0)).$1"; }
  CLIENTS_URL=$(field url <ready)
  email=clients@toki.example
  node -p "crypto.randomUUID()" | "$toki" account create --email $email --password-stdin >/dev/null
  "$toki" account credit --email $email --tokens 1000000 >/dev/null
  CLIENTS_KEY=$("$toki" key create --email $email --name rich --json | field secret)
  CLIENTS_POOR_KEY=$("$toki" key create --email $email --name poor --quota 1 --json | field secret)
  export CLIENTS_URL CLIENTS_KEY CLIENTS_POOR_KEY

  failed=
  for script in openai_client.py anthropic_client.py; do
    "$python/bin/python" -B "$root/tests/clients/$script" || failed=yes
  done
  node "$root/tests/clients/openai_client.mjs" || failed=yes
  "$toki" audit >/dev/null || { failed=yes; say "the books do not balance"; }
  [ -z "$failed" ]
)
