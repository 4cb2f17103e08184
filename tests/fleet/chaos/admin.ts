// Admin: somebody on one host who works as people do while everything breaks: up, lock, a few pieces of work, ci, and what is left
// to do when an answer stays away. Records what was asked and told. Knows nothing of the faults (nemesis.ts).
import { setTimeout as pause } from "node:timers/promises";
import type { Operation } from "../../judge/history.ts";
import type { Host } from "../fleet.ts";
import type { Dice, Recorder } from "./recorder.ts";

/** Milliseconds that a verb may take before its client gives up on the answer. */
const verbMs = 90_000;
/** How often a lock is refused before somebody loses patience and steals it. */
const patience = 8;

/** What a verb said. `exit` of -1: nobody knows, as the host went away under it. */
interface Said {
  exit: number;
  json: { [name: string]: unknown };
  text: string;
}

interface Item {
  n: number;
  state: string;
  text: string;
}

/** Exits after which a lock was certainly not taken: locked, not locked (somebody was faster), refused, denied, diverged, not running. */
const NOT_TAKEN = [220, 221, 1, 77, 224, 111];
/** Exits after which it is worth asking again: no quorum, the agent went away, it does not run, the machine, nobody knows. */
const ASK_AGAIN = [223, 104, 111, 125, -1];

const ID = /\b(host[a-z](?:-[0-9]+)?\.[0-9]+)\b/;

/** What work an entry or a piece of work is, by what is said of it; "" when it is none of ours. */
export const workOf = (text: string): string => ID.exec(text)?.[1] ?? "";

export interface AdminOptions {
  /** Runs commands, which cannot be taken back; else only snaps files. */
  execs: boolean;
  /** Whether verbs that ask again and again should stop doing so. */
  isOver(): boolean;
}

export class Admin {
  readonly host: Host;
  /** The name of the host in the domain, and so of this client. */
  name: string;
  /** Set when this host has run what can never be checked in: it has to be rebuilt. */
  mustRebuild = false;
  done = { ci: 0, steals: 0, lost: 0 };
  readonly #record: Recorder;
  readonly #dice: Dice;
  readonly #o: AdminOptions;
  #count = 0;
  #refused = 0;
  /** The place that work under the lock which this client had last is for. */
  #from: number | undefined;

  constructor(host: Host, record: Recorder, dice: Dice, options: AdminOptions) {
    this.host = host;
    this.name = host.name;
    this.#record = record;
    this.#dice = dice;
    this.#o = options;
  }

