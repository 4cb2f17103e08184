// Upkeep: what this host's half with the journal knows about contents that are to be kept, dropped or mended. The store
// itself, and how it is looked through, is the net half's (fs/gc.ts, fs/fsck.ts).
import {
  type FsckReport,
  type GcReport,
  type Id,
  isId,
  listTree,
  readManifest,
  readRoot,
} from "../fs/mod.ts";
import { Fault, pause } from "../mq/mod.ts";
import { readEntry } from "./entry.ts";
import type { Call, Host } from "./host.ts";
import { gcRootsMax } from "./limits.ts";
import { inert } from "./names.ts";
import type { ShelfRow } from "./seam.ts";
import { rootsOf } from "./sharing.ts";

/** All roots that the journal, the work not yet checked in and names count on, but for what may be dropped right now. */
export async function rootsKept(host: Host): Promise<Id[]> {
  const roots = new Set<Id>(host.names.roots().map(({ id }) => id));
  let count = 0;
  for (const bytes of host.journal.everything()) {
    for (const root of rootsOf(readEntry(bytes).entry)) roots.add(root);
    if (++count % 1000 === 0) await pause();
  }
  return needFew([...[...roots].filter((id) => !host.copies.isSafe(id)), ...workRoots(host)]);
}

/** The roots of which everything has to be here: not what other hosts keep, and not what is still to be applied. */
export async function rootsNeeded(host: Host): Promise<Id[]> {
  return needFew([...await host.copies.ours(), ...workRoots(host)]);
}

/** What work counts on that is not yet checked in: nobody else has it. */
const workRoots = (host: Host): Id[] => host.wip.items().flatMap(({ op }) => rootsOf({ ops: [op] }));

function needFew(roots: Id[]): Id[] {
  if (roots.length <= gcRootsMax) return roots;
  throw new Fault("gc", "refused", `more than ${gcRootsMax} contents are counted on`, {
    hint: "isconf status",
  });
}

/** Drops what nothing counts on. With `dryRun` says only what that would be. */
export async function gc({ host }: Call, args: { dryRun: boolean }): Promise<GcReport> {
  return await host.copies.dropping(() => host.store.gc(args.dryRun));
}

/** What was looked at, what is wrong, and what became of it. */
export interface FsckDone extends FsckReport {
  /** Of what was wrong, how many objects are right again. */
  mended: number;
  /** What is still wrong: the id, and why it could not be brought. */
  left: { id: Id; why: string }[];
}

/** Looks through the store, and brings from other hosts what is wrong in it. */
export async function fsck(
  { host, emit }: Call,
  args: { data: boolean; part?: string; mend: boolean },
): Promise<FsckDone> {
  const part = readPart(args.part);
  const look = args.data || part !== undefined ? "bytes" : "structure";
  let found = await host.store.fsck(look, part);
  if (found.database.length > 0 && args.mend) {
    emit({
      event: "mending",
      text: "the store's database is damaged; it is made anew from what the packs say",
    });
    await host.store.rebuild(host.clock);
    found = await host.store.fsck(look, part);
  }
  const wrong = new Map<Id, Id | undefined>();
  for (const id of found.damaged) wrong.set(id, undefined);
  for (const { id, root } of found.missing) wrong.set(id, root);
  const left = (why: string) => [...wrong.keys()].map((id) => ({ id, why }));
  if (wrong.size === 0 || !args.mend) {
    return { ...found, mended: 0, left: left("not mended: isconf fsck --mend") };
  }
  emit({ event: "mending", text: `${wrong.size} objects are wrong; asking other hosts for them` });
  await host.store.drop(found.damaged);
  const why = await fetchAgain(host);
  const still = new Set(await host.store.missing([...wrong.keys()]));
  return {
    ...found,
    mended: wrong.size - still.size,
    left: left(why).filter(({ id }) => still.has(id)),
  };
}

/** Brings everything that is counted on and not here, root by root; why what is not here then did not come. */
async function fetchAgain(host: Host): Promise<string> {
  const roots = new Set([...await rootsNeeded(host), ...(await host.shelf.list()).map(({ id }) => id)]);
  let why = "nothing counts on it";
  for (const root of roots) {
    try {
      await host.store.fetch([root]);
    } catch (e) {
      why = Fault.from("fsck", e).message;
    }
  }
  return why;
}

function readPart(text: string | undefined): { n: number; of: number } | undefined {
  if (text === undefined) return undefined;
  const [, n, of] = /^([1-9][0-9]{0,3})\/([1-9][0-9]{0,3})$/.exec(text)?.map(Number) ?? [];
  if (n !== undefined && of !== undefined && n <= of) return { n, of };
  throw new Fault("fsck", "usage", `${inert(text)} is not a part`, { hint: "isconf fsck --part 1/7" });
}

/**
 * What a text means: a name of the domain, as `by` has it if several people differ; or what is on the shelf under it; or
 * the id of something that some host has.
 * @throws {Fault} notFound; refused, when a name means several things
 */
