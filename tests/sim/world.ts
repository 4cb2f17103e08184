// World: one simulated fleet: its hosts, network and disks put together from a plan, what is written down of it, and what
// disturbs it. Not what people do in it (workload.ts) and not what must hold (checker.ts).
import type { Runner } from "../../agent/mod.ts";
import { Fault, MemoryNetwork } from "../../mq/mod.ts";
import { Checker } from "./checker.ts";
import { Disk, PowerCut } from "./disk.ts";
import { diskOf, type Domain, domainOf } from "./domain.ts";
import { SimHost } from "./host.ts";
import { Chance, Kernel, MachineClock } from "./kernel.ts";
import { disguiseOf } from "./liars.ts";
import type { Plan } from "./plan.ts";
import { SqlFault } from "./table.ts";

/** How a simulated command ends, and after how long at the most, in ms. */
const commandMsMax = 300;
/** How soon after it is back somebody works on a host that was put back from a backup, in ms. */
const backAtWorkMs = 500;
/** After how long an agent that ended at its start is started again, in ms. */
const startAgainMs = 1_000;

export class World {
  readonly plan: Plan;
  readonly kernel = new Kernel();
  readonly domain: Domain;
  readonly checker: Checker;
  readonly network: MemoryNetwork;
  readonly hosts: SimHost[];
  /** What happened, a line each, when that is wanted. */
  readonly trace: string[] | undefined;
  /** What broke: the run ends with it. */
  failure: Error | undefined;
  /** No power fails any more, and no command. */
  isCalm = false;
  /** By host: at which of its commits the power fails. */
  readonly #cuts = new Map<SimHost, { when: string; commits: number; lost: number; forMs: number }>();
  /** By host: until when its disk refuses what is written, and how. */
  readonly #bad = new Map<SimHost, { untilMs: number; code: string }>();
  readonly #chance: Chance;
  /** Who is to be told when a host dies. */
  readonly #mourners = new Map<SimHost, Set<() => void>>();

  constructor(plan: Plan, isTraced: boolean) {
    this.plan = plan;
    this.trace = isTraced ? [] : undefined;
    this.domain = domainOf(plan);
    this.checker = new Checker(this.domain);
    this.#chance = new Chance(plan.seed, 10);
    const { kernel } = this;
    const wire = new Chance(plan.seed, 11);
    this.network = new MemoryNetwork({
      now: () => kernel.now,
      wall: () => kernel.now,
      random: (n) => wire.bytes(n),
      after: (ms, fn) => kernel.after(ms, fn),
      pause: () => Promise.resolve(),
    }, { link: plan.link });
    this.hosts = this.domain.members.map((_, i) => this.#host(i));
    kernel.afterEach = () => {
      if (this.failure !== undefined) throw this.failure;
    };
  }

  /** Something worth reading happened, and it is part of what makes this run what it is. */
  /** Somebody has a host again that was put back. */
  onRestored: (host: SimHost) => void = () => {};

  note(who: string, text: string): void {
    this.kernel.mix(Math.floor(this.kernel.now));
    this.kernel.mixText(who);
    this.kernel.mixText(text);
    this.trace?.push(`${(this.kernel.now / 1000).toFixed(3).padStart(9)}  ${who.padEnd(4)} ${text}`);
  }

  /** Runs a check; what it finds ends the run. */
  check(fn: () => void): void {
    try {
      fn();
    } catch (e) {
      this.failure ??= e as Error;
    }
  }

  /** A fault of the product that none of its users should ever see. */
  bug(who: string, thrown: unknown): void {
    const fault = Fault.from("sim", thrown);
    const isBug = !(thrown instanceof Fault) || fault.message.startsWith("unexpected");
    if (isBug) this.failure ??= thrown instanceof Error ? thrown : new Error(`${who}: ${thrown}`);
  }

  hostOf(id: string): SimHost | undefined {
    return this.hosts.find(({ identity }) => identity.id === id);
  }

  isLiar(host: SimHost): boolean {
    return this.plan.liars.includes(this.hosts.indexOf(host));
  }

  #host(i: number): SimHost {
    const { kernel, domain, plan, network } = this;
    const identity = domain.members[i]!;
    const disk = diskOf(domain, identity);
    const shape = new Chance(plan.seed, 1000 + i);
    const rate = 0.95 + shape.below(1000) / 10_000;
    const clock = new MachineClock(kernel, shape, { rate, wallMs: 1_700_000_000_000 + shape.below(60_000) });
    const lies = plan.liars.includes(i);
    const host: SimHost = new SimHost(identity, {
      network,
      disk,
      clock,
      runner: this.#runner(() => host),
      follows: plan.follows[i] === true,
      log: (line) => {
        if (!host.isUp) return;
        this.note(identity.name, `log: ${line}`);
        if (/unexpected|the answerer of \w+ failed|a subscriber of/.test(line)) {
          this.failure ??= new Error(line);
        }
      },
      received: (from, bytes) => {
        kernel.mix(bytes.length);
        kernel.mix(bytes[bytes.length - 1]! | (bytes[bytes.length >> 1]! << 8) | (i << 16));
        void from;
      },
      sending: () => this.check(() => this.checker.says({ identity, disk, lies })),
      ...(lies ? { disguise: disguiseOf(this, identity) } : {}),
    });
    return host;
  }

