"""The llm package against our gateway: what its users see, case by case, from Python and on the command line. Run by scripts/clients.sh.

It sends with openai's package and hands its failures on; how often that retries, nobody can say to it. Told to wait it would, as long as
the answer says: the case of a rate limit takes the retries from openai's package, to see the failure.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import openai

from cases import KEY, POOR_KEY, RATED_KEY, URL, case, failing, main, raises

PROMPT = "say two words"
QUIRKS = ["echo", "tool"]
FAILURES = ["error", "error-event", "cut", "no-done"]
BASE = {"api_base": f"{URL}/v1", "api_key_name": "toki", "supports_tools": True}

# Models beside OpenAI's own stand in a file of its user's folder, which is YAML, and so may be JSON. It is read with the first model.
home = tempfile.TemporaryDirectory()
os.environ["LLM_USER_PATH"] = home.name
models = [{"model_id": f"toki/{quirk}", "model_name": f"sandbox/{quirk}", **BASE} for quirk in QUIRKS]
models += [{"model_id": f"toki/{how}", "model_name": failing(how), **BASE} for how in FAILURES]
models += [{**model, "model_id": f"responses/{model['model_id']}", "responses": True} for model in models]
Path(home.name, "extra-openai-models.yaml").write_text(json.dumps(models))

import llm


def prompt(model="toki/echo", key=KEY, **more):
    return llm.get_model(model).prompt(PROMPT, key=key, **more)


def command(*arguments, key=KEY):
    """`llm openai endpoint`, as somebody types it who has set nothing up: how it ended, and what it printed."""
    typed = [sys.executable, "-m", "llm", "openai", "endpoint", f"{URL}/v1", "--key", key, *arguments]
    ran = subprocess.run(typed, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return ran.returncode, ran.stdout.strip(), ran.stderr.strip()


@case(4, 3)
def ok():
    assert prompt(stream=False).text() == PROMPT
    assert prompt("responses/toki/echo", stream=False).text() == PROMPT
    assert command("-m", "sandbox/echo", "--no-stream", PROMPT) == (0, PROMPT, "")
    code, printed, _ = command("--models")
    assert code == 0 and "sandbox/echo" in printed.split(), printed


@case(3, 3)
def stream():
    chunks = list(prompt())
    assert len(chunks) > 1 and "".join(chunks) == PROMPT, chunks
    assert "".join(prompt("responses/toki/echo")) == PROMPT
    assert command("-m", "sandbox/echo", PROMPT) == (0, PROMPT, "")


@case(4, 4)
def usage():
    for model in "toki/echo", "responses/toki/echo":
        for streamed in False, True:
            used = prompt(model, stream=streamed).usage()
            assert (used.input, used.output) == (6, 3), (model, streamed, used)


@case(8, 8)
def tools():
    asked = []

    def look(text: str) -> str:
        "Looks at a text."
        asked.append(text)
        return "seen"

    for model in "toki/tool", "responses/toki/tool":
        for streamed in False, True:
            chain = llm.get_model(model).chain(PROMPT, tools=[look], key=KEY, stream=streamed)
            assert chain.text().endswith("seen"), (model, streamed)
    assert asked == [PROMPT] * 4, asked


@case(3, 0)
def quota():
    # Trying again would not help, and the answer says so.
    for model in "toki/echo", "responses/toki/echo":
        with raises(openai.RateLimitError, code="insufficient_quota", type="insufficient_quota"):
            prompt(model, POOR_KEY).text()
    code, _, complaint = command("-m", "sandbox/echo", PROMPT, key=POOR_KEY)
    assert code == 1 and "quota" in complaint, complaint


@case(2, 1)
def rate():
    assert prompt(key=RATED_KEY).text() == PROMPT
    defaults = openai.OpenAI.__init__.__kwdefaults__
    assert defaults["max_retries"] > 0, defaults
    with mock.patch.dict(defaults, max_retries=0):
        with raises(openai.RateLimitError, code="rate_limit_exceeded", type="rate_limit_error"):
            prompt(key=RATED_KEY).text()


@case(3, 0)
def bad_key():
    for model in "toki/echo", "responses/toki/echo":
        with raises(openai.AuthenticationError, code="invalid_api_key", param=None):
            prompt(model, "sk-toki-wrong").text()
    code, _, complaint = command("-m", "sandbox/echo", PROMPT, key="sk-toki-wrong")
    assert code == 1 and "No valid API key" in complaint, complaint


@case(1, 1)
def supplier_failure():
    # The supplier may have worked on it, so it is not tried again.
    with raises(openai.InternalServerError, status_code=502, code="upstream_unavailable"):
        prompt("toki/error").text()


def broken(model):
    """The words that came, and the error that ended them."""
    words = ""
    try:
        for chunk in prompt(model):
            words += chunk
    except openai.APIError as error:
        return words, error.code
    raise AssertionError(f"{model}: taken for a whole answer")


@case(2, 2)
def in_stream_failure():
    assert broken("toki/error-event") == (PROMPT, "upstream_error")
    assert broken("responses/toki/error-event") == (PROMPT, "upstream_error")


@case(4, 4)
def cut():
    assert broken("toki/cut") == (PROMPT, "upstream_error")
    assert broken("toki/no-done") == (PROMPT, "upstream_error")
    # The supplier has spent Tokens on it, so it is not tried again.
    with raises(openai.InternalServerError, status_code=502, code="upstream_error"):
        prompt("toki/cut", stream=False).text()
    code, printed, complaint = command("-m", failing("cut"), PROMPT)
    assert (code, printed) == (1, PROMPT) and "broke off" in complaint, (code, printed, complaint)


main()
