// Heads: keepers' signed words about where a branch ends, each new by its number, kept and told on: from them every host knows
// how long ago it last heard from a quorum, and whether it is kept from what others have. A host that hears nothing is stale,
// which is an alarm and no more: what must be fresh asks the keepers with a nonce (Keepers.look). Not the chains (journal.ts).
import type { Db } from "../fs/mod.ts";
import {
  type Cbor,
  type Clock,
  decode,
  encode,
  Fault,
  type KeyPair,
  open1,
  sign1,
  verify1,
} from "../mq/mod.ts";
import { context, TYPE } from "./entry.ts";
import type { Journal } from "./journal.ts";
import { headAgainMs, headEveryMs, headStaleMs, headWordBytesMax, keepersMax, timeMsMax } from "./limits.ts";
import { CONTROL } from "./names.ts";
import type { Own } from "./own.ts";
import { hostKey, type Policy } from "./trust.ts";

/** What a keeper says of a branch. */
export interface HeadWords {
  epoch: number;
  seq: number;
  id: Uint8Array;
  /** Where the control journal ends. */
  control: number;
  /** Counts up for ever, so that an old word is known for one. */
  n: number;
  /** The keeper's wall clock; for people only. */
  timeMs: number;
}

export interface HeadsOptions {
  db: Db;
  journal: Journal;
  clock: Clock;
  own: Own;
  key(): KeyPair;
  self(): string;
  /** The branch this host is on. */
  branch(): string | undefined;
  /** Whether this host, if it is a keeper, knows all that it has said. */
  maySign(): boolean;
}

/** How a host stands to its keepers' words. */
export interface HeadState {
  /** Since when it has not heard from a quorum, by its own clock. */
  sinceMs: number;
  isStale: boolean;
  /** The end of the branch and of the control journal that a quorum speaks of; 0: none. */
  seq: number;
  control: number;
}

export class Heads {
  readonly #o: HeadsOptions;
  /** This keeper's own last words, by branch. */
  readonly #said = new Map<string, { made: string; atMs: number; bytes: Uint8Array }>();
  /** When each keeper was last heard to say something new of a branch, by this host's monotonic clock. */
  readonly #heard = new Map<string, number>();
  readonly #startMs: number;

  constructor(options: HeadsOptions) {
    this.#o = options;
    const { db, clock } = options;
    this.#startMs = clock.now();
    const sql = "SELECT keeper, branch, heard_ms AS heardMs FROM head_word";
    for (
      const row of db.read((r) => r.all<{ keeper: string; branch: string; heardMs: number }>(sql))
    ) {
      // How long this host was off only the wall clock can tell, and it may be wrong: nothing but the alarm goes by it.
      const agoMs = Math.max(0, clock.wall() - row.heardMs);
      this.#heard.set(`${row.keeper} ${row.branch}`, clock.now() - agoMs);
    }
  }

  /** What is known here of these branches, to tell a peer: own words, and those of other keepers. */
  words(branches: readonly string[]): Cbor {
    const { journal, db } = this.#o;
    const policy = journal.policy();
    if (policy === undefined) return [];
    const words: Cbor[] = [];
    for (const branch of branches.filter((b) => policy.branches.has(b))) {
      const own = this.#own(policy, branch);
      if (own !== undefined) words.push([branch, own]);
      const sql = "SELECT keeper, bytes FROM head_word WHERE branch = ?";
      for (const row of db.read((r) => r.all<{ keeper: string; bytes: Uint8Array }>(sql, branch))) {
        if (policy.keepers.hosts.includes(row.keeper)) words.push([branch, row.bytes]);
      }
    }
    return words;
  }