  boot(host: SimHost): void {
    const { disk } = host.around;
    const lies = this.isLiar(host);
    disk.events = {
      committing: () => {
        const bad = this.#bad.get(host);
        if (bad !== undefined && !this.isCalm) {
          if (this.kernel.now >= bad.untilMs) this.#bad.delete(host);
          this.note(host.identity.name, `its disk refuses: ${bad.code}`);
          throw new SqlFault(bad.code, "the disk refuses");
        }
        if (this.#isDue(host, "before commit")) this.#powerCut(host);
      },
      committed: (changes) => {
        this.kernel.mix(changes.length);
        for (const { table } of changes) this.kernel.mixText(table.shape.name);
        this.check(() => this.checker.committed({ identity: host.identity, disk, lies }, changes));
        if (this.#isDue(host, "after commit")) this.#powerCut(host);
      },
    };
    this.note(host.identity.name, "starts");
    try {
      host.boot();
    } catch (e) {
      // A disk that refuses: the agent ends, and is started again, as by systemd.
      if (!(e instanceof Fault) || e.kind !== "environment") throw e;
      this.note(host.identity.name, `does not start: ${e.message}`);
      this.crash(host, { when: "at its start", lost: 0, forMs: startAgainMs });
    }
  }

  /** Whether the power fails at this commit. */
  #isDue(host: SimHost, when: string): boolean {
    const cut = this.#cuts.get(host);
    return cut !== undefined && cut.when === when && !this.isCalm && cut.commits-- <= 0;
  }

  #powerCut(host: SimHost): never {
    const { when, lost, forMs } = this.#cuts.get(host)!;
    this.#cuts.delete(host);
    throw new PowerCut(() => this.crash(host, { when, lost, forMs }));
  }

