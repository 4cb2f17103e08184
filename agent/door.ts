// Door: one listening socket per permitted uid, so that the kernel says who is calling. The second gate asks it again.
// Not what callers may do (api.ts and the roles), and no identity is ever read from what a client sends.
import * as fs from "node:fs";
import * as http from "node:http";
import type * as net from "node:net";
import type { Duplex } from "node:stream";
import { type Clock, Fault, peerCredentials } from "../mq/mod.ts";
import type { Actor } from "./host.ts";
import { connectionsPerUidMax, doorCloseMs, requestBytesMax, requestHeadMs } from "./limits.ts";
import { type Home, socketOf } from "./paths.ts";
import { userByUid } from "./users.ts";

export interface DoorHandlers {
  request(actor: Actor, req: http.IncomingMessage, res: http.ServerResponse): void;
  upgrade(actor: Actor, req: http.IncomingMessage, socket: Duplex, head: Uint8Array): void;
}

/** Opens the doors of these uids. Each is a file of mode 0600 that belongs to its uid. */
export async function openDoors(
  home: Home,
  uids: number[],
  handlers: DoorHandlers,
  clock: Clock,
  log: (line: string) => void,
): Promise<{ close(): Promise<void> }> {
  const servers: { server: http.Server; file: string }[] = [];
  for (const name of fs.readdirSync(home.run)) {
    if (name.endsWith(".sock")) fs.rmSync(`${home.run}/${name}`, { force: true }); // the lock on this home is ours
  }
  const sockets = new Set<net.Socket>(); // those of executed commands too, which a server forgets at the Upgrade
  for (const uid of new Set(uids)) {
    const actor: Actor = { uid, name: userByUid(uid)?.name ?? String(uid) };
    const file = socketOf(home, uid);
    const server = makeServer(actor, handlers, log);
    server.on("connection", (socket: net.Socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    });
    await listen(server, file);
    if (process.geteuid?.() === 0) fs.chownSync(file, uid, 0);
    servers.push({ server, file });
  }
  return {
    async close() {
      // Answers that are under way are given; who waits for a turn that will not come is cut off.
      const cut = clock.after(doorCloseMs, () => sockets.forEach((socket) => socket.destroy()));
      await Promise.all(servers.map(({ server, file }) => {
        fs.rmSync(file, { force: true });
        return new Promise<void>((resolve) => {
          server.close(() => resolve());
          server.closeIdleConnections();
        });
      }));
      cut();
    },
  };
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
  const isCaller = (socket: net.Socket): boolean => {
    try {
      const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd;
      if (fd === undefined || fd < 0) return false;
      const { uid } = peerCredentials(fd);
      return uid === actor.uid || uid === 0;
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
    if (Number(req.headers["content-length"] ?? 0) > requestBytesMax && !isStream(req)) {
      res.writeHead(413, { connection: "close" }).end();
      return;
    }
    handlers.request(actor, req, res);
  });
  server.on("upgrade", (req, socket, head) => handlers.upgrade(actor, req, socket, head));
  server.on("clientError", (_e, socket) => socket.destroy());
  return server;
}

/** Bodies of any length: blobs and bundles. */
function isStream(req: http.IncomingMessage): boolean {
  return req.method === "PUT";
}
