"""What the clients' cases share: where the server is, and how a case is run and reported."""

import os
import sys
import traceback

URL = os.environ["CLIENTS_URL"]
KEY = os.environ["CLIENTS_KEY"]
# A key with a quota that pays for no call.
POOR_KEY = os.environ["CLIENTS_POOR_KEY"]

_cases = []


def case(function):
    _cases.append(function)
    return function


def client_with_count():
    """An HTTP client for an SDK, and the list of the requests that it sends."""
    requests = []
    try:
        import httpx
    except ImportError:
        import httpx2 as httpx
    return httpx.Client(event_hooks={"request": [requests.append]}), requests


def main():
    name = os.path.basename(sys.argv[0])
    failed = []
    for function in _cases:
        try:
            function()
        except Exception:
            traceback.print_exc()
            failed.append(function.__name__)
    print(f"{name}: {len(_cases) - len(failed)} of {len(_cases)} cases as they should be", *failed)
    sys.exit(1 if failed else 0)
