// Fleet: hosts that hear each other through a switch, and what can happen to them: cables, power, disks, agents. Not
// how a host (hosts.ts) or the switch (switch.ts) is made, and nothing of this machine's own network.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { type Host, type HostOptions, lacksHosts, makeHost, type Owner } from "../hosts.ts";
import { addressOf, type Line, Switch } from "./switch.ts";

export type { Host, HostOptions, Line, Owner };

const PROGRAMS = ["ip", "perl"];
const PROBE =
  "ip link add br0 type bridge && ip link add v0 type veth peer name v1 && ip link set v0 master br0";

/** How many ports the switch has, and how long a test of a fleet may take unless it says otherwise. */
const PORTS_MAX = 254;
const testMs = 600_000;

/** A hardware address that no port has. */
const NOBODY = "02:00:0a:4d:ff:ff";

let networks: string | false | undefined;

/** Why there can be no fleet here, in a few words; false when there can. */
export function lacksFleet(...programs: string[]): string | false {
  const lack = lacksHosts(...PROGRAMS, ...programs);
  if (lack) return lack;
  networks ??= spawnSync("unshare", ["-n", "sh", "-c", PROBE]).status === 0
    ? false
    : "needs a kernel with bridges and veth";
  return networks;
}

/** A test on a fleet; skipped, with the reason printed, where there can be none or a program is missing. */
export function fleetTest(
  name: string,
  fn: (t: Owner) => Promise<void>,
  { timeoutMs = testMs, programs = [] }: { timeoutMs?: number; programs?: string[] } = {},
): void {
  const reason = lacksFleet(...programs);
  if (reason) console.log(`skipped: ${name}: ${reason}`);
  test(name, { skip: reason, timeout: timeoutMs }, (t) => fn(t));
}

/** Makes a fleet of hosts with these names, that hear each other and run nothing of isconf's; ends with the test. */
export async function makeFleet(t: Owner, names: string[], options: HostOptions = {}): Promise<Fleet> {
  const fleet = new Fleet(options);
  t.after(() => fleet.close());
  await fleet.begin();
  const left = [...names];
  const maker = async () => {
    try {
      for (let name = left.shift(); name !== undefined; name = left.shift()) await fleet.add(name);
    } finally {
      left.length = 0; // when one cannot be made, no more are begun
    }
  };
  await Promise.all(Array.from({ length: 2 * availableParallelism() }, maker));
  return fleet;
}

/** Hosts, each with a name and an address for good. Everything but `add` is also possible while a host has no power. */
export class Fleet {
  readonly #options: HostOptions;
  readonly #switch = new Switch();
  readonly #members = new Map<string, { port: number; host?: Host }>();
  readonly #ends: (() => Promise<void>)[] = [];

  constructor(options: HostOptions) {
    this.#options = options;
  }

  async begin(): Promise<void> {
    await this.#switch.begin();
  }

  /** Ends every host and the switch, whatever state they are in. */
  async close(): Promise<void> {
    await Promise.all([this.#switch.close(), ...this.#ends.map((end) => end())]);
  }

  get names(): string[] {
    return [...this.#members.keys()];
  }

  host(name: string): Host {
    const { host } = this.#member(name);
    assert.ok(host, `${name} is not made yet`);
    return host;
  }

  /** The IPv4 address of a host's eth0. */
  address(name: string): string {
    return addressOf(this.#member(name).port);
  }

  /** Makes one more host, with options of its own if need be. In a partition it is with those in no group. */
  async add(name: string, options: HostOptions = this.#options): Promise<Host> {
    assert.ok(!this.#members.has(name), `there is a host ${name}`);
    const port = this.#members.size + 1;
    assert.ok(port <= PORTS_MAX, `a fleet has at most ${PORTS_MAX} hosts`);
    const member: { port: number; host?: Host } = { port };
    this.#members.set(name, member);
    const network = {
      plug: (pid: number) => this.#switch.plug(port, pid),
      unplug: () => this.#switch.unplug(port),
    };
    const owner = { after: (end: () => Promise<void>) => void this.#ends.push(end) };
    return member.host = await makeHost(owner, name, { ...options, network });
  }

  /** Pulls a host's cable out, which it notices. */
  async cut(name: string): Promise<void> {
    await this.#switch.set(this.#member(name).port, { isUp: false });
  }

  /** Hosts of different groups no longer hear each other, without noticing; those in no group are one more. */
  async partition(groups: string[][]): Promise<void> {
    const named = groups.flat();
    assert.equal(new Set(named).size, named.length, "a host is in two groups");
    for (const name of named) this.#member(name);
    const bridge = (name: string) => groups.findIndex((group) => group.includes(name)) + 1;
    await Promise.all(
      [...this.#members].map(([name, { port }]) => this.#switch.set(port, { bridge: bridge(name) })),
    );
  }

  /** What a host sends is not heard by another any more, which still is by it. Ends when the host has no power, too. */
  async hush(name: string, deaf: string): Promise<void> {
    const words = ["lladdr", NOBODY, "dev", "eth0", "nud", "permanent"];
    await this.host(name).must(["ip", "neigh", "replace", this.address(deaf), ...words]);
  }

  /** Undoes all of `cut`, `partition` and `hush`; slow lines stay slow. */
  async heal(): Promise<void> {
    await Promise.all(
      [...this.#members.values()].map(async ({ port, host }) => {
        await this.#switch.set(port, { isUp: true, bridge: 0 });
        if (host?.isOn) await host.must(["ip", "neigh", "flush", "dev", "eth0", "nud", "permanent"]);
      }),
    );
  }

  /** Makes the line of a host slow or unsure; without values as fast as it can be. */
  async slow(name: string, line: Line = {}): Promise<void> {
    await this.#switch.slow(this.#member(name).port, line);
  }

  /** Puts a new disk into a host, which begins with nothing of isconf's running. */
  async wipe(name: string): Promise<void> {
    await this.host(name).wipe();
  }

  /** Takes a host's power: every process dies, unheard; the disk stays. */
  async off(name: string): Promise<void> {
    await this.host(name).off();
  }

  /** Gives a host its power back: /run and /tmp are empty, the boot id is another, and the agent starts. */
  async on(name: string): Promise<void> {
    await this.host(name).on();
  }

  /** Kills the root half of a host's agent, as a crash would; the other half ends too. */
  async kill9(name: string): Promise<void> {
    await this.host(name).kill9Agent();
  }

  /** Stops a host's agent as its administrator would. */
  async stop(name: string): Promise<void> {
    await this.host(name).ok("stop");
  }

  async start(name: string): Promise<void> {
    await this.host(name).ok("start");
  }

  #member(name: string): { port: number; host?: Host } {
    const member = this.#members.get(name);
    assert.ok(member, `there is no host ${name}`);
    return member;
  }
}
