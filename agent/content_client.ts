// Content client: the command line's way to the store: a connection to the content thread of the net half, over which it
// hands the file that is to be read or written. What verbs make of it is in content_main.ts.
import type { Socket } from "node:net";
import {
  type CaptureInto,
  type Id,
  PutBatch,
  StepSender,
  type Store,
  type Walked,
  WalkedStore,
} from "../fs/mod.ts";
import { type Cbor, Fault, sendFiles, systemClock } from "../mq/mod.ts";
import type { Term } from "./term.ts";
import type { Library } from "./locate.ts";
import { connect, needOk, request, textOf, type Where } from "./client.ts";
import type { Brought, CallerRequest, ContentMay, ContentRequest } from "./content.ts";
import type { Home } from "./paths.ts";
import { withBar } from "./progress.ts";
import { malformed, openSeam, readCount, readIds, type Seam, type ShelfRow } from "./seam.ts";
import { FarStore, shelfRow } from "./seam_store.ts";

/** What the verbs need of the command line. */
export interface ContentCli {
  term: Term;
  where: Where;
  globals: { json: boolean; quiet: boolean };
  home: Home;
}

/** What is asked of the thread over one connection. Each request takes as long as it takes. */
export class ContentSession {
  readonly #socket: Socket;
  readonly #seam: Seam<ContentRequest>;
  #brought: (brought: Brought) => void = () => {};

  private constructor(socket: Socket, progress: (bytes: number) => void) {
    this.#socket = socket;
    const answers = {
      progress: (v: Cbor) => {
        progress(Number(v));
        return Promise.resolve(null);
      },
      brought: (v: Cbor) => {
        this.#brought(readBrought(v));
        return Promise.resolve(null);
      },
    };
    this.#seam = openSeam<CallerRequest, ContentRequest>(socket, systemClock, answers, "the store");
  }

