#!/usr/bin/env bash
# Installs what is missing, with the ordinary clients (apt-get, rustup, cargo, npm); does nothing where all is there.
#
#   scripts/setup.sh postgres|nginx|chromium|curl|wasm|wasm-bindgen|nextest|lint|deny|cyclonedx|node|python|stripe-sdks|aiosmtpd …
. "$(dirname "$0")/lib.sh"

nextest_version=0.9.143
deny_version=0.20.2
cyclonedx_version=0.5.7
stripe_python_version=16.1.0
aiosmtpd_version=1.4.6

# apt_install PACKAGE…: as root, or through sudo when it asks no password; else says what to run.
apt_install() {
  local command="apt-get install -y --no-install-recommends $*" as_root=()
  command -v apt-get >/dev/null || die "needs $* and found no apt-get; install it with your system's package manager"
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || die "needs $*. Run this, then try again:  sudo $command"
    as_root=(sudo -n)
  fi
  say "Installing $* (apt-get)"
  as_root+=(env DEBIAN_FRONTEND=noninteractive)
  # The lists of a fresh machine are empty or old: refresh them when the first try fails.
  # shellcheck disable=SC2086
  "${as_root[@]}" $command || { "${as_root[@]}" apt-get update && "${as_root[@]}" $command; } || die "could not install $*"
}

need_postgres() {
  compgen -G '/usr/lib/postgresql/*/bin/pg_ctl' >/dev/null || command -v pg_ctl >/dev/null || apt_install postgresql
}

need_chromium() {
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
    || apt_install chromium fonts-dejavu-core fonts-noto-cjk
}

# Only its binary: nothing is started.
need_nginx() {
  command -v nginx >/dev/null || apt_install nginx-light
}

# For the examples that use it.
need_curl() {
  command -v curl >/dev/null || apt_install curl ca-certificates
}

need_wasm() {
  local sysroot
  sysroot=$(rustc --print sysroot)
  [ -d "$sysroot/lib/rustlib/wasm32-unknown-unknown" ] || rustup target add wasm32-unknown-unknown
}

need_lint() {
  cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
  cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
}

# The command must be of the crate's very version, so Cargo.toml is the one place that names it.
need_wasm-bindgen() {
  local wanted
  wanted=$(sed -n 's/^wasm-bindgen = .*"=\([0-9.]*\)".*/\1/p' Cargo.toml)
  [ -n "$wanted" ] || die "Cargo.toml pins no wasm-bindgen version"
  [ "$(wasm-bindgen --version 2>/dev/null)" = "wasm-bindgen $wanted" ] && return
  say "Installing wasm-bindgen-cli $wanted (cargo; a few minutes, once)"
  # Without --locked: that lock file names versions which do not build with every toolchain that we support.
  into_tools cargo install wasm-bindgen-cli --version "$wanted"
}

need_nextest() {
  cargo nextest --version >/dev/null 2>&1 && return
  say "Installing cargo-nextest $nextest_version (cargo; several minutes, once)"
  into_tools cargo install cargo-nextest --locked --version "$nextest_version"
}

need_deny() {
  [ "$(cargo deny --version 2>/dev/null)" = "cargo-deny $deny_version" ] && return
  say "Installing cargo-deny $deny_version (cargo; some minutes, once)"
  # Unoptimised: it runs for seconds, and would take three times as long to build.
  into_tools cargo install cargo-deny --locked --debug --version "$deny_version"
}

need_cyclonedx() {
  [ "$(cargo cyclonedx --version 2>/dev/null)" = "cargo-cyclonedx-cyclonedx $cyclonedx_version" ] && return
  say "Installing cargo-cyclonedx $cyclonedx_version (cargo; some minutes, once)"
  into_tools cargo install cargo-cyclonedx --locked --version "$cyclonedx_version"
}

# into_tools cargo install …: beside the project's other tools, built in a folder of its own and without the project's settings.
into_tools() {
  (cd / && env -u CARGO_TARGET_DIR "$@" --root "$TOOLS_DIR")
}

need_python() {
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3 python3-venv
}

need_node() {
  command -v npm >/dev/null || die "needs Node.js 20 or later with npm"
  [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || die "needs Node.js 20 or later, found $(node --version)"
  [ end2end/node_modules/.package-lock.json -nt end2end/package-lock.json ] && return
  say "Installing the packages of end2end (npm ci)"
  (cd end2end && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund)
}

# pip_into FOLDER PACKAGE==VERSION
pip_into() {
  python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip
  python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --root-user-action=ignore --target "$1" "$2"
}

# The official clients that judge the fake Stripe, in a folder of their own at the versions above and in tests/stripe_sdks.
need_stripe-sdks() {
  local to=$TOOLS_DIR/stripe-sdks versions
  versions="$stripe_python_version $(sha256sum <tests/stripe_sdks/package-lock.json)"
  [ "$(cat "$to/versions" 2>/dev/null)" = "$versions" ] && return
  command -v npm >/dev/null || die "needs Node.js 20 or later with npm"
  say "Installing Stripe's SDKs for Python and Node (pip, npm)"
  rm -rf "$to"
  mkdir -p "$to/node"
  pip_into "$to/python" "stripe==$stripe_python_version"
  cp tests/stripe_sdks/package.json tests/stripe_sdks/package-lock.json "$to/node/"
  npm ci --silent --no-audit --no-fund --prefix "$to/node"
  echo "$versions" >"$to/versions"
}

# The mail server of tests/mail.
need_aiosmtpd() {
  local to=$TOOLS_DIR/aiosmtpd
  [ "$(cat "$to/version" 2>/dev/null)" = "$aiosmtpd_version" ] && return
  say "Installing aiosmtpd, a mail server for the tests (pip)"
  rm -rf "$to"
  mkdir -p "$to"
  pip_into "$to/python" "aiosmtpd==$aiosmtpd_version"
  echo "$aiosmtpd_version" >"$to/version"
}

for what in "$@"; do
  declare -F "need_$what" >/dev/null || die "unknown: $what"
  "need_$what"
done
