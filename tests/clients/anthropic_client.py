"""The anthropic package against our gateway: what its users see, case by case. Run by scripts/clients.sh."""

import anthropic
from anthropic import Anthropic

from cases import KEY, POOR_KEY, RATED_KEY, URL, case, failing, main, raises

MESSAGES = [{"role": "user", "content": "say two words"}]
TOOLS = [{"name": "look", "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}}}]

# With the retries that everybody has.
client = Anthropic(base_url=URL, api_key=KEY)


def create(model="sandbox/echo", messages=MESSAGES, **more):
    return client.messages.create(model=model, max_tokens=50, messages=messages, **more)


@case(4, 2)
def ok():
    message = create(system="Be brief.")
    assert (message.content[0].text, message.stop_reason) == ("say two words", "end_turn")
    assert message._request_id
    assert "sandbox/echo" in [model.id for model in client.models.list()]
    assert client.models.retrieve("sandbox/echo").type == "model"
    # The other way to send a key, as Claude Code does with ANTHROPIC_AUTH_TOKEN.
    bearer = Anthropic(base_url=URL, auth_token=KEY, api_key=None)
    assert bearer.messages.create(model="sandbox/echo", max_tokens=50, messages=MESSAGES).content[0].text == "say two words"


@case(1, 1)
def stream():
    with client.messages.stream(model="sandbox/echo", max_tokens=50, messages=MESSAGES) as events:
        assert "".join(events.text_stream) == "say two words"
        assert events.get_final_message().stop_reason == "end_turn"


@case(4, 4)
def usage():
    assert (create().usage.input_tokens, create().usage.output_tokens) == (6, 3)
    with client.messages.stream(model="sandbox/echo", max_tokens=50, messages=MESSAGES) as events:
        usage = events.get_final_message().usage
    assert (usage.input_tokens, usage.output_tokens) == (6, 3)
    raw = client.messages.with_raw_response.create(model="sandbox/echo", max_tokens=50, messages=MESSAGES)
    assert raw.headers["x-toki-charged-tokens"] == "9"


@case(3, 3)
def tools():
    message = create(model="sandbox/tool", tools=TOOLS)
    call = message.content[0]
    assert (message.stop_reason, call.name, call.input) == ("tool_use", "look", {"text": "say two words"})
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "seen"}]}
    turns = [*MESSAGES, {"role": "assistant", "content": message.content}, result]
    assert create(model="sandbox/tool", messages=turns, tools=TOOLS).content[0].text == "seen"
    with client.messages.stream(model="sandbox/tool", max_tokens=50, messages=MESSAGES, tools=TOOLS) as events:
        assert events.get_final_message().content[0].input == call.input


@case(1, 0)
def quota():
    poor = Anthropic(base_url=URL, api_key=POOR_KEY)
    # Trying again would not help, and the answer says so.
    with raises(anthropic.RateLimitError, "quota", type="rate_limit_error"):
        poor.messages.create(model="sandbox/echo", max_tokens=50, messages=MESSAGES)


@case(2, 1)
def rate():
    rated = Anthropic(base_url=URL, api_key=RATED_KEY, max_retries=0)
    rated.messages.create(model="sandbox/echo", max_tokens=50, messages=MESSAGES)
    with raises(anthropic.RateLimitError, type="rate_limit_error"):
        rated.messages.create(model="sandbox/echo", max_tokens=50, messages=MESSAGES)


@case(1, 0)
def bad_key():
    stranger = Anthropic(base_url=URL, api_key="sk-ant-wrong")
    with raises(anthropic.AuthenticationError, type="authentication_error"):
        stranger.messages.create(model="sandbox/echo", max_tokens=50, messages=MESSAGES)


@case(1, 1)
def supplier_failure():
    # The supplier may have worked on it, so it is not tried again.
    with raises(anthropic.InternalServerError, status_code=502, type="api_error"):
        create(model=failing("error"))


def broken(model):
    """The words that came, and the type of the error that ended them."""
    words = ""
    try:
        with client.messages.stream(model=model, max_tokens=50, messages=MESSAGES) as events:
            for text in events.text_stream:
                words += text
    except anthropic.APIError as error:
        return words, error.body["error"]["type"]
    raise AssertionError(f"{model}: taken for a whole answer")


@case(1, 1)
def in_stream_failure():
    assert broken(failing("error-event")) == ("say two words", "api_error")


@case(3, 3)
def cut():
    assert broken(failing("cut")) == ("say two words", "api_error")
    assert broken(failing("no-done")) == ("say two words", "api_error")
    # The supplier has spent Tokens on it, so it is not tried again.
    with raises(anthropic.InternalServerError, status_code=502, type="api_error"):
        create(model=failing("cut"))


main()