  /** Connects through the agent at `where`, for one of two things, and hands over `file`, an open one. `progress` hears of bytes of that file. */
  static async open(
    where: Where,
    may: ContentMay,
    file?: number,
    progress: (bytes: number) => void = () => {},
  ): Promise<ContentSession> {
    const answer = await request(where, "POST", "/v1/content", { json: { may } });
    await needOk(answer);
    const told = JSON.parse(await textOf(answer)) as Where;
    const socket = await connect({ ...told, isTold: true });
    const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
    sendFiles(fd, file === undefined ? [] : [file]);
    return new ContentSession(socket, progress);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** The store as it is seen from here. */
  store(compress: boolean): FarStore {
    const { ask } = this;
    return new FarStore({
      missing: (ids) => ask("missing", ids),
      put: (objects) => ask("put", [compress, objects]),
      get: (ids) => ask("get", ids),
    });
  }

  /** The same of a root that is not to come whole: each object that is asked for comes, if need be from other hosts. */
  near(root: Id): Pick<Store, "get"> {
    const store = this.store(false);
    return {
      get: async (ids) => {
        await this.ask("fetchOnly", [root, ids]);
        return await store.get(ids);
      },
    };
  }

  /** The same for who restores the tree `id`: its objects come before they are asked for. `told` hears how many bytes came. */
  async walking(id: Id, told: (bytes: number) => void): Promise<WalkedStore> {
    await this.ask("walk", id);
    let bytes = 0;
    const next = async () => {
      const walked = readWalked(await this.ask("walked", null));
      told(bytes += walked.bytes.length);
      return walked;
    };
    return new WalkedStore(next, this.store(false));
  }

  readonly ask = (what: ContentRequest, value: Cbor): Promise<Cbor> => this.#seam.ask(what, value, Infinity);

  /** What is on the shelf under that id, beginning of an id, SHA-256 or label. */
  async find(text: string): Promise<ShelfRow | undefined> {
    const row = await this.ask("find", text);
    return row === null ? undefined : shelfRow(row);
  }

  /** Puts a root on the shelf that is in the store. */
  async add(id: Id, label: string): Promise<ShelfRow> {
    return shelfRow(await this.ask("add", { id, label }));
  }

  /** Brings a root from other hosts, as far as it is not here. `told` hears now and then how much has come; nothing, when all is here. */
  async fetch(id: Id, told: (brought: Brought) => void = () => {}): Promise<void> {
    this.#brought = told;
    await this.ask("fetch", [id]);
  }

  /** Puts the tree that `walk` tells of; its id, when all of it is durable. */
  async putTree(compress: boolean, walk: (into: CaptureInto) => Promise<unknown>): Promise<Id> {
    const tree = new StepSender((steps, bytes) => this.ask("tree", [compress, steps, bytes]));
    const store = new PutBatch(this.store(compress));
    await walk({ tree, store });
    await store.flush();
    await tree.flush();
    return readIds([await this.ask("treeEnd", null)])[0]!;
  }

  /** Reads the file that was handed over into the store. */
  async putFile(compress: boolean): Promise<Id> {
    const ref = await this.ask("putFile", compress) as { id?: unknown };
    return readIds([ref.id as Cbor])[0]!;
  }

  /** Writes a file of the store into the one that was handed over; its length. */
  async getFile(id: Id): Promise<number> {
    return Number(await this.ask("getFile", id));
  }
}

function readBrought(v: Cbor): Brought {
  const [bytes, of] = Array.isArray(v) ? v : [];
  return { bytes: readCount(bytes), of: of === null ? undefined : readCount(of) };
}

function readWalked(v: Cbor): Walked {
  const [lengths, bytes] = Array.isArray(v) ? v : [];
  const isRight = Array.isArray(lengths) && bytes instanceof Uint8Array &&
    lengths.every((length) => Number.isSafeInteger(length) && Number(length) >= 0);
  if (!isRight) throw malformed();
  return { lengths: lengths as number[], bytes };
}

/**
 * What a name of the domain means, as `by` has it if several people differ; undefined when it is none. The half of the agent
 * that checks signatures says so, not the one that keeps contents.
 */
export async function meaningOf(where: Where, name: string, by: string | undefined): Promise<Id | undefined> {
  const json = { may: "get", name, ...(by === undefined ? {} : { by }) };
  const answer = await request(where, "POST", "/v1/content", { json });
  await needOk(answer);
  const { id } = JSON.parse(await textOf(answer)) as { id: Id | null };
  return id ?? undefined;
}

/** Brings a root from other hosts, as far as it is not here, and shows how far it is; `also` hears it, too. */
export async function bring(
  cli: Pick<ContentCli, "term" | "globals">,
  session: ContentSession,
  id: Id,
  also: (brought: Brought) => void = () => {},
): Promise<void> {
  await withBar(cli, undefined, async (bar) => {
    await session.fetch(id, (brought) => {
      bar.at(brought.bytes, "from other hosts", brought.of);
      also(brought);
    });
  });
}

/** Where this session looks names up: first what they mean in the domain, then what is on the shelf. */
export function libraryOf(op: string, cli: ContentCli, session: ContentSession, by?: string): Library {
  const { where } = cli;
  return {
    op,
    store: session.store(false),
    async find(text) {
      const id = await meaningOf(where, text, by);
      if (id !== undefined || by !== undefined) return id === undefined ? undefined : { id };
      return await session.find(text);
    },
    fetch: (id) => bring(cli, session, id),
  };
}

/** Runs `fn` with a session that is closed afterwards. What goes wrong is said of `op`, the verb that was typed. */
export async function withContent<T>(
  [op, may]: readonly [verb: string, may: ContentMay],
  where: Where,
  fn: (session: ContentSession) => Promise<T>,
  file?: number,
  progress?: (bytes: number) => void,
): Promise<T> {
  let session: ContentSession | undefined;
  try {
    session = await ContentSession.open(where, may, file, progress);
    return await fn(session);
  } catch (e) {
    const { kind, message, hint } = Fault.from(op, e);
    throw new Fault(op, kind, message, { hint, cause: e });
  } finally {
    session?.close();
  }
}
