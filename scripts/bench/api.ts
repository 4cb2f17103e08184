// Api: verbs as requests over one kept connection to an agent's socket, for preparing quickly. Not the CLI's client.
import * as http from "node:http";

export class Api implements Disposable {
  readonly #socket: string;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  constructor(socket: string) {
    this.#socket = socket;
  }

  /** Calls a verb and returns its result; a fault is thrown as an error with its message. */
  async call(verb: string, args: unknown = {}): Promise<unknown> {
    const body = JSON.stringify(args);
    const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
      const request = http.request({
        socketPath: this.#socket,
        agent: this.#agent,
        method: "POST",
        path: `/v1/${verb}`,
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      }, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => text += chunk);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        response.on("error", reject);
      });
      request.on("error", reject);
      request.end(body);
    });
    if (status !== 200) throw new Error(`${verb} answered ${status}: ${text}`);
    return JSON.parse(text);
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
