// Name spread: records of names from host to host: told when they are said, and compared with a peer now and then, which
// brings what was missed. Whatever comes is checked here before it is kept. Not what a name means (naming.ts).
import {
  bytesEqual,
  type Cancel,
  type Cbor,
  type Clock,
  compareBytes,
  Fault,
  fraction,
  fromHex,
  pause,
  toHex,
} from "../mq/mod.ts";
import { Complaints } from "./complaints.ts";
import type { Journal } from "./journal.ts";
import {
  nameAskIds,
  nameIdsMax,
  namePageIds,
  nameRefusedMax,
  nameRumoursMax,
  nameRumoursMs,
  pageBytesMax,
  pullAskMs,
  sweepMs,
} from "./limits.ts";
import type { Mesh } from "./mesh.ts";
import { CONTROL } from "./names.ts";
import { checkNameRecord, type NameRecord, readName } from "./name_records.ts";
import type { NameTable } from "./name_table.ts";
import type { Policy } from "./trust.ts";

export interface NameSpreadOptions {
  table: NameTable;
  journal: Journal;
  mesh: Mesh;
  clock: Clock;
  log(line: string): void;
}

export class NameSpread {
  readonly #o: NameSpreadOptions;
  readonly #complaints: Complaints;
  /** Peers that are being compared with, and whether that is to be done once more. */
  readonly #comparing = new Map<string, boolean>();
  /** Hosts that know a policy that is not here yet: are asked again when it comes. */
  readonly #early = new Set<string>();
  /** Records for which there is no right or no room here: are not asked for again under this policy. */
  readonly #refused = new Set<string>();
  /** How many rumours of each author were listened to, and until when that counts. */
  readonly #heard = new Map<string, { n: number; untilMs: number }>();
  #sweeping: Cancel = () => {};
  #stopped = false;

