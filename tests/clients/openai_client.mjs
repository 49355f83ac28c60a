// The openai package for Node against our gateway: what its users see, case by case. Run by scripts/clients.sh.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

// Installed once, for the browser tests.
const require = createRequire(new URL("../../end2end/package.json", import.meta.url));
const OpenAI = require("openai").default;

const { CLIENTS_URL, CLIENTS_KEY, CLIENTS_POOR_KEY } = process.env;
const messages = [{ role: "user", content: "say two words" }];
const parameters = { type: "object", properties: { text: { type: "string" } } };
const connect = (apiKey, more = {}) => new OpenAI({ baseURL: `${CLIENTS_URL}/v1`, apiKey, maxRetries: 0, ...more });
const client = connect(CLIENTS_KEY);

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
  async ok() {
    const chat = await client.chat.completions.create({ model: "sandbox/echo", messages });
    assert.equal(chat.choices[0].message.content, "say two words");
    const completion = await client.completions.create({ model: "sandbox/echo", prompt: "say two words" });
    assert.equal(completion.choices[0].text, "say two words");
    const embeddings = await client.embeddings.create({ model: "sandbox/echo", input: "one" });
    assert.equal(embeddings.data[0].embedding.length, 8);
    const response = await client.responses.create({ model: "sandbox/echo", input: "say two words" });
    assert.equal(response.output_text, "say two words");
    assert.ok((await client.models.list()).data.some((model) => model.id === "sandbox/echo"));
  },
  async stream() {
    assert.deepEqual(await read("sandbox/echo"), ["say two words", undefined]);
    let words = "";
    for await (const event of await client.responses.create({ model: "sandbox/echo", input: "say two words", stream: true })) {
      if (event.type === "response.output_text.delta") words += event.delta;
    }
    assert.equal(words, "say two words");
  },
  async usage() {
    const stream_options = { include_usage: true };
    const reports = [];
    for await (const chunk of await client.chat.completions.create({ model: "sandbox/echo", messages, stream: true, stream_options })) {
      if (chunk.usage) reports.push(chunk.usage.total_tokens);
    }
    assert.deepEqual(reports, [9]);
  },
  async tools() {
    const tools = [{ type: "function", function: { name: "look", parameters } }];
    const stream = client.chat.completions.stream({ model: "sandbox/tool", messages, tools });
    const { message } = (await stream.finalChatCompletion()).choices[0];
    assert.equal(message.tool_calls[0].function.arguments, '{"text":"say two words"}');
    const turns = [...messages, message, { role: "tool", tool_call_id: message.tool_calls[0].id, content: "seen" }];
    const answer = await client.chat.completions.create({ model: "sandbox/tool", messages: turns, tools });
    assert.equal(answer.choices[0].message.content, "seen");
  },
  async quota() {
    let requests = 0;
    const counting = (url, init) => ((requests += 1), fetch(url, init));
    const poor = connect(CLIENTS_POOR_KEY, { maxRetries: 2, fetch: counting });
    const call = poor.chat.completions.create({ model: "sandbox/echo", messages });
    await assert.rejects(call, (error) => error instanceof OpenAI.RateLimitError && error.code === "insufficient_quota");
    assert.equal(requests, 1);
  },
  async badKey() {
    const call = connect("sk-toki-wrong").chat.completions.create({ model: "sandbox/echo", messages });
    await assert.rejects(call, (error) => error instanceof OpenAI.AuthenticationError && error.code === "invalid_api_key");
  },
  async inStreamFailure() {
    assert.deepEqual(await read("sandbox/error-event"), ["say two words", "upstream_error"]);
  },
  async cut() {
    assert.deepEqual(await read("sandbox/cut"), ["say two words", "upstream_error"]);
    assert.deepEqual(await read("sandbox/no-done"), ["say two words", "upstream_error"]);
    const whole = client.chat.completions.create({ model: "sandbox/cut", messages });
    await assert.rejects(whole, (error) => error.status === 502 && error.code === "upstream_error");
  },
};

const failed = [];
for (const [name, run] of Object.entries(cases)) {
  await run().catch((error) => {
    console.error(error);
    failed.push(name);
  });
}
const count = Object.keys(cases).length;
console.log(`openai_client.mjs: ${count - failed.length} of ${count} cases as they should be`, ...failed);
process.exit(failed.length ? 1 : 0);
