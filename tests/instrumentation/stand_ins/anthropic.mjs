import { Client } from "stand-in-client";

export default class Anthropic extends Client {
  messages = {
    create: (body) => this.post("/v1/messages", body),
    stream: (body) => ({
      finalMessage: async () => {
        const { data } = await this.messages.create({ ...body, stream: true }).withResponse();
        let message;
        for await (const event of data) {
          if (event.type === "message_start") message = event.message;
          if (event.type === "message_delta") Object.assign(message.usage, event.usage);
        }
        return message;
      },
    }),
  };
}