  constructor(options: NameSpreadOptions) {
    this.#o = options;
    const { mesh, journal } = options;
    this.#complaints = new Complaints((line) => this.#stopped || options.log(line));
    mesh.answer("names", (_, value) => this.#ids(value));
    mesh.answer("nameRecords", (_, value) => this.#records(value));
    mesh.onRumour("name", (host, value) => this.#hear(host, value));
    mesh.onPeer((host, up) => void (up && this.#compare(host)));
    journal.onGrown((branch) => void (branch === CONTROL && this.#settle()));
    this.#sweep();
  }

  /** Tells the others what was said here. */
  tell(record: NameRecord): void {
    this.#o.mesh.publish("name", record.bytes);
  }

  /** Asks nobody any more. */
  stop(): void {
    this.#stopped = true;
    this.#sweeping();
  }

  #hear(host: string, value: Cbor): void {
    const { table, journal, clock, mesh } = this.#o;
    const policy = journal.policy();
    if (this.#stopped || policy === undefined) return;
    try {
      const record = readName(value);
      if (table.has(record.id) || this.#refused.has(record.id)) return;
      if (policy.revoked.has(record.author)) return; // whose key was revoked may not be known there yet
      checkNameRecord(record, policy);
      const now = clock.now();
      const heard = this.#heard.get(record.author);
      const { n, untilMs } = heard !== undefined && now < heard.untilMs
        ? heard
        : { n: 0, untilMs: now + nameRumoursMs };
      this.#heard.set(record.author, { n: n + 1, untilMs });
      if (n >= nameRumoursMax) return; // as many as that are not news but noise
      if (table.take(policy, [record]).length === 0) this.#refuse(record.id);
      else mesh.publish("name", value); // told on by whom it is news for
    } catch (e) {
      this.#complain(host, e);
    }
  }

  /** Notes what is wrong. A record that came before the policy it needs is nothing wrong. */
  #complain(host: string, e: unknown): void {
    if (Fault.from("names", e).kind !== "refused") this.#complaints.note(host, e);
    else if (this.#o.mesh.peers().includes(host)) this.#early.add(host);
  }

  #refuse(id: string): void {
    if (this.#refused.size >= nameRefusedMax) this.#refused.clear();
    this.#refused.add(id);
  }

  /** More may be allowed now than before: what was refused is asked for again. */
  #settle(): void {
    this.#refused.clear();
    const early = [...this.#early];
    this.#early.clear();
    for (const host of early) void this.#compare(host);
  }

  #sweep(): void {
    this.#sweeping = this.#o.clock.after(sweepMs, () => {
      const peers = this.#o.mesh.peers();
      const host = peers[Math.floor(fraction(this.#o.clock) * peers.length)];
      if (host !== undefined) void this.#compare(host);
      this.#sweep();
    });
  }

  /** Compares all names with a peer's, and brings in what it has more. */
  async #compare(host: string): Promise<void> {
    const { journal, mesh, table } = this.#o;
    const policy = journal.policy();
    if (this.#stopped || policy === undefined || !mesh.peers().includes(host)) return;
    if (this.#comparing.has(host)) return void this.#comparing.set(host, true);
    this.#comparing.set(host, false);
    try {
      let after: Uint8Array = new Uint8Array(0);
      for (let seen = 0; seen < nameIdsMax && !this.#stopped; seen += namePageIds) {
        const answer = await mesh.ask(host, "names", [table.digest(policy), after], pullAskMs);
        if (answer === null || this.#stopped) return;
        const ids = readPage(answer, after);
        const unknown = ids.map(toHex).filter((id) => !table.has(id) && !this.#refused.has(id));
        if (!await this.#fetch(host, new Set(unknown)) || ids.length < namePageIds) return;
        after = ids.at(-1) as Uint8Array;
      }
    } catch (e) {
      this.#complain(host, e);
    } finally {
      const again = this.#comparing.get(host);
      this.#comparing.delete(host);
      if (again) void this.#compare(host);
    }
  }

  /** Brings in these records from a peer, some at a time; returns false when it does not have what it spoke of. */
  async #fetch(host: string, wanted: Set<string>): Promise<boolean> {
    while (wanted.size > 0) {
      const asked = [...wanted].slice(0, nameAskIds);
      const ids = asked.map(fromHex);
      const answer = await this.#o.mesh.ask(host, "nameRecords", ids, pullAskMs);
      const policy = this.#o.journal.policy();
      if (this.#stopped || policy === undefined) return false;
      if (!Array.isArray(answer) || answer.length > asked.length) throw unasked();
      if (answer.length === 0) return false;
      this.#take(host, policy, answer, wanted);
      await pause(); // others get their turn
    }
    return true;
  }

  /** Keeps what was asked for, each when it is right. Throws when something else came, or it is forged. */
  #take(host: string, policy: Policy, answer: Cbor[], wanted: Set<string>): void {
    const good: NameRecord[] = [];
    try {
      for (const bytes of answer) {
        const record = readName(bytes);
        if (!wanted.delete(record.id)) throw unasked();
        if (policy.revoked.has(record.author)) {
          this.#refuse(record.id);
          continue;
        }
        try {
          checkNameRecord(record, policy);
          good.push(record);
        } catch (e) {
          if (Fault.from("names", e).kind === "corrupt") throw e;
          this.#complain(host, e);
          this.#refuse(record.id);
        }
      }
    } finally {
      const kept = new Set(this.#o.table.take(policy, good).map(({ id }) => id));
      for (const { id } of good) if (!kept.has(id)) this.#refuse(id);
    }
  }

  /** The answer to a comparison: null when both have the same, else a page of the ids of what is here. */
  #ids(value: Cbor): Cbor {
    const [digest, after] = Array.isArray(value) ? value : [];
    const policy = this.#o.journal.policy();
    if (!(digest instanceof Uint8Array) || !(after instanceof Uint8Array)) throw unasked();
    if (policy === undefined || bytesEqual(digest, this.#o.table.digest(policy))) return null;
    return this.#o.table.ids(policy, after, namePageIds);
  }

  #records(value: Cbor): Cbor {
    const policy = this.#o.journal.policy();
    if (!Array.isArray(value) || value.length > nameAskIds || !value.every(isId)) throw unasked();
    return policy === undefined ? [] : this.#o.table.records(policy, value, pageBytesMax);
  }
}

const isId = (v: Cbor | undefined): v is Uint8Array => v instanceof Uint8Array && v.length === 32;

/** A page of ids that goes on after `after`, in ascending order, so that a comparison has an end. */
function readPage(answer: Cbor, after: Uint8Array): Uint8Array[] {
  if (!Array.isArray(answer) || answer.length > namePageIds || !answer.every(isId)) throw unasked();
  const isInOrder = answer.every((id, i) =>
    compareBytes(i === 0 ? after : answer[i - 1] as Uint8Array, id) < 0
  );
  if (!isInOrder) throw unasked();
  return answer;
}

const unasked = () =>
  new Fault("names", "corrupt", "names are asked for, and answered, by digest and ids in order", {
    hint: "isconf version",
  });
