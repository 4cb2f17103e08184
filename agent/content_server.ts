// Content server: the socket on which command lines reach the store, and who may: those whom the root half has let in. The
// kernel says who calls. What is served is in content_session.ts; that it runs in a thread of its own, content_thread.ts.
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { Catalog, openStoreDatabase, type RoomLimits, SqliteStore } from "../fs/mod.ts";
import { type Clock, closeFd, errnoCode, Fault, peerCredentials, receiveFiles, sleep } from "../mq/mod.ts";
import { type ContentParts, serveContent } from "./content_session.ts";
import { CONTENT_MAY, type ContentMay } from "./content.ts";
import { contentAdmitMs, contentHelloMs, contentSessionsMax } from "./limits.ts";

export interface ContentServerOptions extends Pick<ContentParts, "clock" | "fetch" | "announce"> {
  /** The net half's own directory, where the store is. */
  dir: string;
  /** Path of the socket. */
  socket: string;
  log(line: string): void;
}

export class ContentServer {
  readonly parts: ContentParts;
  readonly #o: ContentServerOptions;
  readonly #server = net.createServer({ pauseOnConnect: true });
  /** Who may do what, and until when. */
  readonly #admitted = new Map<string, number>();
  readonly #sockets = new Set<net.Socket>();

  /** Opens the store. Nobody can call before {@link listen}. */
  constructor(options: ContentServerOptions) {
    this.#o = options;
    const db = openStoreDatabase(path.join(options.dir, "store.db"));
    const stores = { plain: new SqliteStore(db), compressing: new SqliteStore(db, { compress: true }) };
    this.parts = { ...options, stores, catalog: new Catalog(db) };
    this.#server.maxConnections = contentSessionsMax;
    this.#server.on("connection", (socket: net.Socket) => void this.#serve(socket));
  }

  /** Connections that are open. */
  get sessions(): number {
    return this.#sockets.size;
  }

  /** Resolves when callers find the socket. */
  async listen(): Promise<void> {
    const { socket } = this.#o;
    fs.rmSync(socket, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (e) => reject(Fault.from("store", e)));
      this.#server.listen(socket, () => resolve());
    });
    fs.chmodSync(socket, 0o666); // whoever gets in is asked by the kernel who he is
  }

  /** How much of its disk the store may take. */
  limit(limits: RoomLimits): void {
    for (const store of Object.values(this.parts.stores)) store.packs.room.limits = limits;
  }

  /** A connection that `uid` opens soon may be used for this; for what is not said again it has to be asked for anew. */
  admit(uid: number, may: ContentMay): void {
    const now = this.#o.clock.now();
    for (const [key, untilMs] of this.#admitted) if (untilMs < now) this.#admitted.delete(key);
    this.#admitted.set(`${uid} ${may}`, now + contentAdmitMs);
  }

  /** What a connection of this user is good for now. The agent's own user needs nobody's leave. */
  #mayOf(uid: number): ReadonlySet<ContentMay> {
    const isOwn = uid === (process.geteuid?.() ?? 0);
    const now = this.#o.clock.now();
    return new Set(CONTENT_MAY.filter((may) => isOwn || (this.#admitted.get(`${uid} ${may}`) ?? -1) >= now));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const { plain, compressing } = this.parts.stores;
    plain.close();
    compressing.close();
    plain.db.close();
  }

  async #serve(socket: net.Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy()); // that it ended is all there is to know
    let files: number[] = [];
    try {
      const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
      const { uid } = peerCredentials(fd);
      const may = this.#mayOf(uid);
      if (may.size === 0) return void socket.destroy();
      files = await firstFiles(fd, socket, this.#o.clock);
      await serveContent(socket, { uid, file: files[0], may }, this.parts);
    } catch (e) {
      this.#o.log(`contents: ${Fault.from("store", e).message}`);
      socket.destroy();
    } finally {
      for (const file of files) closeFd(file);
    }
  }
}

/** The files that come first over a connection; who sends nothing is not waited for. */
async function firstFiles(fd: number, socket: net.Socket, clock: Clock): Promise<number[]> {
  const until = clock.now() + contentHelloMs;
  while (!socket.destroyed && clock.now() < until) {
    try {
      const files = receiveFiles(fd);
      if (files !== undefined) return files;
    } catch (e) {
      if (errnoCode(e) === "EPROTO") break;
      throw e;
    }
    await sleep(clock, 1);
  }
  throw new Fault("store", "gone", "a caller did not say what it wants", { hint: "isconf doctor" });
}
