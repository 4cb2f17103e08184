// Chaos: a domain of real hosts with keepers, whose admins all work at the same time while lines, agents, power and clocks break by
// chance from a seed; then all is healed, and what is left is checked, by us and by judges that are not ours. The same seed
// breaks the same things in the same order; when exactly, the machine decides.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { judgeByPorcupine, lacksPorcupine } from "../../judge/porcupine.ts";
import { judge, lacksSolver } from "../../judge/solver.ts";
import { writeHistory } from "../../judge/history.ts";
import { agentLog, grant, makeDomain, status, token, until, untilConnected } from "../domain.ts";
import type { Fleet, Host, Owner } from "../fleet.ts";
import { Admin } from "./admin.ts";
import { giveClock, lacksClock } from "./clock.ts";
import { Nemesis } from "./nemesis.ts";
import { Dice, Recorder } from "./recorder.ts";
import { checkFleet, logOf, Places } from "./verdict.ts";

export interface ChaosOptions {
  seed: number;
  /** Milliseconds for which things break; up to three times as long, until so many check-ins have been told. */
  lastsMs: number;
  checkInsMin?: number;
  /** Where trace, history and logs are left. */
  dir: string;
  hosts?: number;
  keepers?: number;
  told?(line: string): void;
}

/** Milliseconds that work under way gets to end when nothing breaks any more, and hosts to have the same. */
const endMs = 120_000;
/** Z3 is asked about histories up to so many operations: it takes them whole, and thinks longer than Porcupine. */
const solverOperationsMax = 400;

/** Runs it. Throws what does not hold, with the seed and where the trace is. */
export async function chaos(t: Owner, options: ChaosOptions): Promise<string> {
  const record = new Recorder(options.dir);
  const told = options.told ?? (() => {});
  const run = new Run(t, options, record);
  try {
    await run.begin();
    told(
      `${options.keepers ?? 3} keepers of ${options.hosts ?? 5} hosts; seed ${options.seed}; trace: ${
        record.file("trace")
      }`,
    );
    await run.breakThings();
    await run.heal();
    return await run.verdict();
  } catch (e) {
    record.say("verdict", (e as Error).stack ?? String(e));
    await run.keepLogs();
    (e as Error).message += `\nseed ${options.seed}, after ${
      (record.nowUs / 1e6).toFixed(0)
    } s; see ${options.dir}`;
    throw e;
  } finally {
    record.close();
  }
}

class Run {
  readonly #t: Owner;
  readonly #o: ChaosOptions;
  readonly #record: Recorder;
  readonly #dice: Dice;
  readonly #places = new Places();
  #fleet!: Fleet;
  #nemesis!: Nemesis;
  #admins: Admin[] = [];
  #rebuilt = 0;
  #isBreaking = () => true;
  /** Until when work under way may go on; not known as long as things break. */
  #worksUntilMs: number | undefined;
  #wrong: Error | undefined;

  constructor(t: Owner, options: ChaosOptions, record: Recorder) {
    this.#t = t;
    this.#o = options;
    this.#record = record;
    this.#dice = new Dice(options.seed);
  }

  async begin(): Promise<void> {
    const { hosts = 5, keepers = 3 } = this.#o;
    const names = Array.from({ length: hosts }, (_, i) => `host${String.fromCharCode(97 + i)}`);
    const canStep = !lacksClock();
    if (!canStep) this.#o.told?.(`skipped: steps of clocks: ${lacksClock()}`);
    this.#fleet = await makeDomain(this.#t, names);
    const first = this.#fleet.host(names[0] as string);
    await Promise.all(names.map(async (name) => {
      await this.#prepare(this.#fleet.host(name));
      await this.#fleet.host(name).ok("restart"); // with a clock that can be stepped
    }));
    await untilConnected(this.#fleet, ...names);
    for (const name of names.slice(1)) await grant(this.#fleet, names[0] as string, `root@${name}`, "owner");
    if (keepers > 1) await first.ok("keeper", "add", ...names.slice(1, keepers));
    await untilConnected(this.#fleet, ...names);
    this.#nemesis = new Nemesis(this.#fleet, this.#record, this.#dice.fork(), canStep);
    // A keeper that has to be rebuilt is another keeper: so only others run what cannot be taken back.
    this.#admins = names.map((name, i) =>
      new Admin(this.#fleet.host(name), this.#record, this.#dice.fork(), {
        execs: i >= keepers,
        isOver: () => this.#isOver(),
      })
    );
  }

  async #prepare(host: Host): Promise<void> {
    await host.sh("mkdir -p /srv/s"); // the directory of a file has to be there
    if (!lacksClock()) await giveClock(host);
  }

