// Bridge: the page's files and the API of one agent on a port of loopback, for a browser in tests; and what can go wrong between them, on
// purpose. No product: what people open is served by the agent's net half.
import { once } from "node:events";
import * as http from "node:http";
import type * as net from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { pageFile } from "../../agent/mod.ts";

/** Who answers the API: an agent's socket, or a made one. */
export type Behind = string | ((req: http.IncomingMessage) => Made | Promise<Made>);

/** An answer that no agent gave. */
export interface Made {
  status: number;
  body: unknown;
}

/** What goes wrong with answers whose path begins with `path`. */
export interface Trouble {
  path: string;
  /** They come so much later. */
  delayMs?: number;
  /** Their connection is cut after so many bytes. */
  cutBytes?: number;
  /** This is sent instead, with status 200. */
  garbage?: string;
}

export interface Bridge {
  /** Where the page is. */
  url: string;
  token: string;
  /** May be changed while a page is open. */
  troubles: Trouble[];
  /** Events that are told, in the form of `/v1/events`; until there is one, there are none to be had. */
  events: Told;
  /** Ends it, or, while `up` is false, refuses connections as an agent that has ended. */
  close(): Promise<void>;
}

/** Events of one bridge, and who listens to them. */
export class Told {
  readonly #all: { id: string; type: string; data: string }[] = [];
  readonly #listening = new Set<http.ServerResponse>();
  /** The cursors that were asked for. */
  readonly after: string[] = [];
  isOn = false;

  tell(type: string, source: string, data: unknown): void {
    const id = String(this.#all.length + 1);
    const event = {
      specversion: "1.0",
      id,
      source,
      host: source.replace(/^\/host\//, ""),
      type,
      subject: "",
      time: new Date().toISOString(),
      datacontenttype: "application/json",
      data,
    };
    const one = { id, type, data: JSON.stringify(event) };
    this.#all.push(one);
    for (const res of this.#listening) send(res, one);
  }

  listen(res: http.ServerResponse, after: string): void {
    this.after.push(after);
    res.writeHead(200, { "content-type": "text/event-stream" });
    res.write(": open\n\n");
    for (const one of this.#all) if (Number(one.id) > Number(after)) send(res, one);
    this.#listening.add(res);
    res.on("close", () => this.#listening.delete(res));
  }

  /** Ends every stream, as a restart of the agent does. */
  cut(): void {
    for (const res of this.#listening) res.destroy();
  }
}

function send(
  res: http.ServerResponse,
  { id, type, data }: { id: string; type: string; data: string },
): void {
  res.write(`id: ${id}\nevent: ${type}\ndata: ${data}\n\n`);
}

type Test = { after(fn: () => Promise<void>): void };

/** Serves until the test ends. */
export async function makeBridge(t: Test, behind: Behind): Promise<Bridge> {
  const token = `test-${crypto.randomUUID()}`;
  const bridge = { token, troubles: [] as Trouble[], events: new Told() };
  const server = http.createServer((req, res) => {
    void answer(bridge, behind, req, res).catch(() => res.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = async () => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  t.after(close);
  const { port } = server.address() as net.AddressInfo;
  return Object.assign(bridge, { url: `http://127.0.0.1:${port}/`, close });
}

async function answer(
  { token, troubles, events }: Pick<Bridge, "token" | "troubles" | "events">,
  behind: Behind,
  req: http.IncomingMessage,
  res: http.ServerResponse,
): Promise<void> {
  const { pathname, searchParams } = new URL(req.url ?? "/", "http://bridge");
  if (!pathname.startsWith("/v1/")) {
    const file = pageFile(pathname);
    if (file === undefined) return void res.writeHead(404).end();
    return void res.writeHead(200, file.headers).end(file.body);
  }
  if (req.headers.authorization !== `Bearer ${token}`) {
    return say(res, 401, problem("denied", "this token is not known, or was revoked", "isconf token api"));
  }
  const trouble = troubles.find(({ path }) => pathname.startsWith(path));
  if (trouble?.delayMs !== undefined) await pause(trouble.delayMs);
  if (trouble?.garbage !== undefined) {
    return void res.writeHead(200, { "content-type": "application/json" }).end(trouble.garbage);
  }
  if (pathname === "/v1/events" && events.isOn) return events.listen(res, searchParams.get("after") ?? "0");
  if (typeof behind !== "string") {
    const { status, body } = await behind(req);
    return say(res, status, body, trouble?.cutBytes);
  }
  const { authorization: _, host: __, ...headers } = req.headers;
  const onward = http.request({
    socketPath: behind,
    method: req.method,
    path: req.url,
    headers,
    agent: false,
  });
  onward.on("error", () => res.destroy());
  req.pipe(onward);
  const [from] = await once(onward, "response") as [http.IncomingMessage];
  res.writeHead(from.statusCode ?? 502, from.headers);
  let bytes = 0;
  for await (const chunk of from as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (trouble?.cutBytes !== undefined && bytes > trouble.cutBytes) return void res.destroy();
    res.write(chunk);
  }
  res.end();
}

/** A problem as the agent says it. */
export function problem(kind: string, detail: string, hint: string): Record<string, unknown> {
  return { type: "about:blank", title: kind, kind, detail, hint, op: "test", exit: 77 };
}

function say(res: http.ServerResponse, status: number, body: unknown, cutBytes?: number): void {
  const type = status < 400 ? "application/json" : "application/problem+json";
  const text = JSON.stringify(body);
  if (cutBytes === undefined) return void res.writeHead(status, { "content-type": type }).end(text);
  res.writeHead(status, { "content-type": type, "content-length": String(text.length) });
  res.write(text.slice(0, cutBytes), () => res.destroy());
}
