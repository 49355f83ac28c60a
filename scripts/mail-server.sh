#!/usr/bin/env bash
# A mail server for tests, on a port of 127.0.0.1, until its standard input ends (tests/mail/server.py).
#
#   scripts/mail-server.sh PORT
. "$(dirname "$0")/lib.sh"

scripts/setup.sh aiosmtpd >&2
PYTHONPATH=$TOOLS_DIR/aiosmtpd/python exec python3 -B tests/mail/server.py "$@"
