"""The litellm package against our gateway: what its users see, case by case. Run by scripts/clients.sh.

It has names of its own for failures and drops the code, so what tells them apart is the exception and our message in it.
"""

import os

# Else it asks the network for prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from litellm.exceptions import MidStreamFallbackError

from cases import KEY, POOR_KEY, RATED_KEY, URL, case, failing, main, raises

MESSAGES = [{"role": "user", "content": "say two words"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}}}
OPENAI = {"api_base": f"{URL}/v1", "api_key": KEY}

# No advice between the cases.
litellm.suppress_debug_info = True


def create(model="sandbox/echo", messages=MESSAGES, **more):
    return litellm.completion(model=f"openai/{model}", messages=messages, **{**OPENAI, **more})


@case(5, 5)
def ok():
    assert create().choices[0].message.content == "say two words"
    completion = litellm.text_completion(model="text-completion-openai/sandbox/echo", prompt="say two words", **OPENAI)
    assert completion.choices[0].text == "say two words"
    embedding = litellm.embedding(model="openai/sandbox/echo", input=["one", "two"], **OPENAI)
    assert [len(item["embedding"]) for item in embedding.data] == [8, 8]
    response = litellm.responses(model="openai/sandbox/echo", input="say two words", **OPENAI)
    assert response.output[0].content[0].text == "say two words"
    message = litellm.completion(model="anthropic/sandbox/echo", messages=MESSAGES, max_tokens=50, api_base=URL, api_key=KEY)
    assert message.choices[0].message.content == "say two words"


@case(1, 1)
def stream():
    assert "".join(chunk.choices[0].delta.content or "" for chunk in create(stream=True)) == "say two words"


@case(3, 3)
def usage():
    usage = create().usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (6, 3)
    asked = create(stream=True, stream_options={"include_usage": True})
    assert [chunk.usage.total_tokens for chunk in asked if getattr(chunk, "usage", None)] == [9]
    assert not any(getattr(chunk, "usage", None) for chunk in create(stream=True))


@case(3, 3)
def tools():
    answer = create(model="sandbox/tool", tools=[TOOL]).choices[0]
    call = answer.message.tool_calls[0]
    assert (answer.finish_reason, call.function.name, call.function.arguments) == ("tool_calls", "look", '{"text":"say two words"}')
    turns = [*MESSAGES, answer.message, {"role": "tool", "tool_call_id": call.id, "content": "seen"}]
    assert create(model="sandbox/tool", messages=turns, tools=[TOOL]).choices[0].message.content == "seen"
    chunks = create(model="sandbox/tool", tools=[TOOL], stream=True)
    pieces = [piece.function.arguments for chunk in chunks for piece in chunk.choices[0].delta.tool_calls or []]
    assert "".join(pieces) == call.function.arguments


@case(1, 0)
def quota():
    # Trying again would not help, and the answer says so.
    with raises(litellm.RateLimitError, "quota", status_code=429):
        create(api_key=POOR_KEY)


@case(2, 1)
def rate():
    create(api_key=RATED_KEY)
    with raises(litellm.RateLimitError, status_code=429):
        create(api_key=RATED_KEY, max_retries=0)


@case(1, 0)
def bad_key():
    with raises(litellm.AuthenticationError, "No valid API key", status_code=401):
        create(api_key="sk-toki-wrong")


@case(1, 1)
def supplier_failure():
    # The supplier may have worked on it, so it is not tried again.
    with raises(litellm.BadGatewayError, "supplier failed", status_code=502):
        create(model=failing("error"))


def broken(model):
    """The words that came before the error that ended them."""
    words = ""
    with raises(MidStreamFallbackError, "broke off"):
        for chunk in create(model=model, stream=True):
            words += chunk.choices[0].delta.content or ""
    return words


@case(1, 1)
def in_stream_failure():
    assert broken(failing("error-event")) == "say two words"


@case(3, 3)
def cut():
    assert broken(failing("cut")) == "say two words"
    assert broken(failing("no-done")) == "say two words"
    # The supplier has spent Tokens on it, so it is not tried again.
    with raises(litellm.BadGatewayError, "broke off", status_code=502):
        create(model=failing("cut"))


main()
