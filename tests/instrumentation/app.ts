// An application that asks models for its tenants: POST /call makes a call, GET /metrics tells of all of them.
// The same as tests/fakes/instrumented_app.py in Python.
import { createServer } from "node:http";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { register } from "prom-client";
import { countTokens, limit, tokensOf } from "./ai_tokens.ts";

const [url, port, labels] = process.argv.slice(2);
limit.combinations = Number(labels);
const openai: any = countTokens(new OpenAI({ apiKey: "x", baseURL: `${url}/v1`, maxRetries: 1 }), "openai");
const anthropic: any = countTokens(new Anthropic({ apiKey: "x", baseURL: url, maxRetries: 1 }), "anthropic");
countTokens(openai, "openai"); // once more, which changes nothing

function ask(api: string, prompt: string, more: object): any {
  const messages = [{ role: "user", content: prompt }];
  if (api === "chat") return openai.chat.completions.create({ messages, ...more });
  if (api === "messages") return anthropic.messages.create({ messages, max_tokens: 1000, ...more });
  if (api === "parse") return openai.chat.completions.parse({ messages, ...more });
  if (api === "raw") return openai.chat.completions.create({ messages, ...more }).withResponse();
  if (api === "stream") return anthropic.messages.stream({ messages, max_tokens: 1000, ...more }).finalMessage();
  return openai[api].create({ input: prompt, ...more });
}

/** Makes a call and reads its stream to the end, or leaves it after its first chunk, or aborts it, or reads none. */
async function call(api: string, prompt: string, read: string, more: object): Promise<number> {
  const answer = await ask(api, prompt, more);
  let chunks = 0;
  if (!("stream" in more) || read === "none") return chunks;
  for await (const _ of answer) {
    chunks += 1;
    if (read === "first") break;
    if (read === "abort") answer.controller.abort();
  }
  return chunks;
}

const server = createServer(async (request, response) => {
  if (request.method === "GET") {
    globalThis.gc?.();
    await new Promise((done) => setTimeout(done, 20)); // in which what is gone may tell it
    response.end(await register.metrics());
    return;
  }
  let body = "";
  for await (const part of request) body += part;
  const { tenant, feature, api, prompt, read, more } = JSON.parse(body);
  const answer = await tokensOf(tenant, feature, () => call(api, prompt, read, more)).then(
    (chunks) => ({ chunks }),
    (error) => ({ error: String(error.status ?? error.name) }),
  );
  response.end(JSON.stringify(answer));
});
server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${(server.address() as any).port}`));
