// Effects: which paths a command changed where it was made, and how they were afterwards, as the bytes of a list in isfs; and how a
// host differs from such a list. Not how it is learnt what changed (effects_watch.ts).
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import {
  ABSENT,
  type Difference,
  type Look,
  look,
  lookDifferences,
  LOOKS,
  putFile,
  readFile,
  readManifest,
  showPath,
  type Store,
} from "../fs/mod.ts";
import { type Cbor, compareBytes, concat, decode, encode, errnoCode, Fault } from "../mq/mod.ts";
import type { Call } from "./host.ts";
import {
  differencesKeptMax,
  effectsBytesMax,
  effectsHashedMax,
  effectsPathsMax,
  pathBytesMax,
} from "./limits.ts";
import { wayTo } from "./paths.ts";

/** One path that a command changed, and what was there when it had ended. */
export interface Effect extends Look {
  path: Uint8Array;
}

/** What is known of what a command changed. */
export interface Effects {
  /** In the order of the bytes of their paths. */
  paths: Effect[];
  /** Mount points of which nothing is known, in words that can be shown. */
  unseen: string[];
}

/** What is different on this host: a path as it can be shown, and why. */
export interface Differs {
  path: string;
  what: (Difference | "unreadable")[];
}

/** How a host compares with the effects of an entry: how many paths differ, and the first of them. */
export interface Compared {
  seq: number;
  differs: number;
  first: Differs[];
}

/**
 * What is there now of the paths that changed, sorted. A file that not everybody may read is not hashed: a short secret could be
 * guessed from that. Nor is what comes after `effectsHashedMax` bytes.
 */
export async function effectsOf(changed: Iterable<Uint8Array>, unseen: string[]): Promise<Effects> {
  const isOpen = openDirs();
  const paths: Effect[] = [];
  let left = effectsHashedMax;
  for (const path of [...changed].sort(compareBytes)) {
    const seen = await look(path, ({ mode, size }) => {
      const isHashed = (mode & 0o004) !== 0 && size <= left && isOpen(path);
      if (isHashed) left -= size;
      return isHashed;
    });
    paths.push({ path, ...seen });
  }
  return { paths, unseen };
}

/** How this host differs from what the effects of an entry say. */
export async function compareEffects(seq: number, { paths }: Effects): Promise<Compared> {
  const compared: Compared = { seq, differs: 0, first: [] };
  for (const { path, ...said } of paths) {
    const what = await differencesFrom(path, said);
    if (what.length === 0) continue;
    compared.differs++;
    if (compared.first.length < differencesKeptMax) compared.first.push({ path: showPath(path), what });
  }
  return compared;
}

/** Compares after a replay, and tells of it; nothing where the list is none. No replay stops because of that. */
export async function compareAfter(
  { host, emit }: Pick<Call, "host" | "emit">,
  store: Store,
  seq: number,
  list: string,
): Promise<Compared[]> {
  try {
    const compared = await compareEffects(seq, await getEffects(store, list));
    const { differs, first: [{ path, what } = { path: "", what: [] }] } = compared;
    if (differs > 0) {
      const text = `${differs} paths are not as on the origin, first ${path} (${
        what.join(", ")
      }): isconf show ${seq}`;
      emit({ event: "differs", text: `${seq}  ${text}`, ...compared });
    }
    return [compared];
  } catch (e) {
    if (!(e instanceof Fault) || e.kind !== "corrupt") throw e;
    host.log(`entry ${seq}: ${e.message}`);
    return [];
  }
}

/** How one path of this host differs from what was said of it; "unreadable" where it cannot be reached, or not safely. */
export async function differencesFrom(path: Uint8Array, said: Look): Promise<Differs["what"]> {
  try {
    return lookDifferences(said, await look(path, () => said.sha256.length > 0));
  } catch (e) {
    if (e instanceof Fault || errnoCode(e) !== undefined) return ["unreadable"];
    throw e;
  }
}

/** Whether everybody may go to where a path is; what was looked at once is not looked at again. */
export function openDirs(): (path: Uint8Array) => boolean {
  const known = new Map<string, boolean>();
  return (path) => {
    const dir = Buffer.from(path).toString("latin1").replace(/\/[^/]*$/, "");
    let isOpen = known.get(dir);
    if (isOpen === undefined) {
      isOpen = wayTo(dir).every((one) => {
        const st = fs.statSync(Buffer.from(one, "latin1"), { throwIfNoEntry: false });
        return st !== undefined && (st.mode & 0o001) !== 0;
      });
      known.set(dir, isOpen);
    }
    return isOpen;
  };
}

/** Keeps effects in the store; the id of that file, or undefined when they are more than `effectsBytesMax`. */
export async function putEffects(store: Store, { paths, unseen }: Effects): Promise<string | undefined> {
  const lines = paths.map(({ path, kind, mode, uid, gid, size, sha256 }) =>
    [path, kind, mode, uid, gid, size, sha256] as Cbor
  );
  const bytes = encode({ v: 1, paths: lines, unseen });
  if (bytes.length > effectsBytesMax) return undefined;
  return (await putFile(store, once(bytes))).id;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** The effects that another host recorded. Throws a corrupt fault for anything else. */
export async function getEffects(store: Store, id: string): Promise<Effects> {
  const { size } = await readManifest(store, id);
  if (size > effectsBytesMax) throw malformed();
  const pieces: Uint8Array[] = [];
  for await (const piece of readFile(store, id)) pieces.push(piece);
  return readEffects(concat(...pieces));
}

/** The bytes of a list as effects. Throws a corrupt fault when they are none. */
export function readEffects(bytes: Uint8Array): Effects {
  const value = decode(bytes) as { v?: unknown; paths?: unknown; unseen?: unknown } | null;
  if (value === null || typeof value !== "object" || value.v !== 1 || Object.keys(value).length !== 3) {
    throw malformed();
  }
  const { paths, unseen } = value;
  if (!Array.isArray(paths) || paths.length > effectsPathsMax) throw malformed();
  if (!Array.isArray(unseen) || !unseen.every((v) => typeof v === "string" && v.length <= pathBytesMax)) {
    throw malformed();
  }
  return { paths: paths.map(readLine), unseen };
}

function readLine(line: unknown): Effect {
  const [path, kind, mode, uid, gid, size, sha256, ...more] = Array.isArray(line) ? line : [];
  const isHash = sha256 instanceof Uint8Array && [0, 32].includes(sha256.length);
  const isSound = path instanceof Uint8Array && path[0] === 0x2f && path.length <= pathBytesMax &&
    !path.includes(0) && LOOKS.includes(kind) && [mode, uid, gid, size].every(isCount) && mode <= 0o7777 &&
    isHash;
  if (!isSound || more.length > 0) throw malformed();
  return kind === "absent" ? { path, ...ABSENT } : { path, kind, mode, uid, gid, size, sha256 };
}

const isCount = (v: unknown): v is number => typeof v === "number" && Number.isSafeInteger(v) && v >= 0;

function malformed(): Fault {
  return new Fault("effects", "corrupt", "what a command changed is said in a way that is not known here", {
    hint: "isconf verify",
  });
}
