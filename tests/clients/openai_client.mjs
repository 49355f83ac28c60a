// The openai package for Node against our gateway: what its users see, case by case. Run by scripts/clients.sh.
import assert from "node:assert/strict";
import { failing, key, main, poorKey, ratedKey, require, sends, url } from "./cases.mjs";

const OpenAI = require("openai").default;

const messages = [{ role: "user", content: "say two words" }];
const parameters = { type: "object", properties: { text: { type: "string" } } };
// With the retries that everybody has.
const connect = (apiKey, more = {}) => new OpenAI({ baseURL: `${url}/v1`, apiKey, ...more });
const client = connect(key);

/** The words of a streamed chat, and the error that ended them, if one did. */
async function read(model) {
  let words = "";
  try {
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
      words += chunk.choices[0].delta.content ?? "";
    }
  } catch (error) {
    return [words, error.code];
  }
  return [words, undefined];
}

const cases = {
  ok: sends(5, 4, async () => {
    const chat = await client.chat.completions.create({ model: "sandbox/echo", messages });
    assert.equal(chat.choices[0].message.content, "say two words");
    const completion = await client.completions.create({ model: "sandbox/echo", prompt: "say two words" });
    assert.equal(completion.choices[0].text, "say two words");
    const embeddings = await client.embeddings.create({ model: "sandbox/echo", input: "one" });
    assert.equal(embeddings.data[0].embedding.length, 8);
    const response = await client.responses.create({ model: "sandbox/echo", input: "say two words" });
    assert.equal(response.output_text, "say two words");
    assert.ok((await client.models.list()).data.some((model) => model.id === "sandbox/echo"));
  }),
  stream: sends(2, 2, async () => {
    assert.deepEqual(await read("sandbox/echo"), ["say two words", undefined]);
    let words = "";
    for await (const event of await client.responses.create({ model: "sandbox/echo", input: "say two words", stream: true })) {
      if (event.type === "response.output_text.delta") words += event.delta;
    }
    assert.equal(words, "say two words");
  }),
  usage: sends(1, 1, async () => {
    const stream_options = { include_usage: true };
    const reports = [];
    for await (const chunk of await client.chat.completions.create({ model: "sandbox/echo", messages, stream: true, stream_options })) {
      if (chunk.usage) reports.push(chunk.usage.total_tokens);
    }
    assert.deepEqual(reports, [9]);
  }),
  tools: sends(2, 2, async () => {
    const tools = [{ type: "function", function: { name: "look", parameters } }];
    const stream = client.chat.completions.stream({ model: "sandbox/tool", messages, tools });
    const { message } = (await stream.finalChatCompletion()).choices[0];
    assert.equal(message.tool_calls[0].function.arguments, '{"text":"say two words"}');
    const turns = [...messages, message, { role: "tool", tool_call_id: message.tool_calls[0].id, content: "seen" }];
    const answer = await client.chat.completions.create({ model: "sandbox/tool", messages: turns, tools });
    assert.equal(answer.choices[0].message.content, "seen");
  }),
  // Trying again would not help, and the answer says so.
  quota: sends(1, 0, async () => {
    const call = connect(poorKey).chat.completions.create({ model: "sandbox/echo", messages });
    await assert.rejects(call, (error) => error instanceof OpenAI.RateLimitError && error.code === "insufficient_quota");
  }),
  rate: sends(2, 1, async () => {
    const rated = connect(ratedKey, { maxRetries: 0 });
    await rated.chat.completions.create({ model: "sandbox/echo", messages });
    const call = rated.chat.completions.create({ model: "sandbox/echo", messages });
    await assert.rejects(call, (error) => error instanceof OpenAI.RateLimitError && error.code === "rate_limit_exceeded");
  }),
  badKey: sends(1, 0, async () => {
    const call = connect("sk-toki-wrong").chat.completions.create({ model: "sandbox/echo", messages });
    await assert.rejects(call, (error) => error instanceof OpenAI.AuthenticationError && error.code === "invalid_api_key");
  }),
  // The supplier may have worked on it, so it is not tried again.
  supplierFailure: sends(1, 1, async () => {
    const call = client.chat.completions.create({ model: failing("error"), messages });
    await assert.rejects(call, (error) => error.status === 502 && error.code === "upstream_unavailable");
  }),
  inStreamFailure: sends(1, 1, async () => {
    assert.deepEqual(await read(failing("error-event")), ["say two words", "upstream_error"]);
  }),
  // The supplier has spent Tokens on it, so it is not tried again.
  cut: sends(3, 3, async () => {
    assert.deepEqual(await read(failing("cut")), ["say two words", "upstream_error"]);
    assert.deepEqual(await read(failing("no-done")), ["say two words", "upstream_error"]);
    const whole = client.chat.completions.create({ model: failing("cut"), messages });
    await assert.rejects(whole, (error) => error.status === 502 && error.code === "upstream_error");
  }),
};

await main("openai_client.mjs", cases);
