// Copies: on how many hosts of the domain a content is that a name or the journal counts on, and on which: each host works that
// out by itself, from the same names and the same members. It drops nothing: it says what may be dropped here.
import type { Id } from "../fs/mod.ts";
import { type Cbor, compareBytes, concat, Fault, fromHex, pause, sha256 } from "../mq/mod.ts";
import { branchOf, type Call, type Host, hostId, hostName } from "./host.ts";
import { copiesAskMs, copiesIdsMax } from "./limits.ts";
import { malformed, readIds } from "./seam.ts";
import { members } from "./trust.ts";

/**
 * The hosts that are to keep a root, most responsible first: those with the highest hash of root and host (rendezvous
 * hashing: D. Thaler, C. Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998). A host that comes or goes
 * changes the place of no copy but its own.
 */
export function keepersOf(root: Id, copies: number, hosts: Iterable<string>): string[] {
  const score = (host: string) => sha256(concat(fromHex(root), fromHex(host)));
  return [...hosts].map((host) => [score(host), host] as const)
    .sort(([a], [b]) => compareBytes(b, a)).slice(0, copies).map(([, host]) => host);
}

/** That something counts on a content: on how many copies, and on which hosts they are to be. */
interface Want {
  id: Id;
  copies: number;
  among: readonly string[];
  /** Whether it is to be brought where it is not yet. */
  isCurrent: boolean;
}

/** All that is wanted of a content, put together. */
interface Root {
  id: Id;
  copies: number;
  /** Whether this host is to keep it, and to bring it. */
  isOurs: boolean;
  isBrought: boolean;
}

/** What is wanted here of these contents, or of all. */
function* wants(host: Host, applied: ReadonlySet<Id>, some?: readonly Id[]): IterableIterator<Want> {
  const policy = host.journal.policy();
  if (policy === undefined) return;
  const everybody = [...members(policy).keys()];
  const named = some?.flatMap((id) => host.names.root(id) ?? []) ?? host.names.roots();
  for (const { id, copies, isCurrent } of named) yield { id, copies, isCurrent, among: everybody };
  const copies = host.config.journalCopies;
  const isEach = copies === Infinity; // then whoever has applied an entry keeps its contents
  const among = isEach ? [] : onBranch(host, everybody);
  for (const id of some?.filter((id) => applied.has(id)) ?? applied) {
    yield { id, copies, isCurrent: !isEach, among };
  }
}

/** The hosts that are on this host's branch, as far as is known here. Who is not known to be is not counted on. */
function onBranch(host: Host, everybody: readonly string[]): string[] {
  const branch = branchOf(host, "copies");
  const there = new Set(host.reports.known().filter((r) => r.branch === branch).map((r) => r.host));
  return everybody.filter((id) => id === hostId(host) || there.has(id));
}

/** The contents that something counts on here, or which of `some` are such, by id. */
async function rootsWanted(host: Host, some?: readonly Id[]): Promise<Map<Id, Root>> {
  const roots = new Map<Id, Root>();
  let count = 0;
  for (const { id, copies, among, isCurrent } of wants(host, await host.applied.contents(), some)) {
    const before = roots.get(id);
    const isOurs = copies === Infinity || keepersOf(id, copies, among).includes(hostId(host));
    roots.set(id, {
      id,
      copies: Math.max(copies, before?.copies ?? 0),
      isOurs: isOurs || (before?.isOurs ?? false),
      isBrought: (isOurs && isCurrent) || (before?.isBrought ?? false),
    });
    if (++count % 16 === 0) await pause(); // in a large domain each takes a millisecond
  }
  return roots;
}