  /** One turn: it ends with the work checked in, given up, or still waiting because nothing could be asked. */
  async turn(): Promise<void> {
    const left = await this.#wip();
    if (left === undefined) return;
    if (left.length > 0) return await this.#finish(left);
    await this.up();
    if (!await this.#lock()) return;
    if (this.#dice.is(0.08)) return await this.#unlock();
    for (let k = 1 + this.#dice.below(3); k > 0; k--) if (!await this.#work()) break;
    const items = await this.#wip();
    if (items === undefined) return; // the next turn sees to it
    if (items.length === 0) return await this.#unlock();
    if (this.#dice.is(0.05) && !items.some(isCommand)) return await this.#drop(items);
    if (this.#dice.is(0.1)) await pause(this.#dice.between(500, 4_000)); // somebody may steal it
    await this.#finish(items);
  }

  /** Ends what is under way; true when nothing waits here. */
  async rest(): Promise<boolean> {
    const left = await this.#wip();
    if (left === undefined || this.mustRebuild) return false;
    if (left.length > 0) await this.#finish(left);
    return left.length === 0;
  }

  /** Applies what there is; says of an entry that was cut off what is so. */
  async up(): Promise<void> {
    const said = await this.#verb("up");
    if (said.exit !== 227) return;
    await pause(1_000); // a command that was cut off may still be running
    const seq = Number(/entry ([0-9]+)/.exec(said.text)?.[1]);
    const shown = await this.#verb("log");
    const entries = (shown.json.entries ?? []) as { seq: number; ops: string[] }[];
    const work = workOf(entries.find((entry) => entry.seq === seq)?.ops.join(" ") ?? "");
    const how = await this.#hasRun(work) ? "--done" : "--again";
    this.#record.say(this.name, `entry ${seq}, ${work}, was cut off: ${how}`);
    await this.#verb("up", how, String(seq));
  }

  /** What a verb says. */
  async #verb(...words: string[]): Promise<Said> {
    let said: Said;
    try {
      const { status, stdout, stderr } = await this.host.run(["isconf", "--json", ...words], {
        timeoutMs: verbMs,
      });
      const exit = typeof status === "number" ? status : -1;
      said = { exit, json: exit === 0 ? jsonOf(stdout) : {}, text: stderr + (exit === 0 ? "" : stdout) };
    } catch (e) {
      said = { exit: -1, json: {}, text: (e as Error).message };
    }
    const of = said.exit === 0 ? "" : said.text;
    if (!["log", "wip", "status"].includes(words[0] as string) || said.exit !== 0) {
      this.#record.say(this.name, `${words.join(" ")}: ${said.exit} ${of}`);
    }
    if (ASK_AGAIN.includes(said.exit)) await pause(this.#dice.between(200, 1_000));
    return said;
  }

  async #lock(maySteal = true): Promise<boolean> {
    const steal = maySteal && (this.#refused >= patience || this.#dice.is(0.04));
    const operation = this.#record.begin(this.name, "lock", { steal });
    let isUnknown = false;
    for (let i = 0; i < 3; i++) {
      const callUs = this.#record.nowUs;
      const said = await this.#verb("lock", ...(steal ? ["--steal"] : []), "work");
      if (said.exit === 0) {
        this.#record.ended(operation, { term: said.json.term as number });
        Object.assign(operation, await this.#seen());
        this.#from = operation.length === undefined ? undefined : operation.length + 1;
        this.#refused = 0;
        if (steal) this.done.steals++;
        return true;
      }
      if (said.exit === 220) this.#refused++;
      if (said.exit === 224) this.mustRebuild = this.#o.execs;
      if (NOT_TAKEN.includes(said.exit)) {
        if (!isUnknown) this.#record.nothing(operation);
        return false;
      }
      isUnknown = true;
      if (steal) this.#record.stoleInVain(this.name, callUs);
    }
    return false;
  }

  /** How far this host has come: who has just got the lock has applied everything. */
  async #seen(): Promise<Partial<Operation>> {
    const { exit, json } = await this.#verb("log", "--last", "8");
    if (exit !== 0) return {};
    const entries = json.entries as { seq: number; ops: string[]; here: string }[];
    const last = entries.findLast(({ here }) => here === "applied");
    if (last === undefined) return entries.length === 0 ? { length: 0, last: "" } : {};
    return { length: last.seq, last: workOf(last.ops.join(" ")) };
  }

  async #unlock(): Promise<void> {
    const operation = this.#record.begin(this.name, "unlock");
    const { exit } = await this.#verb("unlock");
    if (exit === 0) this.#record.ended(operation);
    else if ([220, 221, 1, 111].includes(exit)) this.#record.nothing(operation);
  }

  /** One piece of work; false when it is not known to be done. */
  async #work(): Promise<boolean> {
    const id = `${this.name}.${++this.#count}`;
    if (this.#o.execs && this.#dice.is(0.7)) {
      return (await this.#verb("exec", "sh", "-c", `echo ${id} >>/srv/n`)).exit === 0;
    }
    try {
      await this.host.write(`/srv/s/${id}`, id);
    } catch {
      return false; // the host has no power
    }
    return (await this.#verb("snap", `/srv/s/${id}`)).exit === 0;
  }

  /** The work that waits; undefined when nobody can say. What was cut off is settled as it is. */
  async #wip(): Promise<Item[] | undefined> {
    const { exit, json } = await this.#verb("wip");
    if (exit !== 0) return undefined;
    const items = json.items as Item[];
    const uncertain = items.find(({ state }) => state === "uncertain");
    if (uncertain === undefined) return items;
    await pause(1_000);
    const how = await this.#hasRun(workOf(uncertain.text)) ? "done" : "again";
    const settled = await this.#verb("wip", how, String(uncertain.n));
    if (settled.exit === 0) return await this.#wip();
    return ASK_AGAIN.includes(settled.exit) ? undefined : items;
  }

  /** Whether a command that this host was to run has run. */
  async #hasRun(work: string): Promise<boolean> {
    return (await this.host.run(["grep", "-qx", work, "/srv/n"])).status === 0;
  }

  /** Checks work in, asking until something is certain. */
  async #finish(items: Item[]): Promise<void> {
    const ids = items.map(({ text }) => workOf(text));
    const from = this.#from === undefined ? {} : { from: this.#from };
    const operation = this.#record.begin(this.name, "ci", { ids, ...from });
    while (!this.#o.isOver()) {
      const { exit, json } = await this.#verb("ci");
      if (exit === 0) {
        this.#record.ended(operation, { from: json.from as number });
        this.done.ci++;
        return;
      }
      operation.again = true;
      if (ASK_AGAIN.includes(exit)) continue;
      if (exit === 221 && await this.#lock(false)) continue;
      if (exit === 221 || exit === 220 || exit === 224 || exit === 227) break;
      const waiting = await this.#wip();
      if (waiting?.length === 0) return; // it has been found to be checked in, or somebody else finished it
      if (exit !== 1) break;
      await pause(300);
    }
    if (this.#o.isOver()) return;
    this.done.lost++;
    await this.#drop(items);
  }

  /** Gives work up. */
  async #drop(items: Item[]): Promise<void> {
    const operation = this.#record.begin(this.name, "drop");
    const words = items.some(isCommand) ? ["--rebuild"] : [];
    const { exit } = await this.#verb("wip", "drop", ...words);
    if (exit === 0) this.#record.ended(operation);
    else return;
    if (items.some(isCommand)) this.mustRebuild = true;
    const files = items.map(({ text }) => `/srv/s/${workOf(text)}`);
    await this.host.run(["rm", "-f", "--", ...files]).catch(() => {}); // no power: garbage, which no check looks at
  }
}

const isCommand = ({ text }: Item): boolean => text.includes("/srv/n");

function jsonOf(text: string): Said["json"] {
  try {
    return JSON.parse(text.trim().split("\n").at(-1) ?? "");
  } catch {
    return JSON.parse(text);
  }
}
