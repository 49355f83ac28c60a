"""The openai package against our gateway: what its users see, case by case. Run by scripts/clients.sh."""

import openai
from openai import OpenAI

from cases import KEY, POOR_KEY, URL, case, client_with_count, main

MESSAGES = [{"role": "user", "content": "say two words"}]
TOOL = {"name": "look", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}}

client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)


@case
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


@case
def stream():
    chunks = list(client.chat.completions.create(model="sandbox/echo", messages=MESSAGES, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "say two words"
    chunks = client.completions.create(model="sandbox/echo", prompt="say two words", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "say two words"
    with client.responses.stream(model="sandbox/echo", input="say two words") as events:
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "say two words"
        assert events.get_final_response().status == "completed"


@case
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


@case
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


@case
def quota():
    http_client, requests = client_with_count()
    poor = OpenAI(base_url=f"{URL}/v1", api_key=POOR_KEY, http_client=http_client)
    try:
        poor.chat.completions.create(model="sandbox/echo", messages=MESSAGES)
    except openai.RateLimitError as error:
        assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota")
    else:
        raise AssertionError("served")
    # Trying again would not help, and the answer says so.
    assert len(requests) == 1


@case
def bad_key():
    for create in (
        lambda bad: bad.chat.completions.create(model="sandbox/echo", messages=MESSAGES),
        lambda bad: bad.responses.create(model="sandbox/echo", input="hi"),
        lambda bad: bad.models.list(),
    ):
        try:
            create(OpenAI(base_url=f"{URL}/v1", api_key="sk-toki-wrong"))
        except openai.AuthenticationError as error:
            assert error.code == "invalid_api_key" and error.param is None
        else:
            raise AssertionError("served")


def broken(model):
    """The words that came, and the error that ended them."""
    words = ""
    try:
        for chunk in client.chat.completions.create(model=model, messages=MESSAGES, stream=True):
            words += chunk.choices[0].delta.content or ""
    except openai.APIError as error:
        return words, error.code
    raise AssertionError(f"{model}: taken for a whole answer")


@case
def in_stream_failure():
    assert broken("sandbox/error-event") == ("say two words", "upstream_error")
    try:
        events = [event.type for event in client.responses.create(model="sandbox/error-event", input="say two words", stream=True)]
        assert events[-1] == "error"
    except openai.APIError as error:
        assert error.code == "upstream_error"


@case
def cut():
    assert broken("sandbox/cut") == ("say two words", "upstream_error")
    assert broken("sandbox/no-done") == ("say two words", "upstream_error")
    try:
        client.chat.completions.create(model="sandbox/cut", messages=MESSAGES)
    except openai.InternalServerError as error:
        assert (error.status_code, error.code) == (502, "upstream_error")
    else:
        raise AssertionError("served")


main()
