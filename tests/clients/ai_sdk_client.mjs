// @ai-sdk/openai-compatible, driven by the ai package, against our gateway: what its users see, case by case. Run by scripts/clients.sh.
//
// It has never heard of `x-should-retry`: whatever answers 429 or 5xx is sent again, twice unless told otherwise. So its users send
// three requests where the other clients send one; none of the extra ones of a refused call reaches the supplier.
import assert from "node:assert/strict";
import { failing, key, main, poorKey, ratedKey, require, sends, url } from "./cases.mjs";

const { createOpenAICompatible } = require("@ai-sdk/openai-compatible");
const { embedMany, generateText, jsonSchema, stepCountIs, streamText, tool } = require("ai");

const prompt = "say two words";
const connect = (apiKey) => createOpenAICompatible({ name: "toki", baseURL: `${url}/v1`, apiKey, includeUsage: true });
const toki = connect(key);
const input = { inputSchema: jsonSchema({ type: "object", properties: { text: { type: "string" } } }) };
const tools = { look: tool({ ...input, execute: async ({ text }) => `seen: ${text}` }) };

/** What a stream consists of, by the types of its parts. */
async function read(model) {
  const seen = { words: "", errors: [], inputs: [], usage: undefined };
  for await (const part of streamText({ model: toki(model), prompt, tools, onError() {} }).fullStream) {
    if (part.type === "text-delta") seen.words += part.text;
    if (part.type === "error") seen.errors.push(part.error.message);
    if (part.type === "tool-call") seen.inputs.push(part.input);
    if (part.type === "finish") seen.usage = part.totalUsage;
  }
  return seen;
}

/** The failure that the last try met. */
const failsWith = (status, code) => (error) => {
  const { statusCode, data } = error.lastError ?? error;
  assert.deepEqual([statusCode, data.error.code], [status, code]);
  return true;
};

const cases = {
  ok: sends(3, 3, async () => {
    assert.equal((await generateText({ model: toki("sandbox/echo"), prompt })).text, "say two words");
    assert.match((await generateText({ model: toki.completionModel("sandbox/echo"), prompt })).text, /say two words/);
    const { embeddings } = await embedMany({ model: toki.embeddingModel("sandbox/echo"), values: ["one", "two"] });
    assert.deepEqual(embeddings.map((vector) => vector.length), [8, 8]);
  }),
  stream: sends(1, 1, async () => {
    const { words, errors } = await read("sandbox/echo");
    assert.deepEqual([words, errors], ["say two words", []]);
  }),
  usage: sends(2, 2, async () => {
    const { usage } = await generateText({ model: toki("sandbox/echo"), prompt });
    for (const counted of [usage, (await read("sandbox/echo")).usage]) {
      assert.deepEqual([counted.inputTokens, counted.outputTokens, counted.totalTokens], [6, 3, 9]);
    }
  }),
  tools: sends(3, 3, async () => {
    const { text, steps } = await generateText({ model: toki("sandbox/tool"), prompt, tools, stopWhen: stepCountIs(3) });
    assert.deepEqual([text, steps.length, steps[0].toolCalls[0].input], ["seen: say two words", 2, { text: "say two words" }]);
    assert.deepEqual((await read("sandbox/tool")).inputs, [{ text: "say two words" }]);
  }),
  quota: sends(3, 0, async () => {
    await assert.rejects(generateText({ model: connect(poorKey)("sandbox/echo"), prompt }), failsWith(429, "insufficient_quota"));
  }),
  rate: sends(2, 1, async () => {
    const model = connect(ratedKey)("sandbox/echo");
    await generateText({ model, prompt, maxRetries: 0 });
    await assert.rejects(generateText({ model, prompt, maxRetries: 0 }), failsWith(429, "rate_limit_exceeded"));
  }),
  badKey: sends(1, 0, async () => {
    await assert.rejects(generateText({ model: connect("sk-toki-wrong")("sandbox/echo"), prompt }), failsWith(401, "invalid_api_key"));
  }),
  // The answer says that it should not be tried again; of that this client knows nothing, and each try is a call of its own.
  supplierFailure: sends(3, 3, async () => {
    await assert.rejects(generateText({ model: toki(failing("error")), prompt }), failsWith(502, "upstream_unavailable"));
  }),
  inStreamFailure: sends(1, 1, async () => {
    const { words, errors } = await read(failing("error-event"));
    assert.equal(words, "say two words");
    assert.match(errors.join(), /broke off/);
  }),
  cut: sends(3, 3, async () => {
    for (const model of [failing("cut"), failing("no-done")]) {
      const { words, errors } = await read(model);
      assert.equal(words, "say two words");
      assert.match(errors.join(), /broke off/);
    }
    const whole = generateText({ model: toki(failing("cut")), prompt, maxRetries: 0 });
    await assert.rejects(whole, failsWith(502, "upstream_error"));
  }),
};

await main("ai_sdk_client.mjs", cases);