  /** This keeper's own word, made anew when it says something else or is old. */
  #own(policy: Policy, branch: string): Uint8Array | undefined {
    const { journal, clock, db, own, key, self, maySign } = this.#o;
    if (!policy.keepers.hosts.includes(self()) || !maySign()) return undefined;
    const { epoch, seq, id } = journal.head(branch);
    const made = JSON.stringify([epoch, seq, policy.seq, self()]);
    const last = this.#said.get(branch);
    const ageMs = last === undefined ? Infinity : clock.now() - last.atMs;
    if (last !== undefined && ageMs < (last.made === made ? headEveryMs : headAgainMs)) return last.bytes;
    const n = db.write((tx) => own.count(tx, "head", clock.wall()));
    const words: HeadWords = { epoch, seq, id, control: policy.seq, n, timeMs: clock.wall() };
    const bytes = sign1(key(), context(TYPE.head, policy.domain, branch), encode({ ...words }));
    this.#said.set(branch, { made, atMs: clock.now(), bytes });
    return bytes;
  }

  /** Keeps what a peer told that is new and signed by a keeper of this host's branch; in one transaction. */
  take(from: string, value: Cbor): void {
    const { journal, db, clock, own, self, branch } = this.#o;
    const policy = journal.policy();
    const here = branch();
    if (!Array.isArray(value) || policy === undefined || here === undefined) return;
    const news = new Map<string, { n: number; bytes: Uint8Array }>();
    const direct: string[] = [];
    for (const one of value.slice(0, 2 * keepersMax)) {
      const [named, bytes] = Array.isArray(one) ? one : [];
      if (named !== here || !(bytes instanceof Uint8Array) || bytes.length > headWordBytesMax) continue;
      const { kid, n, isNew } = this.#read(policy, here, from, bytes) ?? { kid: "", n: 0, isNew: false };
      if (kid === "") continue;
      if (kid === from) direct.push(kid);
      if (kid === self()) own.hearCount("head", n);
      else if (isNew && n > (news.get(kid)?.n ?? -1)) news.set(kid, { n, bytes });
    }
    if (news.size === 0 && direct.length === 0) return;
    const insert = `INSERT INTO head_word VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (keeper, branch) DO UPDATE
      SET n = excluded.n, bytes = excluded.bytes, heard_ms = excluded.heard_ms`;
    db.write((tx) => {
      for (const [kid, { n, bytes }] of news) tx.run(insert, kid, here, n, bytes, clock.wall());
      for (const kid of direct) {
        tx.run("UPDATE head_word SET direct = 1 WHERE keeper = ? AND branch = ?", kid, here);
      }
    });
    for (const kid of news.keys()) this.heard(kid, here);
  }

  /**
   * Who said it and its number, when its signature holds and it is newer than what is held; or as new, when it is the first
   * that the keeper told this host itself.
   */
  #read(
    policy: Policy,
    branch: string,
    from: string,
    bytes: Uint8Array,
  ): { kid: string; n: number; isNew: boolean } | undefined {
    try {
      const { kid, payload } = open1(bytes);
      if (!policy.keepers.hosts.includes(kid)) return undefined;
      const { n } = readWords(payload);
      const kept = this.#kept(kid, branch);
      const isNew = n > (kept?.n ?? -1);
      const isFirst = kid === from && n === kept?.n && kept.direct === 0;
      if (!isNew && !isFirst) return undefined; // old: not worth a look at its signature
      verify1(bytes, context(TYPE.head, policy.domain, branch), hostKey(policy, kid));
      return { kid, n, isNew };
    } catch (e) {
      if (e instanceof Fault) return undefined; // not what a keeper of ours would say
      throw e;
    }
  }

  #kept(keeper: string, branch: string): HeadWords & { direct: number } | undefined {
    const sql = "SELECT bytes, direct FROM head_word WHERE keeper = ? AND branch = ?";
    const row = this.#o.db.read((r) => r.get<{ bytes: Uint8Array; direct: number }>(sql, keeper, branch));
    return row && { ...readWords(open1(row.bytes).payload), direct: row.direct };
  }

  /**
   * How far a branch was, by a quorum of keepers who each told this host themselves: what others tell on may be as old as
   * they like. undefined: not so many have. Where this branch or its epoch has moved on since, it is further than this says.
   */
  direct(branch: string): number | undefined {
    const { hosts, quorum } = this.#o.journal.needPolicy("up").keepers;
    const { epoch } = this.#o.journal.head(branch);
    const words = hosts.map((k) => this.#kept(k, branch)).filter((w) => w?.direct === 1 && w.epoch >= epoch);
    return words.map((w) => w!.seq).sort((a, b) => b - a)[quorum - 1];
  }

  /** A keeper has just said how it stands, in whatever words that cannot be old. */
  heard(keeper: string, branch: string): void {
    this.#heard.set(`${keeper} ${branch}`, this.#o.clock.now());
  }

  /** How long ago a quorum of keepers was last heard, and what it said. */
  state(branch: string): HeadState {
    const { journal, clock, self, maySign } = this.#o;
    const policy = journal.needPolicy("status");
    const { hosts, quorum } = policy.keepers;
    const isOwn = (k: string) => k === self() && maySign();
    const ages = hosts.map((k) =>
      isOwn(k) ? 0 : clock.now() - (this.#heard.get(`${k} ${branch}`) ?? this.#startMs)
    );
    const ageMs = [...ages].sort((a, b) => a - b)[quorum - 1] ?? 0;
    const words = hosts.flatMap((k) =>
      isOwn(k)
        ? [{ ...journal.head(branch), control: journal.head(CONTROL).seq }]
        : this.#kept(k, branch) ?? []
    );
    const { epoch } = journal.head(branch);
    const atQuorum = (of: number[]) => of.sort((a, b) => b - a)[quorum - 1] ?? 0;
    return {
      sinceMs: clock.wall() - ageMs,
      isStale: ageMs > headStaleMs,
      seq: atQuorum(words.filter((w) => w.epoch >= epoch).map(({ seq }) => seq)),
      control: atQuorum(words.map(({ control }) => control)),
    };
  }
}

function readWords(payload: Uint8Array): HeadWords {
  const w = decode(payload) as unknown as HeadWords;
  const counts = [w?.epoch, w?.seq, w?.control, w?.n, w?.timeMs];
  const isSound = counts.every((v) => Number.isSafeInteger(v) && v >= 0) && w.timeMs <= timeMsMax &&
    w.id instanceof Uint8Array && Object.keys(w).length === 6;
  if (!isSound) {
    throw new Fault("heads", "corrupt", "a keeper's word about an end is malformed", {
      hint: "isconf version",
    });
  }
  return w;
}
