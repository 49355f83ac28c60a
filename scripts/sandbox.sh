# shellcheck shell=bash
# A debug server in sandbox mode, with a database and a folder of its own, for scripts that come to it from outside as callers do.
# Sourced after lib.sh.

toki=$target/debug/toki
[ -x "$toki" ] || die "no debug server: cargo build --features ssr"

# python_with FILE: sets `python` to an interpreter that has the packages of this lock file, installed once for each content of it.
python_with() {
  scripts/setup.sh python
  local packages
  packages=$TOOLS_DIR/python-$(sha256sum <"$1" | cut -c1-12)
  python=$packages/bin/python
  [ ! -e "$packages/installed" ] || return 0
  say "Installing the packages of $1 (pip; once)"
  rm -rf "$packages"
  python3 -m venv "$packages"
  "$python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$1"
  touch "$packages/installed"
}

# What a command answered with --json.
field() { node -p "JSON.parse(require('fs').readFileSync(0)).$1"; }

# wait_for FILE PID: until what runs as PID has written a first line.
wait_for() {
  for _ in $(seq 300); do
    [ ! -s "$1" ] || return 0
    kill -0 "$2" 2>/dev/null || break
    sleep 0.1
  done
  return 1
}

# serve_sandbox NAME: to be called in a subshell: all that it starts and makes, and what is added to `running`, ends with that,
# whatever happens. Sets `url`, `email` (whose account is rich) and `key`, and goes to the server's folder.
serve_sandbox() {
  home=$(mktemp -d "${TMPDIR:-/tmp}/toki-$1.XXXXXX")
  database=toki_$1_$$
  running=()
  trap leave_sandbox EXIT
  psql "$THROWAWAY_URL" -Xqc "CREATE DATABASE $database"
  export DATABASE_URL=${THROWAWAY_URL/\/toki\?/\/$database?} TOKI_ADDR=127.0.0.1:0
  # Where a secret key is made and found again.
  cd "$home"
  "$toki" migrate >/dev/null
  "$toki" serve --sandbox --json >ready 2>log &
  running+=($!)
  wait_for ready $! || { cat log >&2; die "the server did not start"; }
  url=$(field url <ready)
  url=${url%/}
  email=rich@toki.example
  node -p "crypto.randomUUID()" | "$toki" account create --email $email --password-stdin >/dev/null
  "$toki" account credit --email $email --tokens 1000000000 >/dev/null
  key=$(new_key rich)
}

# new_key NAME [OPTION…]: prints the secret of a new key of the rich account.
new_key() { "$toki" key create --email "$email" --name "$@" --json | field secret; }

leave_sandbox() {
  for pid in "${running[@]}"; do
    kill -TERM "$pid" 2>/dev/null && wait "$pid" || true
  done
  psql "$THROWAWAY_URL" -Xqc "DROP DATABASE IF EXISTS $database WITH (FORCE)"
  rm -rf "$home"
}
