# shellcheck shell=bash
# What `make run` and `make dev` start and stop: the private cluster, migrations, `toki serve`, demo data. Sourced after lib.sh.

cluster=.data/postgres
address=${TOKI_ADDR:-127.0.0.1:3000}
port=${address##*:}
host=${address%:*}
host=${host#[}
host=${host%]}
# To reach a server that listens everywhere, ask the loopback.
case $host in 0.0.0.0) host=127.0.0.1 ;; ::) host=::1 ;; esac
server=

# One call over bash's own sockets: a bare machine has no curl.
answers() {
  local status
  { exec 8<>"/dev/tcp/$host/$port"; } 2>/dev/null || return 1
  printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$1" "$host" >&8
  read -r -t 5 _ status _ <&8 || status=
  exec 8>&-
  [ "$status" = 200 ]
}

need_free_port() {
  ! (exec 8<>"/dev/tcp/$host/$port") 2>/dev/null \
    || die "port $port is taken. Stop what listens there, or choose another:  TOKI_ADDR=127.0.0.1:3001 make ${1:-run}"
}

# The database: the one of DATABASE_URL, or the private cluster. Whoever uses the cluster holds a shared lock, so that the last to
# leave stops it, and one that was left behind by a crash is stopped by the next.
start_database() {
  [ -z "${DATABASE_URL:-}" ] || return 0
  mkdir -p .data
  exec 9>.data/postgres.users
  flock -s 9
  DATABASE_URL=$(scripts/postgres.sh start "$cluster" 9>&-)
  export DATABASE_URL
}

# In a session of its own: Ctrl-C is this script's to hear, which then asks the server once. Two signals would cut running calls.
start_server() {
  setsid "$1" serve --sandbox 9>&- &
  server=$!
  local waited=0
  until answers /readyz; do
    kill -0 "$server" 2>/dev/null || return 1
    [ $((waited += 1)) -le 300 ] || { say "toki serve did not get ready within 30 s" >&2; return 1; }
    sleep 0.1
  done
}

# Asks the server to end; a second signal tells it not to wait for running calls, and the third is none that it can refuse.
stop_server() {
  [ -n "$server" ] || return 0
  local signal
  for signal in TERM TERM KILL; do
    kill -"$signal" "$server" 2>/dev/null || break
    for _ in $(seq 50); do
      kill -0 "$server" 2>/dev/null || break 2
      sleep 0.1
    done
  done
  wait "$server" 2>/dev/null || true
  server=
}

stop_everything() {
  trap '' INT TERM HUP
  stop_server
  if [ -e /proc/self/fd/9 ] && flock -n -x 9; then
    scripts/postgres.sh stop "$cluster" 9>&-
  fi
}

trap stop_everything EXIT
# Deaf from the first signal on: make passes on what the whole group was sent already, and a second one would cut the end short.
trap 'trap "" INT TERM HUP; exit 130' INT
trap 'trap "" INT TERM HUP; exit 143' TERM HUP
