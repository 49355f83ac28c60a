#!/usr/bin/env bash
# Writes what `toki` is made of as CycloneDX: target/sbom/toki.cdx.json (crates of the server) and target/sbom/browser.cdx.json (of the
# WebAssembly that browsers load). Packages of npm are for tests only, and in neither.
. "$(dirname "$0")/lib.sh"

scripts/setup.sh cyclonedx wasm
to=$target/sbom
mkdir -p "$to"
# sbom NAME FEATURES TARGET: the tool writes beside Cargo.toml.
sbom() {
  cargo cyclonedx --quiet --format json --spec-version 1.5 --no-default-features --features "$2" --target "$3" --override-filename "$1.cdx"
  mv "$1.cdx.json" "$to/$1.cdx.json"
  say "$to/$1.cdx.json: $(node -p 'require(process.argv[1]).components.length' "$to/$1.cdx.json") components"
}
sbom toki ssr "$(rustc -vV | sed -n 's/^host: //p')"
sbom browser hydrate wasm32-unknown-unknown
