"""What the clients' cases share: where the server is, how requests are counted, and how a case is run and reported."""

import json
import os
import sys
import traceback
import urllib.request
from contextlib import contextmanager

URL = os.environ["CLIENTS_URL"]
KEY = os.environ["CLIENTS_KEY"]
# A key with a quota that pays for no call.
POOR_KEY = os.environ["CLIENTS_POOR_KEY"]
# A key that may send one request a minute.
RATED_KEY = os.environ["CLIENTS_RATED_KEY"]

_cases = []


def failing(how):
    """A model that always fails in this way, of this script alone: the gateway leaves one alone that fails five times in a row."""
    return f"sandbox/{how}-{os.path.basename(sys.argv[0])}"


def case(gateway, supplier):
    """A case, and how many requests it sends, retries included: so many reach the gateway, and so many of them the supplier."""
    return lambda function: _cases.append((function, {"gateway": gateway, "supplier": supplier}))


def _requests():
    with urllib.request.urlopen(f"{URL}/-/requests") as answer:
        return json.load(answer)


@contextmanager
def raises(kind, says="", **attributes):
    """The failure that a client shows, and what it says of it."""
    try:
        yield
    except kind as error:
        known = {name: getattr(error, name) for name in attributes}
        assert known == attributes and says in str(error), (known, error)
    else:
        raise AssertionError("served")


def main():
    name = os.path.basename(sys.argv[0])
    failed = []
    for function, expected in _cases:
        before = _requests()
        try:
            function()
            sent = {way: count - before[way] for way, count in _requests().items()}
            assert sent == expected, f"{function.__name__} sent {sent}"
        except Exception:
            traceback.print_exc()
            failed.append(function.__name__)
    print(f"{name}: {len(_cases) - len(failed)} of {len(_cases)} cases as they should be", *failed)
    sys.exit(1 if failed else 0)
