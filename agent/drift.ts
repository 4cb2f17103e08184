// Drift: the present disk of this host against what its journal last said of each path: what was snapped, what was deleted, and what
// commands changed where they were made. It changes nothing. Not the comparison that `up` makes after each command (effects.ts).
import { Buffer } from "node:buffer";
import { ABSENT, compare, type Look, type Node, showPath } from "../fs/mod.ts";
import { Fault, pause, toHex } from "../mq/mod.ts";
import { differencesFrom, type Differs, getEffects } from "./effects.ts";
import { type Op, readEntry } from "./entry.ts";
import { branchOf, type Call } from "./host.ts";
import { driftPathsMax, driftTellEach } from "./limits.ts";
import { isIn } from "./preview_mounts.ts";
import { opsOf } from "./wip.ts";

/** What drifted: a path, what is different, and which entry said how it should be; null: work that is not checked in. */
export interface Drifted extends Differs {
  seq: number | null;
}

export interface FilesVerified {
  branch: string;
  /** The last entry that this host has applied, and how many paths were looked at. */
  at: number;
  paths: number;
  drifted: Drifted[];
  /** Of the entries, those whose contents are not here any more, so that nothing could be compared. */
  skipped: number[];
}

/** What was said of a path. */
export type Word = Node | Look;

/**
 * Compares every path that the applied entries, and work not checked in, say something about; of those in one directory, or of
 * one file, with `within`. `hears` is told what was said last of each.
 */
export async function verifyFiles(
  call: Call,
  within = "/",
  hears: (path: Uint8Array, word: Word) => void = () => {},
): Promise<FilesVerified> {
  const { host } = call;
  const branch = branchOf(host, "verify");
  const at = host.history.applied();
  const said = new Said(within, hears);
  const drifted: Drifted[] = [];
  const skipped: number[] = [];
  for await (const { seq, ops } of newestFirst(call, branch, at)) {
    try {
      for (const op of ops.toReversed()) {
        for await (const found of driftOf(call, op, said)) drifted.push({ seq, ...found });
      }
    } catch (e) {
      if (!(e instanceof Fault) || e.kind !== "notFound" || seq === null) throw e;
      skipped.push(seq);
    }
    if (said.paths > driftPathsMax) {
      throw new Fault("verify", "refused", `the journal speaks of more than ${driftPathsMax} paths`, {
        hint: "isconf verify",
      });
    }
  }
  const inOrder = (a: Drifted, b: Drifted) => a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
  return {
    branch,
    at,
    paths: said.paths,
    drifted: drifted.sort(inOrder),
    skipped: skipped.sort((a, b) => a - b),
  };
}

/** What was done here, the last first: work, then the applied entries. */
async function* newestFirst({ host, emit }: Call, branch: string, at: number) {
  for (const item of host.wip.items().toReversed()) {
    if (item.state === "done") yield { seq: null, ops: opsOf(item) };
  }
  for (let to = at; to > 0; to -= driftTellEach) {
    const rows = [...host.journal.range(branch, Math.max(1, to - driftTellEach + 1), to)];
    for (const row of rows.toReversed()) yield { seq: row.seq, ops: readEntry(row.entry).entry.ops };
    emit({
      event: "compared",
      text: `${at - Math.max(0, to - driftTellEach)} of ${at} entries compared`,
      seq: to,
    });
    await pause();
  }
}

/** How the disk differs from one operation, as far as nothing newer has spoken of the same path. */
async function* driftOf({ host }: Call, op: Op, said: Said): AsyncGenerator<Differs> {
  if (op.op === "file") {
    let last: Differs | undefined;
    if (!said.mayBeAbout(op.path)) return;
    const wants = (path: Uint8Array, node: Node) => said.isNews(path, node);
    try {
      for await (const { path, what } of compare(host.store, toHex(op.tree), Buffer.from(op.path), wants)) {
        const shown = showPath(path);
        if (last?.path === shown) last.what.push(what);
        else {
          if (last !== undefined) yield last;
          last = { path: shown, what: [what] };
        }
      }
    } catch (e) {
      // A link that somebody has put on the way, a disk that does not give something: the rest is looked at all the same.
      if (!(e instanceof Fault) || !["refused", "environment", "denied"].includes(e.kind)) throw e;
      if (last !== undefined) yield last;
      last = { path: showPath(op.path), what: ["unreadable"] };
    }
    if (last !== undefined) yield last;
  } else if (op.op === "delete") {
    yield* lookedAt(Buffer.from(op.path), ABSENT, said);
  } else if (op.op === "effects") {
    for (const { path, ...look } of (await getEffects(host.store, toHex(op.list))).paths) {
      yield* lookedAt(path, look, said);
    }
  }
}

async function* lookedAt(path: Uint8Array, look: Look, said: Said): AsyncGenerator<Differs> {
  if (!said.isNews(path, look)) return;
  const what = await differencesFrom(path, look);
  if (what.length > 0) yield { path: showPath(path), what };
}

/** Which paths something newer has spoken of. Paths as latin1 text. */
class Said {
  readonly #paths = new Set<string>();
  /** Directories in which something newer is there, so that they are there themselves. */
  readonly #above = new Set<string>();
  /** Paths that something newer has removed, with all that was in them then. */
  readonly #gone = new Set<string>();

  readonly #within: string;
  readonly #hears: (path: Uint8Array, word: Word) => void;

  constructor(within: string, hears: (path: Uint8Array, word: Word) => void) {
    this.#within = Buffer.from(within).toString("latin1");
    this.#hears = hears;
  }

  /** How many were news. */
  get paths(): number {
    return this.#paths.size;
  }

  /** Whether what is said of a path and of all in it can be about what is asked for. */
  mayBeAbout(path: string): boolean {
    const text = Buffer.from(path).toString("latin1");
    return isIn(text, this.#within) || isIn(this.#within, text);
  }

  /** Whether it is asked for a path, and nothing newer has spoken of it; then this has. */
  isNews(path: Uint8Array, word: Word): boolean {
    const isThere = word.kind !== "absent";
    const text = Buffer.from(path).toString("latin1").replace(/(?<=.)\/+$/, "");
    const dirs = [...above(text)];
    const isNews = !this.#paths.has(text) && !dirs.some((dir) => this.#gone.has(dir)) &&
      (isThere || !this.#above.has(text));
    if (!isThere) this.#gone.add(text); // what is older and about something in it is about what went with it
    if (!isNews || !isIn(text, this.#within)) return false;
    this.#paths.add(text);
    for (const dir of isThere ? dirs : []) this.#above.add(dir);
    this.#hears(path, word);
    return true;
  }
}

/** The directories that a path is in, the innermost first. */
function* above(path: string): Generator<string> {
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) yield path.slice(0, at);
}
