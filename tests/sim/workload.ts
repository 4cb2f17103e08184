// Workload: what people do in a simulated fleet, with the real verbs: lock, work and check in, take locks over, leave them
// lying, settle what a crash left, change roles and keepers. And that in the end somebody can still work (L1, L2).
import { apply, checkin, keepers, locks, recover, roles, work } from "../../agent/mod.ts";
import { Fault } from "../../mq/mod.ts";
import type { SimHost } from "./host.ts";
import { Chance } from "./kernel.ts";
import { Broken } from "./ledger.ts";
import type { Ambush, Task } from "./plan.ts";
import type { World } from "./world.ts";

/** How long a person thinks between two steps at the most, in ms. */
const thinkMsMax = 1_500;
/** What one person does at the most after `lock`. */
const commandsMax = 3;
/** How often somebody tries to work when all is well, before that counts as broken. */
const triesMax = 5;

/** The host has died under the hands of who worked there. */
class Died extends Error {}

const LIARS_DO: ReadonlySet<Task["what"]> = new Set(["work", "steal", "leave"]);

export class Workload {
  readonly #world: World;
  readonly #chance: Chance;
  #commands = 0;
  /** How many people are at work. */
  busy = 0;
  /** What is still to happen in the middle of verbs. */
  readonly #ambushes: Ambush[];

  constructor(world: World) {
    this.#world = world;
    this.#chance = new Chance(world.plan.seed, 12);
    this.#ambushes = world.plan.ambushes.map((ambush) => ({ ...ambush }));
  }