/** What this host has and keeps of such contents, and what it may drop because enough others do. */
export class Copies {
  readonly #host: () => Host;
  /** What we are about to drop: nobody may count on it from the moment on that we ask others. */
  #leaving: ReadonlySet<Id> = new Set();
  /** What of it others have said that they keep. */
  #safe: ReadonlySet<Id> = new Set();
  /** One dropping at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(host: () => Host) {
    this.#host = host;
  }

  /** Answers another host that asks about roots: [those that are whole here, those of them that stay here]. */
  async answer(value: Cbor): Promise<Cbor> {
    const ids = readIds(value);
    if (ids.length > copiesIdsMax) throw malformed();
    const host = this.#host();
    const whole = await host.store.whole(ids, "peers");
    const roots = await rootsWanted(host, whole);
    return [whole, whole.filter((id) => roots.get(id)?.isOurs && !this.#leaving.has(id))];
  }

  /** Whether a root may be dropped here now, though something counts on it. */
  isSafe(id: Id): boolean {
    return this.#safe.has(id);
  }

  /** The roots that this host is to have: what others are to keep need not be here. */
  async ours(): Promise<Id[]> {
    return [...(await rootsWanted(this.#host())).values()].filter(({ isOurs }) => isOurs).map(({ id }) => id);
  }

  /**
   * Runs `fn`, during which a root need not stay here of which this host is no keeper and as many others as are wanted have
   * just said that they keep it. Until `fn` has ended this host says of itself that it does not.
   */
  dropping<T>(fn: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(() => this.#drop(fn));
    this.#turn = turn.catch(() => {}); // who asked for it hears of it
    return turn;
  }

  async #drop<T>(fn: () => Promise<T>): Promise<T> {
    const host = this.#host();
    const others = [...(await rootsWanted(host)).values()].filter(({ isOurs }) => !isOurs);
    const here = new Set<Id>();
    for (let i = 0; i < others.length; i += copiesIdsMax) {
      const ids = others.slice(i, i + copiesIdsMax).map(({ id }) => id);
      for (const id of await host.store.whole(ids, "us")) here.add(id);
    }
    const asked = others.filter(({ id }) => here.has(id));
    this.#leaving = new Set(asked.map(({ id }) => id));
    try {
      const kept = await this.#keptElsewhere([...this.#leaving]);
      const isSafe = ({ id, copies }: Root) => (kept.get(id) ?? 0) >= copies;
      this.#safe = new Set(asked.filter(isSafe).map(({ id }) => id));
      return await fn();
    } finally {
      this.#safe = this.#leaving = new Set();
    }
  }

  /** Brings what this host is to keep and does not have; whether it has all of it now. */
  async bring(): Promise<boolean> {
    let isAll = true;
    const host = this.#host();
    const ours = [...(await rootsWanted(host)).values()].filter((r) => r.isBrought).map(({ id }) => id);
    for (let i = 0; i < ours.length; i += copiesIdsMax) {
      const some = ours.slice(i, i + copiesIdsMax);
      const here = new Set(await host.store.whole(some, "us"));
      for (const id of some.filter((id) => !here.has(id))) {
        try {
          await host.store.fetch([id]);
          await host.store.share(id);
        } catch (e) {
          host.log(`copies: ${Fault.from("copies", e).message}`);
          isAll = false;
        }
      }
    }
    return isAll;
  }

  async #keptElsewhere(ids: Id[]): Promise<Map<Id, number>> {
    const counts = new Map<Id, number>();
    const host = this.#host();
    for (let i = 0; i < ids.length; i += copiesIdsMax) {
      const some = ids.slice(i, i + copiesIdsMax);
      const answers = await Promise.all(host.mesh.peers().map((peer) => askCopies(host, peer, some)));
      for (const answer of answers) {
        for (const id of answer?.kept ?? []) counts.set(id, (counts.get(id) ?? 0) + 1);
      }
    }
    return counts;
  }
}

/** What another host says of these roots; undefined when it says nothing, or nonsense. */
async function askCopies(
  host: Host,
  peer: string,
  ids: Id[],
): Promise<{ whole: Id[]; kept: Id[] } | undefined> {
  try {
    const answer = await host.mesh.ask(peer, "copies", ids, copiesAskMs);
    if (!Array.isArray(answer) || answer.length !== 2) return undefined;
    const [whole, kept] = answer.map((part) => [...new Set(readIds(part))].filter((id) => ids.includes(id)));
    return { whole: whole!, kept: kept! };
  } catch {
    return undefined;
  }
}

export interface CopyLine {
  host: string;
  has: "yes" | "no" | "unknown";
  /** Whether it stays there. */
  keeps: boolean;
}

/** Which hosts have all of a root, as far as they are connected and say so. */
export async function copies({ host }: Call, id: Id): Promise<{ id: Id; hosts: CopyLine[] }> {
  const policy = host.journal.policy();
  const [whole, kept] = await host.copies.answer([id]) as [Id[], Id[]];
  const isWhole = whole.length > 0 || (await host.store.whole([id], "us")).length > 0;
  const here: CopyLine = { host: hostName(host), has: isWhole ? "yes" : "no", keeps: kept.length > 0 };
  const peers = await Promise.all(
    host.mesh.peers().map(async (peer): Promise<CopyLine> => {
      const answer = await askCopies(host, peer, [id]);
      const has = answer === undefined ? "unknown" : answer.whole.length > 0 ? "yes" : "no";
      return { host: policy?.hosts.get(peer)?.name ?? peer, has, keeps: (answer?.kept.length ?? 0) > 0 };
    }),
  );
  return { id, hosts: [here, ...peers] };
}