  crash(host: SimHost, { when, lost, forMs }: { when: string; lost: number; forMs: number }): void {
    if (!host.isUp) return;
    const before = host.around.disk.unsynced.length;
    this.note(
      host.identity.name,
      `loses its power, ${when}${before > 0 ? `, and ${Math.min(lost, before)} commits` : ""}`,
    );
    host.crash(lost);
    for (const fn of [...this.#mourners.get(host) ?? []]) fn();
    this.kernel.after(forMs, () => host.isUp || this.boot(host));
  }

  /**
   * A host that is no keeper goes on from a backup. What a keeper has promised and forgotten is not asked for here: it is
   * found afterwards, and not prevented (agent/README.md).
   */
  #restore(host: SimHost, backup: Disk, forMs: number): void {
    const { disk } = host.around;
    const columnOf = (table: string, name: string) => {
      const at = disk.tables.get(table)!.column(name);
      return disk.rows(table).map((row) => row[at]);
    };
    const isBound = columnOf("promise", "said").some((said) => said !== null) ||
      columnOf("signed", "what").includes("vote");
    if (isBound || this.isLiar(host) || !host.isUp) return;
    this.crash(host, { when: "and is put back from a backup", lost: 0, forMs });
    host.around.disk.restore(backup);
    this.checker.restored(host.identity);
    this.kernel.after(forMs + backAtWorkMs, () => this.isCalm || this.onRestored(host));
  }

  /** Calls `fn` once: when this life of a host ends, or when what comes back is called. */
  onDeath(host: SimHost, boots: number, fn: () => void): () => void {
    let isOver = false;
    const once = () => {
      if (isOver) return;
      isOver = true;
      this.#mourners.get(host)?.delete(once);
      fn();
    };
    if (!host.isUp || host.boots !== boots) return once;
    this.#mourners.set(host, (this.#mourners.get(host) ?? new Set()).add(once));
    return once;
  }

  /** Sets going all that fails. */
  disturb(): void {
    const { plan, kernel, hosts, network } = this;
    const ids = hosts.map(({ identity }) => identity.id);
    const later = (atMs: number, fn: () => void) => void kernel.after(atMs, () => this.isCalm || fn());
    for (const { atMs, host, ...crash } of plan.crashes) {
      later(atMs, () => {
        if (crash.when === "now") this.crash(hosts[host]!, crash);
        else this.#cuts.set(hosts[host]!, { ...crash });
      });
    }
    for (const { atMs, forMs, groups: [some, others], oneWay } of plan.cuts) {
      const set = (cut: boolean) => {
        for (const a of some!) {
          for (const b of others!) {
            if (some!.includes(b) || others!.includes(a)) continue;
            network.setLink(ids[a]!, ids[b]!, { cut });
            if (!oneWay) network.setLink(ids[b]!, ids[a]!, { cut });
          }
        }
      };
      const names = (of: number[]) => of.map((i) => hosts[i]!.identity.name).join(" ");
      later(atMs, () => {
        this.note(
          "net",
          `${names(some!)} ${oneWay ? "do not reach" : "and"} ${names(others!)}${oneWay ? "" : " are apart"}`,
        );
        set(true);
      });
      later(atMs + forMs, () => {
        this.note("net", "that is over");
        set(false);
      });
    }
    for (const { atMs, host, forMs, code } of plan.disks) {
      later(atMs, () => void this.#bad.set(hosts[host]!, { untilMs: kernel.now + forMs, code }));
    }
    for (const { atMs, host, backMs, forMs } of plan.restores) {
      let backup: Disk | undefined;
      later(Math.max(0, atMs - backMs), () => backup = new Disk(hosts[host]!.around.disk));
      later(atMs, () => backup && this.#restore(hosts[host]!, backup, forMs));
    }
    for (const { atMs, host, byMs } of plan.steps) {
      later(atMs, () => {
        this.note(hosts[host]!.identity.name, `its clock steps by ${byMs} ms`);
        hosts[host]!.around.clock.stepWall(byMs);
      });
    }
  }

  /** A host reaches only some of the others for a while. */
  cutOff(host: SimHost, chance: Chance, forMs: number): void {
    const lost = this.hosts.filter((other) => other !== host && chance.is(0.5));
    const set = (cut: boolean) => {
      for (const { identity: { id } } of lost) {
        this.network.setLink(host.identity.id, id, { cut });
        this.network.setLink(id, host.identity.id, { cut });
      }
    };
    this.note(
      "net",
      `${host.identity.name} is cut off from ${lost.map(({ identity }) => identity.name).join(" ")}`,
    );
    set(true);
    this.kernel.after(forMs, () => this.isCalm || set(false));
  }

  /** From now on nothing fails: the network is whole and good, everybody has power. */
  heal(): void {
    this.isCalm = true;
    this.note("net", "all is well from now on");
    const ids = this.hosts.map(({ identity }) => identity.id);
    for (const a of ids) {
      for (const b of ids) {
        if (a !== b) {
          this.network.setLink(a, b, {
            cut: false,
            loss: 0,
            duplicate: 0,
            reorder: 0,
            corrupt: 0,
            jitterMs: 0,
          });
        }
      }
    }
    for (const host of this.hosts) if (!host.isUp) this.boot(host);
  }

  /** Commands that do nothing, take a moment, and now and then fail where they are replayed. */
  #runner(of: () => SimHost): Runner {
    const { kernel, checker } = this;
    return {
      find: () => "/bin/work",
      start: (command) => {
        const host = of();
        const isReplay = host.host.turn.doing !== "exec";
        const { disk } = host.around;
        let ends = () => {};
        if (isReplay) {
          this.check(() => ends = checker.starts({ identity: host.identity, disk, lies: this.isLiar(host) }));
        }
        this.note(host.identity.name, `${isReplay ? "applies" : "runs"} ${command.argv[1]}`);
        const isFailing = !this.isCalm && this.#chance.is(isReplay ? this.plan.failing : 0.05);
        const { boots } = host;
        const ended = new Promise<{ status: number; output: Uint8Array }>((resolve) => {
          kernel.after(this.#chance.below(commandMsMax), () => {
            if (!host.isUp || host.boots !== boots) return;
            if (!isFailing) ends();
            resolve({ status: isFailing ? 1 : 0, output: new Uint8Array(0) });
          });
        });
        return Promise.resolve({
          ended,
          stdin: { write: () => Promise.resolve(), end: () => {} },
          resize: () => {},
          signal: () => {},
        });
      },
    };
  }
}
