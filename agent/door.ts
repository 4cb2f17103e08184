// Door: one listening socket per permitted uid, so that the kernel says who is calling. The second gate asks it again.
// Not what callers may do (api.ts and the roles), and no identity is ever read from what a client sends.
import * as fs from "node:fs";
import * as http from "node:http";
import type * as net from "node:net";
import type { Duplex } from "node:stream";
import { type Clock, Fault, peerCredentials } from "../mq/mod.ts";
import { PROBLEM, problemOf } from "./api_problem.ts";
import type { Peer } from "./caller.ts";
import { foreignness } from "./foreign.ts";
import type { Actor } from "./host.ts";
import { connectionsPerUidMax, doorCloseMs, requestBytesMax, requestHeadMs } from "./limits.ts";
import { type Home, socketOf } from "./paths.ts";
import { userByUid } from "./users.ts";

export interface DoorHandlers {
  request(actor: Actor, req: http.IncomingMessage, res: http.ServerResponse): void;
  upgrade(actor: Actor, req: http.IncomingMessage, socket: Duplex, head: Uint8Array): void;
}

/** The doors of one agent. Each is a file of mode 0600 that belongs to its uid. */
export class Doors {
  readonly #o: { home: Home; handlers: DoorHandlers; clock: Clock; log(line: string): void };
  readonly #open = new Map<number, { server: http.Server; sockets: Set<net.Socket> }>();

  /** Takes away what an agent before has left: the lock on this home is ours. */
  constructor(options: { home: Home; handlers: DoorHandlers; clock: Clock; log(line: string): void }) {
    this.#o = options;
    const { run } = options.home;
    for (const name of fs.readdirSync(run)) {
      if (name.endsWith(".sock")) fs.rmSync(`${run}/${name}`, { force: true });
    }
  }

  /** Opens a door for each of these uids, and shuts those of all others, whose connections end. */
  async settle(uids: readonly number[]): Promise<void> {
    for (const uid of [...this.#open.keys()]) if (!uids.includes(uid)) void this.#shut(uid, 0);
    for (const uid of uids) if (!this.#open.has(uid)) await this.#add(uid);
  }

  async #add(uid: number): Promise<void> {
    const { home, handlers, log } = this.#o;
    const server = makeServer({ uid, name: userByUid(uid)?.name ?? String(uid) }, handlers, log);
    const sockets = new Set<net.Socket>(); // those of executed commands too, which a server forgets at the Upgrade
    server.on("connection", (socket: net.Socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    });
    const file = socketOf(home, uid);
    await listen(server, file);
    if (process.geteuid?.() === 0) fs.chownSync(file, uid, 0);
    this.#open.set(uid, { server, sockets });
  }

  /** Shuts one. Answers that are under way are given in `graceMs`; who still waits then is cut off. */
  async #shut(uid: number, graceMs: number): Promise<void> {
    const { server, sockets } = this.#open.get(uid)!;
    this.#open.delete(uid);
    fs.rmSync(socketOf(this.#o.home, uid), { force: true });
    const cut = this.#o.clock.after(graceMs, () => sockets.forEach((socket) => socket.destroy()));
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
    cut();
  }

  /** Shuts all. */
  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((uid) => this.#shut(uid, doorCloseMs)));
  }
}

/** Binds with a umask under which the file is nobody's but ours until it is handed over. */
function listen(server: http.Server, file: string): Promise<void> {
  const before = process.umask(0o177);
  try {
    return new Promise((resolve, reject) => {
      server.once("error", (e) => reject(Fault.from("start", e)));
      server.listen({ path: file }, () => resolve());
    });
  } finally {
    process.umask(before);
  }
}

function makeServer(actor: Actor, handlers: DoorHandlers, log: (line: string) => void): http.Server {
  const server = http.createServer({
    headersTimeout: requestHeadMs,
    connectionsCheckingInterval: 1_000,
    requestTimeout: 0,
    keepAliveTimeout: 5_000,
    maxHeaderSize: 64 * 1024,
    insecureHTTPParser: false,
  });
  server.maxConnections = connectionsPerUidMax;
  const peers = new WeakMap<net.Socket, Peer>();
  const foreign = new WeakMap<Duplex, Fault>();
  const said = new Set<string>(); // each reason is logged once, however often somebody comes
  const isCaller = (socket: net.Socket): boolean => {
    try {
      const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd;
      if (fd === undefined || fd < 0) return false;
      const { uid, pid } = peerCredentials(fd);
      if (uid !== actor.uid && uid !== 0) return false;
      peers.set(socket, { uid, pid });
      const why = foreignness({ uid, pid });
      if (why !== undefined) {
        foreign.set(socket, refusal(why));
        if (!said.has(why)) log(`a caller on the socket of uid ${actor.uid} was not let in: ${why}`);
        said.add(why);
      }
      return true;
    } catch (e) {
      log(
        `a caller on the socket of uid ${actor.uid} could not be identified: ${
          Fault.from("door", e).message
        }`,
      );
      return false;
    }
  };
  server.on("connection", (socket: net.Socket) => {
    if (!isCaller(socket)) socket.destroy();
  });
  server.on("request", (req, res) => {
    const fault = foreign.get(req.socket);
    if (fault !== undefined) {
      const head = { "content-type": PROBLEM, connection: "close" };
      return void res.writeHead(fault.http, head).end(JSON.stringify(problemOf(fault)));
    }
    if (Number(req.headers["content-length"] ?? 0) > requestBytesMax && !isStream(req)) {
      res.writeHead(413, { connection: "close" }).end();
      return;
    }
    handlers.request({ ...actor, peer: peers.get(req.socket)! }, req, res);
  });
  server.on("upgrade", (req, socket, head) => {
    socket.on("error", () => socket.destroy()); // a caller that went away
    const fault = foreign.get(socket);
    if (fault !== undefined) {
      const body = JSON.stringify(problemOf(fault));
      const head = `content-type: ${PROBLEM}\r\nconnection: close\r\ncontent-length: ${
        Buffer.byteLength(body)
      }`;
      return void socket.end(`HTTP/1.1 403 Forbidden\r\n${head}\r\n\r\n${body}`);
    }
    handlers.upgrade({ ...actor, peer: peers.get(req.socket)! }, req, socket, head);
  });
  server.on("clientError", (_e, socket) => socket.destroy());
  return server;
}

const refusal = (why: string) =>
  new Fault("door", "denied", `this caller is not let in: ${why}`, {
    hint: "readlink /proc/$$/root /proc/$$/ns/user: from a container or chroot nobody is let in",
  });

/** Bodies of any length: blobs and bundles. */
function isStream(req: http.IncomingMessage): boolean {
  return req.method === "PUT";
}
