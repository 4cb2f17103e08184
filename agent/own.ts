// Own: what this host has signed, as far as its own database remembers, against what others have of it. Who was put back from a
// backup, or runs twice, would sign something else for a place that it has signed before: so it signs nothing until a person
// has let it take in what others know (recover.ts). Not whether others are lied to (forks.ts).
import type { Db, Tx } from "../fs/mod.ts";
import { Fault, toHex } from "../mq/mod.ts";
import { openVote, votesOf } from "./entry.ts";
import type { Checked } from "./journal.ts";
import { inert } from "./names.ts";
import { getMeta, type MetaName, setMeta } from "./schema.ts";

/** What is counted: entries made on this host, and its votes as a keeper. */
export type Signs = "entry" | "vote";

/** A place for which something was signed; of entries only the first two count. */
export interface SignedPlace {
  epoch: number;
  seq: number;
  term: number;
}

/** Counters that go up with everything this host says of itself: its reports, and as a keeper its words about heads. */
export type Counter = MetaName & ("report" | "head");

export class Own {
  readonly #db: Db;
  readonly #key: () => { publicKey: Uint8Array };
  readonly #self: () => string;
  readonly #log: (line: string) => void;

  constructor(
    options: { db: Db; key(): { publicKey: Uint8Array }; self(): string; log(line: string): void },
  ) {
    this.#db = options.db;
    this.#key = options.key;
    this.#self = options.self;
    this.#log = options.log;
  }

  /** Notes what is about to be signed: in the transaction without which nobody sees the signature. */
  sign(tx: Tx, what: Signs, branch: string, place: SignedPlace): void {
    const { epoch, seq, term } = place;
    if (!isBeyond(place, this.last(what, branch))) return;
    tx.run(
      `INSERT INTO signed VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (what, branch) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, term = excluded.term`,
      what,
      branch,
      epoch,
      seq,
      term,
    );
  }

  /** The last place for which this host has signed something; undefined: none that it remembers. */
  last(what: Signs, branch: string): SignedPlace | undefined {
    return this.#db.read((r) =>
      r.get<SignedPlace>("SELECT epoch, seq, term FROM signed WHERE what = ? AND branch = ?", what, branch)
    );
  }

  /** The next value of a counter: higher than any that was used, durable before anybody hears of it. */
  count(tx: Tx, counter: Counter, wallMs: number): number {
    const n = Math.max(wallMs, Number(getMeta(this.#db, counter) ?? 0) + 1);
    setMeta(tx, counter, String(n));
    return n;
  }

  /** Somebody has what this host is said to have signed with this value of a counter; the caller has checked its signature. */
  hearCount(counter: Counter, n: number): void {
    if (n <= Number(getMeta(this.#db, counter) ?? 0)) return;
    this.#db.write((tx) => {
      setMeta(tx, counter, String(n)); // what it says from now on is newer
      this.#found(tx, `others have heard a later ${counter === "head" ? "word" : "report"} of this host`);
    });
  }

  /** A checked entry is kept: is it this host's, or certified with its vote, and not remembered? */
  hear(tx: Tx, { record, entry }: Checked): void {
    const { branch, epoch, seq } = entry;
    if (toHex(entry.origin) === this.#self()) {
      const place = { epoch, seq, term: 0 };
      const last = this.last("entry", branch);
      if (isBeyond(place, last && { ...last, term: 0 })) {
        this.#found(tx, `entry ${seq} of ${inert(branch)} was made on this host`);
        this.sign(tx, "entry", branch, place);
      }
    }
    for (const { kid, bytes } of votesOf(record.cert)) {
      if (kid !== this.#self()) continue;
      this.hearVote(tx, branch, openVote(bytes, entry.domain, branch, this.#key().publicKey));
    }
  }

  /** The same of a vote. */
  hearVote(tx: Tx, branch: string, place: SignedPlace): void {
    if (!isBeyond(place, this.last("vote", branch))) return;
    this.#found(tx, `this host has voted for entry ${place.seq} of ${inert(branch)}`);
    this.sign(tx, "vote", branch, place);
  }

  /** Something turned up that this host has signed and does not remember. */
  #found(tx: Tx, what: string): void {
    if (this.ahead() !== undefined) return;
    const why = `${what}, and its own database does not know that`;
    setMeta(tx, "ahead", why);
    tx.onCommit(() => this.#log(`${why}: it signs nothing until isconf recover`));
  }

  /** The same, outside of a transaction. */
  found(what: string): void {
    this.#db.write((tx) => this.#found(tx, what));
  }

  /** What others know of this host that it does not remember; undefined when that is nothing. */
  ahead(): string | undefined {
    return getMeta(this.#db, "ahead");
  }

  /** Throws a refused fault when this host must not sign anything. */
  need(op: string): void {
    const why = this.ahead();
    if (why === undefined) return;
    throw new Fault(op, "refused", `this host was put back from a backup, or runs twice: ${why}`, {
      hint: "isconf recover",
    });
  }

  /** A person has let it take in what others know: from here on it signs again. */
  recovered(tx: Tx): void {
    setMeta(tx, "ahead", undefined);
  }
}

/** Whether a place lies beyond another. */
function isBeyond(a: SignedPlace, b: SignedPlace | undefined): boolean {
  if (b === undefined) return true;
  if (a.epoch !== b.epoch) return a.epoch > b.epoch;
  return a.seq !== b.seq ? a.seq > b.seq : a.term > b.term;
}
