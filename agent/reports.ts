// Reports: what each host says of itself, signed by it: branch, how far it is, what stopped it. The newest of each is kept,
// so that a host that is off is still known, and passed on by others; who is asked signs the question's nonce with it.
// Never a reason to do anything: only shown to people.
import type { Db, Reader } from "../fs/mod.ts";
import {
  bytesEqual,
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
import {
  pageBytesMax,
  reportAskMs,
  reportBytesMax,
  reportFreshMs,
  reportHostsMax,
  reportTextMax,
  timeMsMax,
} from "./limits.ts";
import type { Mesh } from "./mesh.ts";
import type { Own } from "./own.ts";
import { getMeta } from "./schema.ts";
import { hostKey, isMember, members } from "./trust.ts";

/** How a host can stand. */
export const STATES = [
  "current",
  "behind",
  "failed",
  "uncertain",
  "restarting",
  "diverged",
  "forked",
  "restored",
];

/** How a host stands, in its own words. */
export interface ReportWords {
  /** Counts up for ever, so that an old report is known for one. */
  n: number;
  timeMs: number;
  branch: string;
  at: number;
  of: number;
  /** One of {@link STATES}. */
  state: string;
  sinceMs: number;
  /** Why it stands where it stands; "" when nothing stops it. */
  why: string;
}

/** What is known of another host. */
export interface HostReport extends ReportWords {
  host: string;
  /** When it came here first, by this host's clock. */
  heardMs: number;
  /** When the host said so, by its own clock, which may be ahead: at most `heardMs`. Who passes it on changes nothing. */
  saidMs: number;
  /** Whether the host itself has just answered. */
  live: boolean;
}

export interface ReportsOptions {
  db: Db;
  journal: Journal;
  mesh: Mesh;
  clock: Clock;
  own: Own;
  key(): KeyPair;
  self(): string;
  /** How this host stands now; undefined while it is on no branch. */
  stands(): Omit<ReportWords, "n" | "timeMs"> | undefined;
}

export class Reports {
  readonly #o: ReportsOptions;
  /** The last report of this host's own: what it was made of, and when. */
  #last: { own: string; atMs: number; bytes: Uint8Array } | undefined;
  readonly #asking = new Map<string, Promise<boolean>>();
  /** Hosts of which something was kept since somebody asked for news; undefined: nobody has. */
  #news: Set<string> | undefined;

  constructor(options: ReportsOptions) {
    this.#o = options;
    options.mesh.answer("report", (_, value) => {
      const [nonce, theirs] = Array.isArray(value) ? value : [];
      this.#keep(theirs ?? null);
      return this.#present(nonce);
    });
    options.mesh.answer("reports", (_, value) => this.#kept(value));
    options.mesh.onRumour("report", (_, value) => {
      if (this.#keep(value)) options.mesh.publish("report", value); // told on by whom it is news for
    });
    options.mesh.onPeer((host, up) => void (up && this.#ask(host)));
  }

  /** This host's report of now, signed; nothing while it is on no branch. Whoever asks, it is not made anew each time. */
  sign(): Uint8Array | undefined {
    const { db, clock, journal } = this.#o;
    const own = this.#o.stands();
    const policy = journal.policy();
    if (own === undefined || policy === undefined) return undefined;
    const made = JSON.stringify([own, this.#o.self()]);
    if (this.#last?.own === made && clock.now() - this.#last.atMs < reportFreshMs) return this.#last.bytes;
    const n = db.write((tx) => this.#o.own.count(tx, "report", clock.wall()));
    const words: ReportWords = {
      n,
      timeMs: clock.wall(),
      ...own,
      why: own.why.slice(0, reportTextMax).toWellFormed(),
    };
    const bytes = sign1(this.#o.key(), context(TYPE.report, policy.domain, ""), encode({ ...words }));
    this.#last = { own: made, atMs: clock.now(), bytes };
    return bytes;
  }

  /** This host's report, bound to the question: an answer that was given before is worth nothing as one to another. */
  #present(nonce: Cbor | undefined): Cbor {
    const report = this.sign();
    const policy = this.#o.journal.policy();
    if (report === undefined || policy === undefined) return null;
    if (!(nonce instanceof Uint8Array) || nonce.length !== NONCE_BYTES) return null;
    return sign1(this.#o.key(), context(TYPE.present, policy.domain, ""), encode([nonce, report]));
  }

  /** Tells the others that something stopped this host: they may want to know before it is off again. */
  tell(): void {
    const bytes = this.sign();
    if (bytes !== undefined) this.#o.mesh.publish("report", bytes);
  }

  /** Lets the keepers know how far this host has come: who asks for it while it is off asks them. */
  tellKeepers(): void {
    const bytes = this.sign();
    const { mesh, journal } = this.#o;
    const keepers = journal.policy()?.keepers.hosts ?? [];
    if (bytes === undefined) return;
    for (const keeper of keepers.filter((k) => mesh.peers().includes(k))) void this.#ask(keeper, bytes);
  }

  /** Asks every connected host how it stands, and one of them for what it knows of those that are not connected. */
  async gather(): Promise<HostReport[]> {
    const { mesh, journal } = this.#o;
    const policy = journal.policy();
    if (policy === undefined) return [];
    const connected = mesh.peers();
    const live = new Set<string>();
    await Promise.all(connected.map(async (host) => {
      if (await this.#ask(host)) live.add(host);
    }));
    const absent = [...members(policy).keys()].filter((h) => h !== this.#o.self() && !live.has(h));
    const asked = policy.keepers.hosts.find((k) => live.has(k)) ?? [...live][0];
    if (asked !== undefined && absent.length > 0) {
      const answer = await mesh.ask(asked, "reports", absent.slice(0, reportHostsMax), reportAskMs).catch(
        silent,
      );
      for (const bytes of Array.isArray(answer) ? answer : []) this.#keep(bytes);
    }
    return this.known().map((report) => ({ ...report, live: live.has(report.host) }));
  }

  /** The number of this host's last report; 0 before the first. */
  last(): number {
    return Number(getMeta(this.#o.db, "report") ?? 0);
  }

  /** What was last heard of a host, if that is later than the report with this number. */
  later(host: string, n: number): Uint8Array | undefined {
    const sql = "SELECT bytes FROM report WHERE host = ? AND n > ?";
    return this.#o.db.read((r: Reader) => r.get<{ bytes: Uint8Array }>(sql, host, n)?.bytes);
  }

  /** Somebody has a report of this host. */
  hearOwn(bytes: Uint8Array): void {
    this.#keep(bytes);
  }

  /** What came since this was asked last, or else what is known. */
  news(): HostReport[] {
    const news = this.#news;
    this.#news = new Set();
    return news?.size === 0 ? [] : this.known(news);
  }

  /** What is known of other hosts, or of these, without asking anybody. */
  known(hosts?: ReadonlySet<string>): HostReport[] {
    const rows = this.#o.db.read((r: Reader) =>
      r.all<{ host: string; bytes: Uint8Array; heardMs: number }>(
        "SELECT host, bytes, heard_ms AS heardMs FROM report",
      )
    );
    return rows.flatMap(({ host, bytes, heardMs }) => {
      if (hosts?.has(host) === false) return [];
      const words = readWords(open1(bytes).payload);
      if (words === undefined) return [];
      return [{ host, heardMs, saidMs: Math.min(words.timeMs, heardMs), live: false, ...words }];
    });
  }

  /** Asks a host how it stands, perhaps telling it how we do; returns whether it answered. One question at a time. */
  async #ask(host: string, own: Uint8Array | null = null): Promise<boolean> {
    const running = this.#asking.get(host);
    if (running !== undefined && own === null) return await running;
    const nonce = this.#o.clock.random(NONCE_BYTES);
    const asked = this.#o.mesh.ask(host, "report", [nonce, own], reportAskMs).catch(silent)
      .then((answer) => this.#hear(host, nonce, answer));
    this.#asking.set(host, asked);
    try {
      return await asked;
    } finally {
      if (this.#asking.get(host) === asked) this.#asking.delete(host);
    }
  }

  /** Keeps the report in a host's answer; returns whether it was that host that gave it, to this question. */
  #hear(host: string, nonce: Uint8Array, answer: Cbor): boolean {
    const policy = this.#o.journal.policy();
    if (!(answer instanceof Uint8Array) || policy === undefined || !isMember(policy, host)) return false;
    try {
      const words = decode(verify1(answer, context(TYPE.present, policy.domain, ""), hostKey(policy, host)));
      const [asked, report] = Array.isArray(words) ? words : [];
      if (!(asked instanceof Uint8Array) || !bytesEqual(asked, nonce)) return false;
      this.#keep(report ?? null);
      return true;
    } catch (e) {
      if (e instanceof Fault) return false; // not what a host of ours would say
      throw e;
    }
  }

  /** What is held of these hosts, as much as fits into one message. */
  #kept(value: Cbor): Cbor {
    const wanted = new Set(Array.isArray(value) ? value.slice(0, reportHostsMax) : []);
    return this.#o.db.read((r: Reader) => {
      const kept: Uint8Array[] = [];
      let room = pageBytesMax;
      for (
        const { host, bytes } of r.iterate<{ host: string; bytes: Uint8Array }>(
          "SELECT host, bytes FROM report",
        )
      ) {
        if (!wanted.has(host) || bytes.length + 8 > room) continue;
        room -= bytes.length + 8;
        kept.push(bytes);
      }
      return kept;
    });
  }

  /** Keeps a report whose signature holds, unless one as new is held; returns whether it is news. */
  #keep(value: Cbor): boolean {
    const { journal, db, clock } = this.#o;
    const policy = journal.policy();
    if (!(value instanceof Uint8Array) || value.length > reportBytesMax || policy === undefined) {
      return false;
    }
    try {
      const host = open1(value).kid;
      if (!isMember(policy, host)) return false;
      const words = readWords(verify1(value, context(TYPE.report, policy.domain, ""), hostKey(policy, host)));
      if (words === undefined) return false;
      if (host === this.#o.self()) {
        this.#o.own.hearCount("report", words.n); // is there another host that speaks with our key?
        return false;
      }
      const held = db.read((r: Reader) =>
        r.get<{ n: number }>("SELECT n FROM report WHERE host = ?", host)?.n ?? -1
      );
      if (words.n <= held) return false;
      db.write((tx) =>
        tx.run(
          "INSERT OR REPLACE INTO report VALUES (?, ?, ?, ?)",
          host,
          words.n,
          value,
          clock.wall(),
        )
      );
      this.#news?.add(host);
      return true;
    } catch (e) {
      if (e instanceof Fault) return false; // not what a host of ours would say
      throw e;
    }
  }
}

/** As many as a keeper's questions have. */
const NONCE_BYTES = 16;

const silent = (e: unknown): Cbor => {
  if (e instanceof Fault) return null;
  throw e;
};

function readWords(payload: Uint8Array): ReportWords | undefined {
  const w = decode(payload) as unknown as ReportWords;
  const counts = [w?.n, w?.timeMs, w?.at, w?.of, w?.sinceMs];
  const texts = [w?.branch, w?.state, w?.why];
  const isSound = counts.every((v) => Number.isSafeInteger(v) && (v as number) >= 0) &&
    w.timeMs <= timeMsMax && w.sinceMs <= timeMsMax && STATES.includes(w.state) &&
    texts.every((v) => typeof v === "string" && v.length <= reportTextMax) && Object.keys(w).length === 8;
  return isSound ? w : undefined;
}
