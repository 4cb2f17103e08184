// Content session: what one command line asks of the store, answered over a connection of its own. It knows neither the
// thread that it runs in nor how its caller was identified.
import { constants } from "node:fs";
import type { Duplex } from "node:stream";
import {
  batchBytesMax,
  type Catalog,
  type Id,
  putWhole,
  readFile,
  type SqliteStore,
  walkAhead,
  type Walked,
} from "../fs/mod.ts";
import { type Cbor, type Clock, Fault, readAt, statAt, syncFd, writeAt } from "../mq/mod.ts";
import {
  type Brought,
  type CallerRequest,
  CONTENT_NEEDS,
  type ContentMay,
  type ContentRequest,
} from "./content.ts";
import { ToldTree } from "./content_tree.ts";
import { progressMs } from "./limits.ts";
import { type Answers, malformed, openSeam, readIds, readObjects } from "./seam.ts";
import { seldom } from "./seldom.ts";
import { rowToCbor, shelve } from "./shelve.ts";

const { S_IFMT, S_IFREG } = constants;

/** What a session works with. */
export interface ContentParts {
  clock: Clock;
  /** Keeps things as they come, and compressed where that saves room. */
  stores: { plain: SqliteStore; compressing: SqliteStore };
  catalog: Catalog;
  /** Brings from other hosts what these roots reach, or only some objects of the first; `told` hears now and then how much has come. */
  fetch(roots: Id[], how: { only?: Id[]; told?: (brought: Brought) => void }): Promise<void>;
  /** Other hosts may hear that we have these. */
  announce(roots: Id[]): void;
}

/** What differs when somebody has written to a file in between: its length, and when the kernel saw it change. */
function stampOf(file: number): string {
  const { size, mtime, ctime } = statAt(file);
  return `${size} ${mtime} ${ctime}`;
}

/** Serves one connection to its end. `file` is what came over it, or undefined; it stays its giver's to close. */
export async function serveContent(
  pipe: Duplex,
  caller: { uid: number; file: number | undefined; may: ReadonlySet<ContentMay> },
  parts: ContentParts,
): Promise<void> {
  const { stores: { plain, compressing }, catalog, clock } = parts;
  const holding = plain.holds.hold();
  holding.catch(() => {}); // the first question is answered with it
  const needFile = (): number => {
    if (caller.file === undefined) throw malformed();
    const { mode } = statAt(caller.file);
    if ((mode & S_IFMT) === S_IFREG) return caller.file;
    // A device has no end, and a pipe may never come to one.
    throw new Fault("content", "refused", "what was handed over is no regular file", {
      hint: "isconf help put",
    });
  };
  let walk: AsyncGenerator<Walked, void> | undefined;
  let tree: ToldTree | undefined;
  let put: { id: Id; share(): Promise<void> } | undefined;
  const hint = (request: CallerRequest, v: Cbor) => void seam.ask(request, v).catch(() => {}); // it may have gone
  const tell = seldom(clock, progressMs, (bytes: number) => hint("progress", bytes));
  const storeOf = (compresses: Cbor) => compresses === true ? compressing : plain;
  const answers: Answers<ContentRequest> = {
    missing: async (v) => await plain.missing(readIds(v)),
    put: async (v) => {
      const [compresses, objects] = v as [Cbor, Cbor];
      return await storeOf(compresses).put(readObjects(objects));
    },
    walk: (v) => {
      walk = walkAhead(plain, readIds([v])[0]!);
      return Promise.resolve(null);
    },
    walked: async () => {
      const { value } = await walk?.next() ?? {};
      return value === undefined ? [[], new Uint8Array(0)] : [value.lengths, value.bytes];
    },
    tree: async (v) => {
      if (!Array.isArray(v)) throw malformed();
      const [compresses, steps, bytes] = v as [Cbor, Cbor, Cbor];
      await (tree ??= new ToldTree(storeOf(compresses))).take(steps, bytes);
      return null;
    },
    treeEnd: async () => {
      if (tree === undefined) throw malformed();
      const told = tree;
      tree = undefined;
      put = await told.finish();
      return put.id;
    },
    get: async (v) => await plain.read(readIds(v), batchBytesMax),
    putFile: async (v) => {
      const file = needFile();
      const before = stampOf(file);
      let at = 0;
      const fill = (into: Uint8Array) => {
        const read = readAt(file, into, at);
        at += read;
        return read;
      };
      const ref = await putWhole(storeOf(v), fill, tell);
      if (stampOf(file) === before) return { ...ref };
      throw new Fault("put", "refused", "the file changed while it was read", {
        hint: "isconf put it again when nobody writes to it",
      });
    },
    getFile: async (v) => {
      const file = needFile();
      const [id] = readIds([v]) as [Id];
      let at = 0;
      for await (const piece of readFile(plain.reading(), id)) {
        writeAt(file, piece, at);
        at += piece.length;
        tell(at);
      }
      syncFd(file);
      return at;
    },
    find: (v) => {
      const row = catalog.resolve(String(v));
      return Promise.resolve(row === undefined ? null : rowToCbor(row));
    },
    fetch: async (v) => {
      await parts.fetch(readIds(v), { told: ({ bytes, of }) => hint("brought", [bytes, of ?? null]) });
      return null;
    },
    fetchOnly: async (v) => {
      const [root, ids] = Array.isArray(v) ? v : [];
      await parts.fetch(readIds([root as Cbor]), { only: readIds(ids as Cbor) });
      return null;
    },
    add: async (v) => {
      const { id, label } = v as { id: Cbor; label: Cbor };
      if (put !== undefined && put.id === id) await put.share();
      const row = { id: readIds([id])[0]!, label: label as string, uid: caller.uid, pinned: false };
      return rowToCbor(await shelve({ ...parts, store: plain }, row));
    },
  };
  for (const request of Object.keys(answers) as ContentRequest[]) {
    const answer = answers[request];
    const may = CONTENT_NEEDS[request];
    answers[request] = async (v) => {
      if (may !== undefined && !caller.may.has(may)) {
        throw new Fault(may, "denied", `this connection is not for ${may}`, {
          hint: `isconf policy why ${may}`,
        });
      }
      await holding;
      return await answer(v);
    };
  }
  const seam = openSeam<ContentRequest, CallerRequest>(pipe, clock, answers, "the command line");
  await seam.ended;
  await holding.then((hold) => hold.release(), () => {});
}
