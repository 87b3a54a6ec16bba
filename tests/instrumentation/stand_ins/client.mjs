// What openai and @anthropic-ai/sdk have in common, as their code is: a promise that reads the body when it is awaited,
// a stream of server-sent events, an error for any answer that is none, and tries.
export class APIPromise extends Promise {
  constructor(responsePromise, parseResponse = parsed) {
    super((resolve) => resolve(null));
    this.responsePromise = responsePromise;
    this.parseResponse = parseResponse;
  }
  static get [Symbol.species]() {
    return Promise;
  }
  _thenUnwrap(transform) {
    return new APIPromise(this.responsePromise, async (client, props) => transform(await this.parseResponse(client, props)));
  }
  asResponse() {
    return this.responsePromise.then(({ response }) => response);
  }
  async withResponse() {
    const [data, response] = await Promise.all([this.parse(), this.asResponse()]);
    return { data, response };
  }
  parse() {
    this.parsedPromise ??= this.responsePromise.then((props) => this.parseResponse(null, props));
    return this.parsedPromise;
  }
  then(...handlers) {
    return this.parse().then(...handlers);
  }
  catch(handler) {
    return this.parse().catch(handler);
  }
  finally(handler) {
    return this.parse().finally(handler);
  }
}

async function parsed(_client, { response, stream, controller }) {
  return stream ? new Stream(() => events(response, controller), controller) : await response.json();
}

class Stream {
  constructor(iterator, controller) {
    this.iterator = iterator;
    this.controller = controller;
  }
  [Symbol.asyncIterator]() {
    return this.iterator();
  }
}

async function* events(response, controller) {
  let done = false;
  let text = "";
  try {
    for await (const bytes of response.body) {
      text += new TextDecoder().decode(bytes);
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const data = block.slice(block.indexOf("data: ") + "data: ".length);
        if (data === "[DONE]") done = true;
        else if (JSON.parse(data).type !== "ping") yield JSON.parse(data);
      }
    }
    done = true;
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  } finally {
    if (!done) controller.abort();
  }
}

export class Client {
  constructor({ baseURL, apiKey, maxRetries }) {
    Object.assign(this, { baseURL, apiKey, maxRetries });
  }
  post(path, body) {
    return new APIPromise(this.send(path, body));
  }
  async send(path, body) {
    const controller = new AbortController();
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${this.apiKey}` };
    for (let tries = 0; ; tries++) {
      const response = await fetch(this.baseURL + path, {
        method: "POST",
        body: JSON.stringify(body),
        headers,
        signal: controller.signal,
      });
      if (response.ok) return { response, stream: body.stream, controller };
      const said = await response.text();
      if (tries >= this.maxRetries) throw Object.assign(new Error(said), { status: response.status });
    }
  }
}
