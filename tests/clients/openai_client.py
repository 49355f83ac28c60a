"""The openai package against our gateway: what its users see, case by case. Run by scripts/clients.sh."""

import openai
from openai import OpenAI

from cases import KEY, POOR_KEY, RATED_KEY, URL, case, failing, main, raises

MESSAGES = [{"role": "user", "content": "say two words"}]
TOOL = {"name": "look", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}}

# With the retries that everybody has.
client = OpenAI(base_url=f"{URL}/v1", api_key=KEY)


@case(6, 4)
def ok():
    chat = client.chat.completions.create(model="sandbox/echo", messages=MESSAGES)
    assert chat.choices[0].message.content == "say two words"
    completion = client.completions.create(model="sandbox/echo", prompt="say two words", n=2)
    assert [choice.text for choice in completion.choices] == ["say two words"] * 2
    embedding = client.embeddings.create(model="sandbox/echo", input=["one", "two"])
    assert [len(item.embedding) for item in embedding.data] == [8, 8]
    response = client.responses.create(model="sandbox/echo", input="say two words")
    assert response.output_text == "say two words"
    assert "sandbox/echo" in [model.id for model in client.models.list()]
    assert client.models.retrieve("sandbox/echo").owned_by == "sandbox"


@case(3, 3)
def stream():
    chunks = list(client.chat.completions.create(model="sandbox/echo", messages=MESSAGES, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "say two words"
    chunks = client.completions.create(model="sandbox/echo", prompt="say two words", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "say two words"
    with client.responses.stream(model="sandbox/echo", input="say two words") as events:
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "say two words"
        assert events.get_final_response().status == "completed"


@case(5, 5)
def usage():
    usage = client.chat.completions.create(model="sandbox/echo", messages=MESSAGES).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (6, 3)
    asked = client.chat.completions.create(
        model="sandbox/echo", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    assert [chunk.usage.total_tokens for chunk in asked if chunk.usage] == [9]
    unasked = client.chat.completions.create(model="sandbox/echo", messages=MESSAGES, stream=True)
    assert not any(chunk.usage for chunk in unasked)
    usage = client.responses.create(model="sandbox/echo", input="say two words").usage
    assert (usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens) == (6, 3, 0)
    raw = client.chat.completions.with_raw_response.create(model="sandbox/echo", messages=MESSAGES)
    assert raw.headers["x-toki-charged-tokens"] == "9"


@case(4, 4)
def tools():
    tools = [{"type": "function", "function": TOOL}]
    messages = list(MESSAGES)
    answer = client.chat.completions.create(model="sandbox/tool", messages=messages, tools=tools).choices[0]
    call = answer.message.tool_calls[0]
    assert (answer.finish_reason, call.function.name, call.function.arguments) == ("tool_calls", "look", '{"text":"say two words"}')
    messages += [answer.message, {"role": "tool", "tool_call_id": call.id, "content": "seen"}]
    assert client.chat.completions.create(model="sandbox/tool", messages=messages, tools=tools).choices[0].message.content == "seen"
    with client.chat.completions.stream(model="sandbox/tool", messages=MESSAGES, tools=tools) as events:
        assert events.get_final_completion().choices[0].message.tool_calls[0].function.arguments == call.function.arguments
    response = client.responses.create(model="sandbox/tool", input="say two words", tools=[{"type": "function", **TOOL}])
    assert (response.output[0].type, response.output[0].name) == ("function_call", "look")


@case(1, 0)
def quota():
    poor = OpenAI(base_url=f"{URL}/v1", api_key=POOR_KEY)
    # Trying again would not help, and the answer says so.
    with raises(openai.RateLimitError, code="insufficient_quota", type="insufficient_quota"):
        poor.chat.completions.create(model="sandbox/echo", messages=MESSAGES)


@case(2, 1)
def rate():
    rated = OpenAI(base_url=f"{URL}/v1", api_key=RATED_KEY, max_retries=0)
    rated.chat.completions.create(model="sandbox/echo", messages=MESSAGES)
    with raises(openai.RateLimitError, code="rate_limit_exceeded", type="rate_limit_error"):
        rated.chat.completions.create(model="sandbox/echo", messages=MESSAGES)


@case(3, 0)
def bad_key():
    stranger = OpenAI(base_url=f"{URL}/v1", api_key="sk-toki-wrong")
    for create in (
        lambda: stranger.chat.completions.create(model="sandbox/echo", messages=MESSAGES),
        lambda: stranger.responses.create(model="sandbox/echo", input="hi"),
        lambda: stranger.models.list(),
    ):
        with raises(openai.AuthenticationError, code="invalid_api_key", param=None):
            create()


@case(1, 1)
def supplier_failure():
    # The supplier may have worked on it, so it is not tried again.
    with raises(openai.InternalServerError, status_code=502, code="upstream_unavailable"):
        client.chat.completions.create(model=failing("error"), messages=MESSAGES)


def broken(model):
    """The words that came, and the error that ended them."""
    words = ""
    try:
        for chunk in client.chat.completions.create(model=model, messages=MESSAGES, stream=True):
            words += chunk.choices[0].delta.content or ""
    except openai.APIError as error:
        return words, error.code
    raise AssertionError(f"{model}: taken for a whole answer")


@case(2, 2)
def in_stream_failure():
    assert broken(failing("error-event")) == ("say two words", "upstream_error")
    with raises(openai.APIError, code="upstream_error"):
        for _ in client.responses.create(model=failing("error-event"), input="say two words", stream=True):
            pass


@case(3, 3)
def cut():
    assert broken(failing("cut")) == ("say two words", "upstream_error")
    assert broken(failing("no-done")) == ("say two words", "upstream_error")
    # The supplier has spent Tokens on it, so it is not tried again.
    with raises(openai.InternalServerError, status_code=502, code="upstream_error"):
        client.chat.completions.create(model=failing("cut"), messages=MESSAGES)


main()
