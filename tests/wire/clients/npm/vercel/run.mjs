// Calls a gateway through the Vercel AI SDK and prints what came back, as one JSON object.
// The environment names the gateway: BASE_URL and API_KEY.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";

const provider = createOpenAICompatible({
  name: "forebay",
  baseURL: process.env.BASE_URL,
  apiKey: process.env.API_KEY,
  includeUsage: true,
});

const anthropic = createAnthropic({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY });

const add = tool({
  description: "Add two numbers",
  inputSchema: z.object({ a: z.number(), b: z.number() }),
});

const tokens = ({ inputTokens, outputTokens, totalTokens }) => ({ inputTokens, outputTokens, totalTokens });

const call = (route, more) => ({ model: provider(route), prompt: "Say hello.", maxRetries: 0, ...more });

async function whole() {
  const result = await generateText(call("fast"));
  return { text: result.text, finish: result.finishReason, usage: tokens(result.usage) };
}

async function streamed() {
  const result = streamText(call("fast"));
  const deltas = [];
  for await (const delta of result.textStream) deltas.push(delta);
  return { deltas, finish: await result.finishReason, usage: tokens(await result.usage) };
}

async function toolCalled() {
  const result = await generateText(call("tools", { tools: { add } }));
  return result.toolCalls.map(({ toolName, input }) => ({ toolName, input }));
}

async function toolStreamed() {
  const result = streamText(call("tools", { tools: { add } }));
  return (await result.toolCalls).map(({ toolName, input }) => ({ toolName, input }));
}

const looping = () => ({
  ...call("loop"),
  model: anthropic("loop"),
  tools: { add: { ...add, execute: ({ a, b }) => a + b } },
  stopWhen: isStepCount(3),
});

async function looped() {
  const result = await generateText(looping());
  return { text: result.text, finish: result.finishReason, steps: result.steps.length };
}

async function loopStreamed() {
  const result = streamText(looping());
  return { text: await result.text, finish: await result.finishReason, steps: (await result.steps).length };
}

async function refused() {
  try {
    await generateText(call("no-such-model"));
    return null;
  } catch (error) {
    if (!APICallError.isInstance(error)) throw error;
    return { status: error.statusCode, message: error.message, body: JSON.parse(error.responseBody) };
  }
}

async function broken() {
  const seen = [];
  const result = streamText(call("cut", { onError: () => {} }));
  for await (const part of result.fullStream) seen.push(part.type);
  return seen;
}

const steps = { whole, streamed, toolCalled, toolStreamed, looped, loopStreamed, refused, broken };
const report = {};
for (const [name, step] of Object.entries(steps)) report[name] = await step();
console.log(JSON.stringify(report));
