# shellcheck shell=bash
# What every script here starts with: strict mode, the clone's top as working directory, where things are. Sourced, never run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Where traps find the scripts, wherever their script has gone meanwhile.
root=$PWD

# Absolute, so that cargo, these scripts and `toki` agree on it wherever they run.
target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export CARGO_TARGET_DIR=$target

# Tools that cargo installs for this project. `toki` refuses TOKI_ names that it does not know, so the name ends here.
export TOOLS_DIR=${TOOLS_DIR:-${TOKI_TOOLS:-$HOME/.cache/toki/tools}}
unset TOKI_TOOLS
export PATH=$TOOLS_DIR/bin:$PWD/end2end/node_modules/.bin:$PATH

# Flags in the environment hide those of .cargo/config.toml, without which nothing here compiles (src/lib.rs says why).
[ -z "${RUSTFLAGS+set}" ] || export RUSTFLAGS="$RUSTFLAGS --cfg erase_components"

# Queries are checked against .sqlx, whatever database a developer's .env names; scripts/sqlx.sh says otherwise for itself.
export SQLX_OFFLINE=${SQLX_OFFLINE:-true}

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# step TEXT…: a header with the seconds since the script began, so that a step that hangs is seen.
step() { printf '\n==> [%4d s] %s\n' "$SECONDS" "$*"; }

# Where a Postgres that is thrown away keeps its files: TMPDIR says, or else in memory where that has room. A database of a test is some
# hundreds of files, which are made in a tenth of the time there.
throwaway_place() {
  local memory=/dev/shm room
  room=$(df --output=avail -B 1M "$memory" 2>/dev/null | tail -n 1) || room=0
  if [ -z "${TMPDIR:-}" ] && [ -w "$memory" ] && [ "$room" -ge 4096 ]; then printf '%s' "$memory"; else printf '%s' "${TMPDIR:-/tmp}"; fi
}

# throwaway_cluster [SETTING…]: sets DATABASE_URL to an empty database in a Postgres of this script's own, which ends with the script
# whatever happens. A script that was started by one which has such a Postgres shares it.
throwaway_cluster() {
  if [ -z "${THROWAWAY_URL:-}" ]; then
    scripts/setup.sh postgres
    throwaway_dir=$(mktemp -d "$(throwaway_place)/toki-test.XXXXXX")
    trap '"$root/scripts/postgres.sh" drop "$throwaway_dir"; rm -rf "$throwaway_dir"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # A crash may lose this data, so it need not wait for the disk, unless a setting says otherwise: the last of a name counts.
    THROWAWAY_URL=$(scripts/postgres.sh start "$throwaway_dir" \
      -c fsync=off -c synchronous_commit=on -c full_page_writes=off "${@/#/-c }")
    export THROWAWAY_URL
  fi
  export DATABASE_URL=$THROWAWAY_URL
}