  #isOver(): boolean {
    return this.#wrong !== undefined || performance.now() >= (this.#worksUntilMs ?? Infinity);
  }

  #sum(key: keyof Admin["done"]): number {
    return this.#admins.reduce((all, admin) => all + admin.done[key], 0);
  }

  /** Everybody works, and everything breaks. */
  async breakThings(): Promise<void> {
    const { lastsMs, checkInsMin = 0 } = this.#o;
    const begunMs = performance.now();
    this.#isBreaking = () => {
      const forMs = performance.now() - begunMs;
      const isEnough = forMs >= lastsMs && this.#sum("ci") >= checkInsMin;
      if (this.#wrong === undefined && !isEnough && forMs < 3 * lastsMs) return true;
      this.#worksUntilMs ??= performance.now() + endMs;
      return false;
    };
    const ends = this.#admins.map((admin) => this.#work(admin).catch((e) => void (this.#wrong ??= e)));
    const looks = this.#look().catch((e) => void (this.#wrong ??= e));
    await this.#nemesis.run(() => !this.#isBreaking());
    if (this.#wrong === undefined) {
      this.#record.say("chaos", "all is healed");
      await this.#nemesis.heal();
    }
    await Promise.all([...ends, looks]);
    if (this.#wrong !== undefined) throw this.#wrong;
  }

  async #work(admin: Admin): Promise<void> {
    while (this.#isBreaking()) {
      if (admin.mustRebuild) await this.#rebuild(admin);
      else await admin.turn();
    }
    for (let i = 0; i < 20 && !this.#isOver(); i++) {
      if (admin.mustRebuild) await this.#rebuild(admin);
      if (await admin.rest()) return;
    }
    throw new Error(`${admin.name} has not come to rest`);
  }

  /** Looks again and again what each host has. */
  async #look(): Promise<void> {
    while (this.#isBreaking()) {
      for (const name of this.#fleet.names) {
        const lines = await logOf(this.#fleet.host(name), "--last", "20").catch(() => []); // not now
        this.#places.take(name, lines);
      }
      await pause(2_000);
    }
  }

  /** A host that ran what was never checked in begins again, with an empty disk and another name. */
  async #rebuild(admin: Admin): Promise<void> {
    const { host } = admin, was = admin.name;
    const name = `${host.name}-${++this.#rebuilt}`;
    const first = this.#fleet.host(this.#fleet.names[0] as string);
    const untilSo = async (what: string, fn: () => Promise<unknown>) => {
      for (let i = 0; !this.#isOver(); i++) {
        try {
          return await fn();
        } catch (e) {
          this.#record.say(name, `${what}: ${(e as Error).message}`);
          await pause(1_000);
        }
      }
      throw new Error(`${name} cannot be rebuilt: ${what}`);
    };
    this.#record.say(name, `rebuilds ${was}`);
    this.#nemesis.spared.add(host.name);
    try {
      await untilSo("power", () => host.sh(":"));
      await this.#fleet.wipe(host.name);
      await this.#prepare(host);
      await untilSo("join", async () => {
        if ((await host.isconf("status")).stdout.includes(name)) return;
        await host.ok("join", "--host", name, await token(first, "--approve"));
      });
      await untilSo("grant", () => first.ok("grant", `root@${name}`, "owner"));
      await untilSo("evict", () => first.ok("evict", was, "rebuilt"));
      admin.name = name;
      admin.mustRebuild = false;
    } finally {
      this.#nemesis.spared.delete(host.name);
    }
  }

  /** Waits until all have the same, and have applied it. */
  async heal(): Promise<void> {
    for (const name of this.#fleet.names) {
      await until(`${name} has applied everything`, async () => {
        const host = this.#fleet.host(name);
        await this.#admins.find((admin) => admin.host === host)!.up();
        const heads = await Promise.all(this.#fleet.names.map((other) => status(this.#fleet.host(other))));
        const of = Math.max(...heads.map((head) => head.of));
        const own = await status(host);
        return own.of === of && own.at === of;
      }, endMs);
    }
  }

  async verdict(): Promise<string> {
    const { operations } = this.#record;
    const final = await checkFleet(this.#fleet, operations, this.#places);
    const history = { operations, final };
    writeHistory(this.#record.file("history.json"), history);
    const said = [];
    for (
      const [name, lack, ask] of [["Z3", lacksSolver(), judge], [
        "Porcupine",
        lacksPorcupine(),
        judgeByPorcupine,
      ]] as const
    ) {
      const reason = lack ||
        (name === "Z3" && operations.length > solverOperationsMax &&
          `more than ${solverOperationsMax} operations`);
      if (reason) {
        said.push(`${name} not asked: ${reason}`);
        continue;
      }
      const { isLinearizable, operations: count, tookMs } = await ask(history);
      assert.ok(isLinearizable, `${name}: the history is not linearizable`);
      said.push(`${name}: ${count} operations linearizable, ${tookMs} ms`);
    }
    // Who may, gets the lock now.
    const first = this.#fleet.host(this.#fleet.names[0] as string);
    await first.ok("lock", "--steal", "all is well");
    await first.ok("unlock");
    const faults = [...this.#nemesis.done].map(([name, n]) => `${n} ${name}`).join(", ");
    return [
      `${final.length} entries, ${this.#sum("ci")} check-ins told, ${this.#sum("steals")} locks stolen, ${
        this.#sum("lost")
      } given up, ` +
      `${this.#rebuilt} hosts rebuilt, ${
        operations.filter((o) => o.returnUs === null).length
      } operations unknown`,
      faults,
      ...said,
    ].join("\n");
  }

  /** What agents have written, beside the trace. */
  async keepLogs(): Promise<void> {
    const file = this.#record.file("history.json");
    if (!fs.existsSync(file)) writeHistory(file, { operations: this.#record.operations, final: [] });
    if (this.#fleet === undefined) return;
    for (const name of this.#fleet.names) {
      const file = this.#record.file(`${name}.log`);
      const log = await agentLog(this.#fleet.host(name)).catch((e) => String(e));
      fs.writeFileSync(file, log);
      const lines = await logOf(this.#fleet.host(name)).catch(() => []);
      fs.writeFileSync(
        this.#record.file(`${name}.journal`),
        lines.map((line) => JSON.stringify(line)).join("\n"),
      );
    }
  }
}