  begin(): void {
    const { kernel, plan, hosts } = this.#world;
    this.#world.onRestored = (host) => void this.#do(host, "work");
    for (const task of plan.tasks) {
      kernel.after(task.atMs, () => void this.#do(hosts[task.host]!, task.what));
    }
  }

  async #do(host: SimHost, what: Task["what"]): Promise<void> {
    // Who lies works as others do, with two faces (liars.ts), and has no say in what the domain is.
    if (!host.isUp || (this.#world.isLiar(host) && !LIARS_DO.has(what))) return;
    const { boots } = host;
    this.busy++;
    // Who works on a host that dies goes home: what it was doing comes to no end.
    const left = this.#world.onDeath(host, boots, () => this.busy--);
    try {
      await this.#task(host, what);
    } catch (e) {
      if (e instanceof Fault || e instanceof Died) return;
      this.#world.failure ??= e as Error;
    } finally {
      left();
    }
  }

  async #task(host: SimHost, what: Task["what"]): Promise<void> {
    const other = this.#chance.one(this.#world.hosts).identity;
    switch (what) {
      case "work":
        return await this.work(host);
      case "steal":
        return await this.work(host, { steal: true });
      case "rival":
        await this.#verb(host, "lock --steal", () => locks.lock(host.call(), "rival", true));
        await this.exec(host);
        return void await this.ci(host);
      case "leave":
        return await this.work(host, { leaves: true });
      case "up":
        return await this.#up(host);
      case "drop":
        return void await this.#verb(host, "wip drop", () => work.dropWip(host.call(), this.#chance.is(0.3)));
      case "grant": {
        const args = {
          person: `root@${other.name}`,
          role: this.#chance.one(["append", "owner"]),
          branch: "*",
        };
        return void await this.#verb(
          host,
          `grant ${args.role} ${other.name}`,
          () => roles.grant(host.call(), args),
        );
      }
      case "revoke":
        return void await this.#verb(
          host,
          `revoke ${other.name}`,
          () => roles.revoke(host.call(), { person: `root@${other.name}`, reason: "left" }),
        );
      case "evict":
        return void await this.#verb(
          host,
          `evict ${other.name}`,
          () => roles.evict(host.call(), { host: other.name, reason: "gone" }),
        );
      case "keepers":
        return await this.#keepers(host);
    }
  }

  /** Other keepers: one more, one less, or one in the place of another. */
  async #keepers(host: SimHost): Promise<void> {
    const { chance, members } = { chance: this.#chance, members: this.#world.domain.members };
    const now = host.journal.needPolicy("sim").keepers.hosts;
    const others = members.filter(({ id }) => !now.includes(id));
    const add = others.length > 0 && chance.is(0.7) ? [chance.one(others).name] : [];
    const remove = now.length > 1 && (add.length === 0 || chance.is(0.5)) ? [chance.one(now)] : [];
    if (add.length + remove.length === 0) return;
    await this.#verb(
      host,
      `keepers ${[...add.map((n) => `+${n}`), ...remove.map((id) => `-${this.#name(id)}`)].join(" ")}`,
      () => keepers.change(host.call(), { add, remove }),
    );
  }

  #name = (id: string) => this.#world.hostOf(id)?.identity.name ?? id.slice(0, 8);

  /** up, lock, some commands, ci, with thought in between. */
  async work(host: SimHost, { steal = false, leaves = false } = {}): Promise<void> {
    const { checker } = this.#world;
    const { branch } = host.identity;
    if (host.host.wip.count() === 0) await this.#up(host);
    if (host.host.own.ahead() !== undefined && this.#chance.is(0.5)) await this.#recover(host);
    await this.#settleWork(host);
    const certain = checker.certainOf(branch);
    await this.#verb(host, steal ? "lock --steal" : "lock", () => locks.lock(host.call(), "why", steal));
    this.#world.check(() => checker.locked(this.#seen(host), branch, certain));
    const count = this.#chance.from(1, commandsMax);
    for (let i = 0; i < count; i++) {
      await this.#think(host);
      await this.exec(host);
    }
    if (leaves) return;
    await this.#think(host);
    await this.ci(host);
  }

  #recover(host: SimHost): Promise<unknown> {
    return this.#verb(host, "recover", () => recover(host.call(), { alone: false }));
  }

  async exec(host: SimHost): Promise<void> {
    const n = ++this.#commands;
    await this.#verb(host, "exec", async () => {
      const execution = await work.exec(host.call(), {
        argv: ["work", `w${n}`],
        cwd: "/",
        umask: 0o022,
        callerEnv: {},
        envNames: [],
        as: "",
        timeoutMs: 0,
        stdin: false,
        effects: true,
      });
      return await execution.recorded;
    });
  }

  ci(host: SimHost): Promise<unknown> {
    return this.#verb(host, "ci", () => checkin.ci(host.call()));
  }

  #seen(host: SimHost) {
    return { identity: host.identity, disk: host.around.disk, lies: this.#world.isLiar(host) };
  }

  /** Goes to the end of the journal; what stands in the way is settled by the person who sees it. */
  async #up(host: SimHost): Promise<void> {
    const args = { reboot: false, step: false, dryRun: false, offline: false };
    try {
      await this.#verb(host, "up", () => apply.up(host.call(), args));
    } catch (e) {
      const last = host.isUp ? host.host.history.last() : undefined;
      if (!(e instanceof Fault) || last === undefined || !["intent", "failed"].includes(last.state)) throw e;
      if (host.host.turn.doing !== undefined) throw e; // it is being applied at this moment
      const how = last.state === "failed" || this.#chance.is(0.5) ? "again" : "done";
      this.#world.checker.settled(this.#seen(host), last.seq);
      await this.#verb(
        host,
        `up --${how} ${last.seq}`,
        () => apply.up(host.call(), { ...args, [how]: last.seq }),
      );
    }
  }

  /** Work whose end nobody knows: a person looks, and says. */
  async #settleWork(host: SimHost): Promise<void> {
    const { turn, wip } = host.host;
    for (const { n, state } of wip.items()) {
      if (state !== "intent" || turn.doing !== undefined) continue;
      const how = this.#chance.one(["done", "again"] as const);
      await this.#verb(host, `wip ${how} ${n}`, () => work.settleWip(host.call(), n, how)).catch(() => {});
    }
  }

  async #think(host: SimHost): Promise<void> {
    const { boots } = host;
    await new Promise<void>((resolve) =>
      void this.#world.kernel.after(this.#chance.below(thinkMsMax), resolve)
    );
    if (!host.isUp || host.boots !== boots) throw new Died();
  }

  /** Runs a verb in the host's turn, as its API does, and writes down what came of it. */
  async #verb<T>(host: SimHost, name: string, fn: () => Promise<T>): Promise<T> {
    if (!host.isUp) throw new Died();
    const { boots, identity } = host;
    const isSame = () => host.isUp && host.boots === boots;
    this.#spring(host, name.split(" ")[0]!);
    try {
      const result = await host.host.turn.take(name.split(" ")[0]!, () => {
        if (!isSame()) throw new Died();
        return fn();
      });
      if (!isSame()) throw new Died();
      this.#world.note(identity.name, `${name}: ${JSON.stringify(result)}`);
      return result;
    } catch (e) {
      if (!isSame()) throw new Died();
      const fault = Fault.from(name, e);
      this.#world.note(identity.name, `${name}: ${fault.kind}: ${fault.message}`);
      this.#world.bug(identity.name, e);
      throw e;
    }
  }

  /** Sets what is to happen in the middle of this verb. */
  #spring(host: SimHost, verb: string): void {
    const world = this.#world;
    const at = world.isCalm ? -1 : this.#ambushes.findIndex((one) => one.verb === verb && one.skip-- <= 0);
    if (at < 0) return;
    const [{ what, hops, forMs, host: n }] = this.#ambushes.splice(at, 1) as [Ambush];
    const other = world.hosts[n]!;
    world.kernel.after(hops * world.plan.link.latencyMs!, () => {
      if (world.isCalm) return;
      if (what === "crash") world.crash(host, { when: `in ${verb}`, lost: 3, forMs });
      else if (what === "cut") world.cutOff(host, this.#chance, forMs);
      else if (other !== host) void this.#do(other, what === "rival" ? "rival" : "grant");
    });
  }

  /** L2: whoever may can lock, work and check in, when all is well. */
  async mustWork(host: SimHost): Promise<void> {
    const { branch } = host.identity;
    const before = host.journal.head(branch).seq;
    let last: unknown;
    for (let tries = 0; tries < triesMax; tries++) {
      try {
        if (host.host.wip.count() === 0) await this.#up(host);
        if (host.host.own.ahead() !== undefined) await this.#recover(host);
        await this.#settleWork(host);
        await this.#verb(host, "lock", () => locks.lock(host.call(), "L2", tries > 0));
        await this.exec(host);
        await this.ci(host);
        if (host.journal.head(branch).seq > before) return;
      } catch (e) {
        last = e;
        if (!(e instanceof Fault)) throw e;
        if (e.message.includes("keepers are being changed")) await this.#finishKeepers();
        if (e.message.includes("a key is being revoked")) await this.#finishRevocation();
      }
    }
    throw new Broken(
      "L2",
      `${host.identity.name} cannot work on ${branch}: ${Fault.from("L2", last).message}`,
    );
  }

  /** A revocation that came to no end: whatever an owner says in the control journal then finishes it first. */
  async #finishRevocation(): Promise<void> {
    for (const host of this.#world.hosts) {
      const { grants, revoked } = host.journal.needPolicy("sim");
      const { author, name } = host.identity;
      const isOwner = grants.get(author)?.some(({ role, branch }) =>
        role === "owner" && branch === "*"
      ) === true;
      if (!isOwner || revoked.has(author) || this.#world.isLiar(host)) continue;
      const args = { person: `root@${name}`, role: "publish", branch: "*" };
      await this.#verb(host, "grant", () => roles.grant(host.call(), args)).catch(() => {});
      return;
    }
  }

  /** A change of the keepers that came to no end: an owner on a keeper lets go of it, or makes one, as its hints say. */
  async #finishKeepers(): Promise<void> {
    for (const host of this.#world.hosts) {
      const { keepers: now, revoked, grants } = host.journal.needPolicy("sim");
      const { id, author, name } = host.identity;
      const isOwner = grants.get(author)?.some(({ role, branch }) =>
        role === "owner" && branch === "*"
      ) === true;
      if (!now.hosts.includes(id) || !isOwner || revoked.has(author) || this.#world.isLiar(host)) continue;
      const other = this.#world.domain.members.find((one) =>
        !now.hosts.includes(one.id) && !revoked.has(one.id)
      );
      const args = other === undefined
        ? { add: [], remove: now.hosts.length > 1 ? [now.hosts.find((one) => one !== id)!] : [] }
        : { add: [other.name], remove: [] };
      try {
        if (args.add.length + args.remove.length === 0) {
          return void await this.#verb(host, "unlock --steal", () => locks.unlock(host.call(), true));
        }
        return void await this.#verb(
          host,
          `keepers again on ${name}`,
          () => keepers.change(host.call(), args),
        );
      } catch (e) {
        if (!(e instanceof Fault)) throw e;
      }
    }
  }
}
