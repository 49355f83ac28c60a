#!/usr/bin/env bash
# A private Postgres cluster: no TCP, one socket folder, its own files. Used by `make run`, `make dev` and `make test`.
#
#   scripts/postgres.sh start DIR [extra postgres settings…]   prints the DATABASE_URL of database `toki`
#   scripts/postgres.sh stop  DIR                              stops it; a stopped cluster keeps its data
#   scripts/postgres.sh drop  DIR                              stops it and deletes the folder
#
# Postgres refuses to run as root, so root starts it as the unprivileged user `postgres` (Debian's package makes it).
set -euo pipefail

die() { echo "postgres.sh: $*" >&2; exit 1; }

verb=${1:-}; given=${2:-}
[ -n "$verb" ] && [ -n "$given" ] || die "usage: $0 start|stop|drop DIR [settings]"
shift 2

owner=$(id -un)
as_owner() { "$@"; }
if [ "$(id -u)" = 0 ]; then
  owner=postgres
  id postgres >/dev/null 2>&1 || die "running as root needs the user 'postgres' (Debian's postgresql package makes it)"
  as_owner() { (cd / && runuser -u postgres -- "$@"); }
fi

mkdir -p "$given"
dir=$(realpath "$given")
if [ "$(id -u)" = 0 ]; then
  chown postgres "$dir"
  if ! as_owner test -w "$dir"; then
    # The clone lies where only root may look (/root, say). Keep the files where `postgres` can reach them.
    dir=/var/lib/toki/$(echo -n "$dir" | sha256sum | cut -c1-12)
    mkdir -p "$dir"; chown postgres "$dir"
  fi
fi
sockets=$dir/socket
# A Unix socket's path holds 107 bytes at most.
[ ${#sockets} -le 85 ] || sockets=/tmp/toki-pg-$(echo -n "$dir" | sha256sum | cut -c1-12)

# Data is bound to the major version that made it; new data gets the newest that is installed.
made_by=$(as_owner cat "$dir/data/PG_VERSION" 2>/dev/null || true)
bin=/usr/lib/postgresql/$made_by/bin
[ -n "$made_by" ] && [ -x "$bin/pg_ctl" ] || bin=$(find /usr/lib/postgresql/*/bin -maxdepth 0 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v pg_ctl 2>/dev/null || echo /nonexistent/pg_ctl)")
[ -x "$bin/pg_ctl" ] || die "Postgres is not installed. On Debian: apt-get install postgresql"

running() { [ -f "$dir/data/postmaster.pid" ] && as_owner "$bin/pg_ctl" -D "$dir/data" status >/dev/null 2>&1; }

case $verb in
  start)
    if [ ! -f "$dir/data/PG_VERSION" ]; then
      as_owner "$bin/initdb" -D "$dir/data" -U toki --auth=trust --encoding=UTF8 --locale=C.UTF-8 >"$dir.initdb.log" 2>&1 \
        || { cat "$dir.initdb.log" >&2; die "initdb failed"; }
      rm -f "$dir.initdb.log"
    fi
    if ! running; then
      as_owner mkdir -p -m 0700 "$sockets"
      as_owner "$bin/pg_ctl" -D "$dir/data" -l "$dir/postgres.log" -w -t 60 \
        -o "-c listen_addresses='' -c unix_socket_directories='$sockets' -c max_connections=200 $*" start >/dev/null 2>&1 \
        || { tail -n 20 "$dir/postgres.log" >&2; die "the cluster in $dir did not start"; }
    fi
    "$bin/psql" -h "$sockets" -U toki -d postgres -XqtAc "SELECT 1 FROM pg_database WHERE datname = 'toki'" | grep -q 1 \
      || "$bin/createdb" -h "$sockets" -U toki toki
    echo "postgres://toki@localhost/toki?host=$sockets"
    ;;
  stop | drop)
    ! running || as_owner "$bin/pg_ctl" -D "$dir/data" -m fast -w stop >/dev/null
    [ "$verb" = stop ] || rm -rf "$dir" "$sockets"
    ;;
  *) die "unknown verb $verb" ;;
esac
