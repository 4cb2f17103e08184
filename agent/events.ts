// Events: what has happened on this host and in its domain, numbered as it came to be known here, for people and programs
// that watch. Hints about the log, which is the truth: they are made from it (event_sources.ts), bounded in number, and
// whoever was away for too long is told that some are missing.
import type { Db, Reader, Tx } from "../fs/mod.ts";
import { type Clock, Fault, toHex } from "../mq/mod.ts";
import { Again } from "./again.ts";
import type { CloudEvent, EventFilter, EventPage } from "./event.ts";
import type { Marks, NewEvent } from "./event_sources.ts";
import { eventLookMs, eventsKeptMax, eventsPruneEach } from "./limits_api.ts";
import { getMeta, setMeta } from "./schema.ts";

interface Row {
  n: number;
  timeMs: number;
  type: string;
  host: string;
  branch: string;
  subject: string;
  data: string;
}

export interface EventsOptions {
  db: Db;
  clock: Clock;
  /** What has happened since the marks were set, in order. */
  look(marks: Marks): NewEvent[];
  log(line: string): void;
}

export class Events {
  readonly #o: EventsOptions;
  #marks: Map<string, string>;
  readonly #waiting = new Set<() => void>();
  readonly #looking: Again;
  readonly #life: string;
  readonly #unhook: () => void;
  #isClosed = false;

  /** Looks at once, and again a moment after each commit. */
  constructor(options: EventsOptions) {
    this.#o = options;
    const { db, clock, log } = options;
    this.#marks = new Map(
      db.read((r: Reader) =>
        r.all<{ name: string; value: string }>("SELECT name, value FROM event_mark")
          .map(({ name, value }) => [name, value])
      ),
    );
    this.#life = getMeta(db, "events") ?? this.#begin();
    this.#looking = new Again(async () => {
      await new Promise<void>((resolve) => clock.after(eventLookMs, resolve)); // what comes together is written together
      if (!this.#isClosed) this.look();
    }, (e) => log(`events: ${e.message}`));
    this.#unhook = db.onChange(() => this.#looking.goOn());
    this.#looking.goOn();
  }

  /** Cursors of another life of this database are known for such. */
  #begin(): string {
    const life = toHex(this.#o.clock.random(4));
    this.#o.db.write((tx) => setMeta(tx, "events", life));
    return life;
  }

  /** Looks now for what has happened; how many events that were. */
  look(): number {
    const { db, clock, look } = this.#o;
    const before = new Map(this.#marks);
    let events: NewEvent[];
    try {
      events = look(this.#marks);
      const changed = [...this.#marks].filter(([name, value]) => before.get(name) !== value);
      if (events.length === 0 && changed.length === 0) return 0;
      db.write((tx) => {
        for (const [name, value] of changed) {
          tx.run(
            "INSERT INTO event_mark VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name,
            value,
          );
        }
        for (const e of events) {
          const { lastInsertRowid } = tx.run(
            "INSERT INTO event (time_ms, type, host, branch, subject, data) VALUES (?, ?, ?, ?, ?, ?)",
            clock.wall(),
            e.type,
            e.host,
            e.branch,
            e.subject,
            JSON.stringify(e.data),
          );
          if (lastInsertRowid % eventsPruneEach === 0) prune(tx, lastInsertRowid);
        }
      });
    } catch (e) {
      this.#marks = before; // they are looked for again
      throw e;
    }
    if (events.length > 0) this.#wake();
    return events.length;
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** The events behind a cursor; without one, those that come from now on. */
  page(after: string | undefined, filter: EventFilter, limit: number): EventPage {
    const last = this.#last();
    const [from, missed] = after === undefined ? [last, false] : this.#place(after, last);
    const { types, branch, host } = filter;
    const { rows, at } = this.#o.db.read((r: Reader) => {
      const rows: Row[] = [];
      let at = from;
      const sql =
        "SELECT n, time_ms AS timeMs, type, host, branch, subject, data FROM event WHERE n > ? ORDER BY n";
      for (const row of r.iterate<Row>(sql, from)) {
        at = row.n;
        if (types !== undefined && !types.includes(row.type)) continue;
        if (branch !== undefined && row.branch !== branch) continue;
        if (host !== undefined && row.host !== host) continue;
        rows.push(row);
        if (rows.length === limit) break;
      }
      return { rows, at };
    });
    return { events: rows.map((row) => this.#event(row)), cursor: `${this.#life}-${at}`, missed };
  }

  /** Resolves when something new has come, after `ms`, or when the agent ends; at once when there is something already. */
  async wait(after: string, ms: number): Promise<void> {
    const last = this.#last();
    if (this.#isClosed || this.#place(after, last)[0] < last) return;
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        cancel();
        resolve();
      };
      const cancel = this.#o.clock.after(ms, wake);
      this.#waiting.add(wake);
    });
  }

  /** How many there have been. */
  count(): number {
    return this.#last();
  }

  /** Nothing comes any more: who waits is let go. */
  close(): void {
    this.#isClosed = true;
    this.#unhook();
    this.#wake();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  #last(): number {
    const row = this.#o.db.read((r: Reader) => r.get<{ n: number | null }>("SELECT max(n) AS n FROM event"));
    return row?.n ?? 0;
  }

  /** Where a cursor stands, and whether what came right after it is gone. Throws a usage fault. */
  #place(cursor: string, last: number): [n: number, missed: boolean] {
    const [, life, digits] = /^([0-9a-f]{8})-([0-9]{1,15})$/.exec(cursor) ?? [];
    if (cursor !== "0" && life === undefined) {
      throw new Fault("watch", "usage", "that is no cursor: it is the id of an event, or 0", {
        hint: "isconf watch --after 0",
      });
    }
    const row = this.#o.db.read((r: Reader) => r.get<{ n: number | null }>("SELECT min(n) AS n FROM event"));
    const first = row?.n ?? last + 1;
    if (cursor === "0") return [0, first > 1];
    const n = Number(digits);
    if (life !== this.#life || n > last) return [0, true];
    return [n, n + 1 < first];
  }

  #event({ n, timeMs, type, host, branch, subject, data }: Row): CloudEvent {
    return {
      specversion: "1.0",
      id: `${this.#life}-${n}`,
      source: `/host/${encodeURIComponent(host)}`,
      type,
      subject,
      time: new Date(timeMs).toISOString(),
      branch,
      host,
      datacontenttype: "application/json",
      data: JSON.parse(data),
    };
  }
}

function prune(tx: Tx, n: number): void {
  tx.run("DELETE FROM event WHERE n <= ?", n - eventsKeptMax);
}
