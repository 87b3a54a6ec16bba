import { Client } from "stand-in-client";

export default class OpenAI extends Client {
  chat = {
    completions: {
      create: (body) => this.post("/chat/completions", body),
      parse: (body) => this.chat.completions.create(body)._thenUnwrap((answer) => ({ ...answer, parsed: true })),
    },
  };
  responses = { create: (body) => this.post("/responses", body) };
  embeddings = {
    create: (body) => this.post("/embeddings", { encoding_format: "base64", ...body })._thenUnwrap((answer) => answer),
  };
}
