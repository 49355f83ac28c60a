"""The langchain-openai package against our gateway: what its users see, case by case. Run by scripts/clients.sh."""

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from cases import KEY, POOR_KEY, RATED_KEY, URL, case, failing, main, raises

PROMPT = "say two words"
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}}}


def chat(model="sandbox/echo", key=KEY, **more):
    return ChatOpenAI(model=model, base_url=f"{URL}/v1", api_key=key, **more)


@case(3, 3)
def ok():
    assert chat().invoke(PROMPT).content == PROMPT
    assert chat(use_responses_api=True).invoke(PROMPT).content[0]["text"] == PROMPT
    # To check the length, it would fetch a tokenizer from the network.
    embeddings = OpenAIEmbeddings(model="sandbox/echo", base_url=f"{URL}/v1", api_key=KEY, check_embedding_ctx_length=False)
    assert [len(vector) for vector in embeddings.embed_documents(["one", "two"])] == [8, 8]


@case(2, 2)
def stream():
    for model in chat(), chat(use_responses_api=True):
        assert "".join(chunk.text for chunk in model.stream(PROMPT)) == PROMPT


@case(3, 3)
def usage():
    def counts(message):
        return message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]

    assert counts(chat().invoke(PROMPT)) == (6, 3)
    assert [counts(chunk) for chunk in chat(stream_usage=True).stream(PROMPT) if chunk.usage_metadata] == [(6, 3)]
    assert not any(chunk.usage_metadata for chunk in chat().stream(PROMPT))


@case(3, 3)
def tools():
    model = chat("sandbox/tool").bind_tools([TOOL])
    answer = model.invoke(PROMPT)
    call = answer.tool_calls[0]
    assert (call["name"], call["args"]) == ("look", {"text": PROMPT})
    assert model.invoke([HumanMessage(PROMPT), answer, ToolMessage("seen", tool_call_id=call["id"])]).content == "seen"
    pieces = [piece["args"] for chunk in model.stream(PROMPT) for piece in chunk.tool_call_chunks]
    assert "".join(pieces) == '{"text":"say two words"}'


@case(1, 0)
def quota():
    # Trying again would not help, and the answer says so.
    with raises(openai.RateLimitError, code="insufficient_quota"):
        chat(key=POOR_KEY).invoke(PROMPT)


@case(2, 1)
def rate():
    rated = chat(key=RATED_KEY, max_retries=0)
    rated.invoke(PROMPT)
    with raises(openai.RateLimitError, code="rate_limit_exceeded"):
        rated.invoke(PROMPT)


@case(1, 0)
def bad_key():
    with raises(openai.AuthenticationError, code="invalid_api_key"):
        chat(key="sk-toki-wrong").invoke(PROMPT)


@case(1, 1)
def supplier_failure():
    # The supplier may have worked on it, so it is not tried again.
    with raises(openai.InternalServerError, status_code=502, code="upstream_unavailable"):
        chat(failing("error")).invoke(PROMPT)


def broken(model):
    """The words that came, and the error that ended them."""
    words = ""
    try:
        for chunk in chat(model).stream(PROMPT):
            words += chunk.content
    except openai.APIError as error:
        return words, error.code
    raise AssertionError(f"{model}: taken for a whole answer")


@case(1, 1)
def in_stream_failure():
    assert broken(failing("error-event")) == (PROMPT, "upstream_error")


@case(3, 3)
def cut():
    assert broken(failing("cut")) == (PROMPT, "upstream_error")
    assert broken(failing("no-done")) == (PROMPT, "upstream_error")
    # The supplier has spent Tokens on it, so it is not tried again.
    with raises(openai.InternalServerError, status_code=502, code="upstream_error"):
        chat(failing("cut")).invoke(PROMPT)


main()
