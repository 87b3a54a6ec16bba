/** Counts the tokens of OpenAI and Anthropic clients by tenant, model and feature for Prometheus. Copy this file.
 *
 *     const client = countTokens(new OpenAI(), "openai"); // or new Anthropic(), "anthropic": once for each client
 *     await tokensOf("acme", "search", () => client.chat.completions.create({ ... })); // such as in a middleware
 *
 * It needs prom-client alone. What it counts and what it cannot see: docs/ai-instrumentation.md of unitcost.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { Counter } from "prom-client";

type Labels = { tenant: string; model: string; feature: string; provider: string };
type Reason = (typeof REASONS)[number];

const LABELS = ["tenant", "model", "feature", "provider"];
const DIRECTIONS = ["input", "output", "cache_read", "cache_write"]; // disjoint: input is what no cache took part in
const REASONS = ["failed", "left", "unsaid"] as const; // it threw; its stream was not read to the end; it says no usage
const OPENAI = ["chat.completions", "completions", "embeddings", "responses", "beta.responses"];
const ANTHROPIC = ["messages", "beta.messages"];
/** Combinations of labels; what comes beyond them counts as tenant and feature __other__. */
export const limit = { combinations: 1000 };

const counter = (name: string, help: string, more: string[]) =>
  new Counter({ name, help, labelNames: [...LABELS, ...more] });
const tokens = counter("ai_tokens_total", "Tokens of AI models, each in one direction.", ["direction"]);
const requests = counter("ai_requests_total", "Calls of AI models, whatever came of them.", []);
const without = counter("ai_requests_without_usage_total", "Calls that did not tell all their tokens.", ["reason"]);
const whose = new AsyncLocalStorage<{ tenant: string; feature: string }>();
const seen = new Set<string>();
const gone = new FinalizationRegistry<Call>((call) => call.end("left"));

/** Counts calls that begin in run, or in what it awaits, as a tenant's. */
export function tokensOf<T>(tenant: string, feature: string, run: () => T): T {
  return whose.run({ tenant, feature }, run);
}

/** Counts the calls of a client from now on, and returns it. The provider is openai, anthropic, azure or the like. */
export function countTokens<C extends object>(client: C, provider: string): C {
  for (const path of [...OPENAI, ...ANTHROPIC]) {
    const resource = path.split(".").reduce((found: any, name) => found?.[name], client);
    if (typeof resource?.create !== "function" || resource.create.counts) continue;
    const create = resource.create.bind(resource);
    resource.create = (body: any, ...rest: unknown[]) => {
      const call = new Call(body.model, provider);
      if (body.stream && path.endsWith("completions")) {
        const asked = body.stream_options?.include_usage;
        call.hides = asked == null; // who did not ask for a chunk without choices expects none
        body = { ...body, stream_options: { ...body.stream_options, include_usage: asked ?? true } };
      }
      try {
        return call.awaited(create(body, ...rest));
      } catch (error) {
        call.end("failed");
        throw error;
      }
    };
    resource.create.counts = true; // a client that is given twice counts once
  }
  return client;
}

/** One call: its series are there before it is sent, its tokens are added once. */
class Call {
  labels: Labels;
  tokens: Record<string, number> = {};
  whole = false;
  ended = false;
  hides = false;

  constructor(model: string | undefined, provider: string) {
    this.labels = { tenant: "", feature: "", ...whose.getStore(), model: model ?? "unknown", provider };
    if (!seen.has(JSON.stringify(this.labels)) && seen.size >= limit.combinations) {
      const known = seen.size < 2 * limit.combinations ? this.labels.model : "__other__";
      this.labels = { ...this.labels, tenant: "__other__", feature: "__other__", model: known };
    }
    seen.add(JSON.stringify(this.labels));
    for (const direction of DIRECTIONS) tokens.inc({ ...this.labels, direction }, 0);
    for (const reason of REASONS) without.inc({ ...this.labels, reason }, 0);
    requests.inc(this.labels);
  }

  /** Has the answer counted that a client's promise holds. The promise stays its own, and its body is read once. */
  awaited(promise: any): any {
    const failed = (error: unknown) => {
      this.end("failed");
      throw error;
    };
    const parse = promise.parseResponse;
    if (parse === undefined) return promise.then((answer: unknown) => this.answered(answer), failed);
    promise.parseResponse = (...given: unknown[]) =>
      parse.apply(promise, given).then((answer: unknown) => this.answered(answer), failed);
    promise.responsePromise.catch(() => this.end("failed"));
    return promise;
  }

  answered(answer: any): any {
    const key = "iterator" in answer ? "iterator" : Symbol.asyncIterator;
    const iterate = answer[key];
    if (typeof iterate === "function") {
      answer[key] = () => this.watched(iterate.call(answer), answer.controller?.signal);
      gone.register(answer, this);
    } else {
      this.see(answer);
      this.end("unsaid");
    }
    return answer;
  }

  async *watched(chunks: AsyncIterable<unknown>, signal?: AbortSignal): AsyncGenerator<unknown> {
    try {
      for await (const chunk of chunks) if (this.see(chunk)) yield chunk;
      this.end(signal?.aborted ? "left" : "unsaid");
    } finally {
      this.end("left");
    }
  }

  /** Remembers the usage of an answer or a chunk; tells whether the caller expects this chunk. */
  see(answer: any): boolean {
    for (const [holder, whole] of [[answer, true], [answer.response, true], [answer.message, false]]) {
      if (holder?.usage == null) continue;
      Object.assign(this.tokens, tokensIn(holder.usage));
      this.whole ||= whole; // Anthropic's first event has a message, and little output
    }
    return !this.hides || answer.choices?.length !== 0;
  }

  /** Counts what was seen, once; reason: why that is not all, where it is not. */
  end(reason: Reason): void {
    if (this.ended) return;
    this.ended = true;
    for (const direction in this.tokens) tokens.inc({ ...this.labels, direction }, this.tokens[direction]);
    if (!this.whole) without.inc({ ...this.labels, reason });
  }
}

/** Returns what a usage tells: OpenAI's input includes what a cache took part in, Anthropic's does not. */
function tokensIn(usage: any): Record<string, number> {
  const details = usage.prompt_tokens_details ?? usage.input_tokens_details;
  const cache_read = details?.cached_tokens ?? usage.cache_read_input_tokens;
  const cache_write = details?.cache_write_tokens ?? usage.cache_creation_input_tokens;
  const whole = usage.prompt_tokens ?? usage.input_tokens;
  const input = details && whole != null ? Math.max(whole - (cache_read ?? 0) - (cache_write ?? 0), 0) : whole;
  const said = { input, output: usage.completion_tokens ?? usage.output_tokens, cache_read, cache_write };
  return Object.fromEntries(Object.entries(said).filter(([, number]) => number != null));
}
