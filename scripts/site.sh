#!/usr/bin/env bash
# Builds what the browser loads, into target/site: pkg/toki.HASH.{js,wasm,css}, hash.txt that tells the server the hashes, public/*.
#
#   scripts/site.sh [release|dev]     dev: quick to build, large to load
. "$(dirname "$0")/lib.sh"

mode=${1:-release}
case $mode in
  release) profile=wasm-release; folder=wasm-release ;;
  dev) profile=dev; folder=debug ;;
  *) die "usage: $0 [release|dev]" ;;
esac

site=$target/site
work=$target/site.new
rm -rf "$work"
mkdir -p "$work/pkg"

# Moves FILE to pkg/toki.HASH.EXTENSION, notes the hash, prints it. The name changes with the content, so browsers keep it for ever.
publish() {
  local file=$1 extension=$2 hash
  hash=$(sha256sum "$file" | cut -c1-16)
  mv "$file" "$work/pkg/toki.$hash.$extension"
  printf '%s: %s\n' "$extension" "$hash" >>"$work/hash.txt"
  printf '%s' "$hash"
}

cargo build --lib --features hydrate --target wasm32-unknown-unknown --profile "$profile"
wasm-bindgen "$target/wasm32-unknown-unknown/$folder/toki.wasm" --target web --no-typescript --out-dir "$work/pkg" --out-name toki
wasm=$work/pkg/toki_bg.wasm
if [ "$mode" = release ]; then
  # The features are those that rustc emits for this target.
  wasm-opt -Oz --enable-bulk-memory --enable-bulk-memory-opt --enable-nontrapping-float-to-int --enable-sign-ext \
    --enable-reference-types --enable-multivalue --enable-mutable-globals --enable-call-indirect-overlong "$wasm" -o "$wasm"
fi

wasm_hash=$(publish "$wasm" wasm)
sed -i "s/toki_bg\.wasm/toki.$wasm_hash.wasm/g" "$work/pkg/toki.js"
publish "$work/pkg/toki.js" js >/dev/null

# Order matters in CSS: what names things, what resets, what pages share, then one file per domain.
shopt -s nullglob
sheets=()
for sheet in style/tokens.css style/base.css style/components.css style/*.css; do
  [ -f "$sheet" ] || continue
  case " ${sheets[*]} " in *" $sheet "*) ;; *) sheets+=("$sheet") ;; esac
done
cat /dev/null "${sheets[@]}" >"$work/toki.css"
publish "$work/toki.css" css >/dev/null

assets=(public/*)
[ ${#assets[@]} = 0 ] || cp -r "${assets[@]}" "$work/"
[ "$mode" = dev ] || node scripts/precompress.mjs "$work"

rm -rf "$site"
mv "$work" "$site"
say "The site is in $site"