export async function needContent(host: Host, op: string, text: string, by?: string): Promise<Id> {
  const found = await findContent(host, text, by);
  if (found !== undefined) return found.id;
  if (isId(text) && by === undefined) return text;
  throw new Fault(op, "notFound", `nothing here is called ${inert(text)}`, {
    hint: "isconf ls; isconf names",
  });
}

/** The same; undefined when no name and nothing on the shelf is called so. */
export async function findContent(host: Host, text: string, by?: string): Promise<{ id: Id } | undefined> {
  const name = nameIn(host, text, by);
  if (name !== undefined || by !== undefined) return name;
  return await host.shelf.find(text);
}

/** What a name of the domain means; undefined when it is none. */
export function nameIn(host: Host, text: string, by?: string): { id: Id } | undefined {
  if (host.journal.policy() === undefined) return undefined;
  try {
    return { id: host.names.resolve(text, by).id };
  } catch (e) {
    if (e instanceof Fault && (e.kind === "notFound" || e.kind === "usage")) return undefined;
    throw e;
  }
}

/** Whose lines of the shelf somebody may change: his own; root, and who runs the agent, those of all (undefined). */
const whoseLines = ({ actor }: Call): number | undefined =>
  actor.uid === (process.geteuid?.() ?? 0) ? undefined : actor.uid;

/** Takes something off the shelf: root anything, others what they have put. The bytes go with the next gc. */
export async function remove(call: Call, name: string): Promise<{ id: Id; lines: number }> {
  const { shelf } = call.host;
  const { id } = await needShelved(call.host, name);
  const uid = whoseLines(call);
  const theirs = (await shelf.list()).filter((row) => row.id === id && (uid ?? row.uid) === row.uid);
  if (theirs.length === 0) throw others("rm", name);
  if (theirs.some(({ pinned }) => pinned)) {
    throw new Fault("rm", "refused", `${inert(name)} is pinned`, { hint: `isconf unpin ${inert(name)}` });
  }
  return { id, lines: await shelf.remove(id, uid) };
}

/** What is on the shelf, whatever names mean: a name is withdrawn, not removed. */
async function needShelved(host: Host, text: string): Promise<ShelfRow> {
  const row = await host.shelf.find(text);
  if (row !== undefined) return row;
  throw new Fault("rm", "notFound", `nothing on the shelf is called ${inert(text)}`, {
    hint: "isconf ls; isconf name --delete NAME withdraws a name",
  });
}

/** From now on it stays here. What is not here is brought. */
export async function pin(call: Call, name: string): Promise<{ id: Id; pinned: boolean }> {
  const { host, actor } = call;
  const id = await needContent(host, "pin", name);
  await host.store.fetch([id]);
  const lines = await host.shelf.pin(id, true, whoseLines(call));
  if (lines === 0) await host.shelf.add({ id, label: "", uid: actor.uid, pinned: true });
  return { id, pinned: true };
}

/** It need not stay here any more, for all that the caller has to say of it: others may have pinned it too. */
export async function unpin(call: Call, name: string): Promise<{ id: Id; pinned: boolean }> {
  const { host } = call;
  const id = await needContent(host, "unpin", name);
  const isPinned = async () => (await host.shelf.list()).some((row) => row.id === id && row.pinned);
  if (!await isPinned()) {
    throw new Fault("unpin", "notFound", `${inert(name)} is not pinned`, { hint: "isconf ls" });
  }
  if (await host.shelf.pin(id, false, whoseLines(call)) === 0) throw others("unpin", name);
  return { id, pinned: await isPinned() };
}

const others = (op: string, name: string) =>
  new Fault(op, "denied", `${inert(name)} was put by somebody else`, { hint: "isconf ls; root may" });

export interface ContentStat {
  id: Id;
  kind: string;
  /** Bytes of content: of a tree, those of all its files, holes not counted. */
  size: number;
  sha256: string;
  /** Chunks that a file is cut into, null of a file of very many; names in a tree. */
  parts: number | null;
  /** Whether everything of it is here. */
  whole: boolean;
  shelf: ShelfRow[];
}

/** What there is to say of one content. */
export async function stat({ host }: Call, name: string): Promise<ContentStat> {
  const id = await needContent(host, "stat", name);
  const root = await readRoot(host.store, id).catch((e) => {
    throw new Fault("stat", Fault.from("stat", e).kind, `${inert(name)} is not here`, {
      hint: `isconf get ${id} FILE`,
    });
  });
  const shelf = (await host.shelf.list()).filter((row) => row.id === id);
  const whole = await isHere(host, id);
  if (root.kind === "file") {
    const { parts, level } = await readManifest(host.store, id);
    const { size, sha256 = "" } = root;
    return { id, kind: "file", size, sha256, parts: level === 0 ? parts.length : null, whole, shelf };
  }
  let size = 0, parts = 0;
  for await (const { node } of listTree(host.store, id)) {
    parts++;
    if (node.kind === "file") size += node.runs?.reduce((sum, [, length]) => sum + length, 0) ?? node.size;
  }
  return { id, kind: "tree", size, sha256: "", parts, whole, shelf };
}

const isHere = async (host: Host, id: Id): Promise<boolean> =>
  (await host.store.whole([id], "us")).length > 0;
