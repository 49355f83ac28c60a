#!/usr/bin/env bash
# What a first visit downloads, as it travels (brotli), against its ceilings. Fails above one; warns where the WebAssembly comes near.
. "$(dirname "$0")/lib.sh"

over=0
# check NAME EXTENSION CEILING_KB ALARM_KB
check() {
  local bytes
  bytes=$(cat "$target"/site/pkg/toki.*."$2".br | wc -c)
  local kb=$(((bytes + 999) / 1000)) verdict=fine
  [ "$kb" -le "$4" ] || verdict="near its ceiling"
  [ "$kb" -le "$3" ] || { verdict="TOO LARGE"; over=1; }
  printf '%-12s %7d bytes brotli of at most %3d kB: %s\n' "$1" "$bytes" "$3" "$verdict"
}

compgen -G "$target/site/pkg/toki.*.wasm.br" >/dev/null || die "no release site in $target/site; run scripts/site.sh release"
# Islands only: a page that grows does not make it grow.
check WebAssembly wasm 150 130
check JavaScript js 10 10
check CSS css 15 15
exit $over
