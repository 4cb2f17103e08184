// Domain: hosts of a fleet that belong to one domain, and what tests look at in it. Not how hosts and lines are made
// (fleet.ts).
import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { checkIn, type Host, type HostOptions, status, until } from "../hosts.ts";
import { type Fleet, makeFleet, type Owner } from "./fleet.ts";

export { checkIn, status, until };

/** What `isconf --json status` says of another host. */
export interface HostLine {
  name: string;
  branch: string;
  at: number;
  of: number;
  state: string;
  why: string;
  reached: boolean;
}

/** A fleet whose hosts are of one domain: the first began it, is its keeper, and let the others in. */
export async function makeDomain(t: Owner, names: string[], options: HostOptions = {}): Promise<Fleet> {
  const fleet = await makeFleet(t, names, options);
  await begin(fleet, ...names as [string, ...string[]]);
  return fleet;
}

/** Begins a domain on the first of these hosts, and lets the others join. */
export async function begin(fleet: Fleet, first: string, ...others: string[]): Promise<void> {
  await fleet.host(first).ok("init");
  const joiner = async () => {
    for (let name = others.shift(); name !== undefined; name = others.shift()) {
      await join(fleet.host(first), fleet.host(name));
    }
  };
  await Promise.all(Array.from({ length: 2 * availableParallelism() }, joiner));
}

/** Makes a token on a host that is in the domain. */
export async function token(host: Host, ...words: string[]): Promise<string> {
  return (await host.must(["isconf", "token", ...words])).stdout.trim();
}

/** Lets a host join with a token of another that needs no approval; `words` are for `isconf join`. */
export async function join(from: Host, to: Host, ...words: string[]): Promise<string> {
  return await to.ok("join", ...words, await token(from, "--approve"));
}

/** The names of the hosts of the domain that a host is connected with. */
export async function connected(host: Host): Promise<string[]> {
  const { hosts } = JSON.parse((await host.must(["isconf", "--json", "hosts"])).stdout) as {
    hosts: { name: string; state: string }[];
  };
  return hosts.filter(({ state }) => state === "connected").map(({ name }) => name);
}

/** Waits until each of these hosts is connected with all others of them. */
export async function untilConnected(fleet: Fleet, ...names: string[]): Promise<void> {
  await until(`${names.join(", ")} are connected`, async () => {
    const met = await Promise.all(names.map(async (name) => new Set(await connected(fleet.host(name)))));
    return names.every((name, i) => names.every((other) => other === name || met[i]?.has(other)));
  }, 30_000);
}

/** How a host stands, as another host says. */
export async function lineOf(host: Host, name: string): Promise<HostLine> {
  const { hosts } = JSON.parse((await host.must(["isconf", "--json", "status"])).stdout) as {
    hosts: HostLine[];
  };
  const line = hosts.find((h) => h.name === name);
  assert.ok(line, `${host.name} knows no ${name}`);
  return line;
}

/** Gives a user of a host a role on the domain's branch, as root of another host, and waits until that host has heard. */
export async function grant(fleet: Fleet, by: string, person: string, role = "append"): Promise<void> {
  const at = person.split("@")[1] as string;
  await until(`${by} hears ${at}`, async () => (await connected(fleet.host(by))).includes(at));
  await fleet.host(by).ok("grant", person, role);
  await untilKnown(fleet, by, at);
}

/** Waits until a host has every control entry that another has. */
export async function untilKnown(fleet: Fleet, from: string, to: string): Promise<void> {
  const length = async (name: string) =>
    JSON.parse(
      (await fleet.host(name).must(["isconf", "--json", "log", "--branch", "@domain", "--last", "1"])).stdout,
    ).entries[0].seq as number;
  const wanted = await length(from);
  await until(`${to} has control entry ${wanted}`, async () => await length(to) >= wanted);
}

/** Waits until a host has so many entries of its branch, applied or not. */
export async function untilHeld(host: Host, entries: number): Promise<void> {
  await until(`${host.name} has entry ${entries}`, async () => (await status(host)).of >= entries);
}

/** Runs isconf as a user. */
export async function isconfAs(host: Host, user: string, ...words: string[]) {
  return await host.run(["isconf", ...words], { uid: await host.uidOf(user) });
}

/** Runs isconf as a user; it must end 0. */
export async function okAs(host: Host, user: string, ...words: string[]): Promise<void> {
  await host.must(["isconf", ...words], { uid: await host.uidOf(user) });
}

/** Checks that a command of isconf is refused with a status and words that say why. */
export async function refused(host: Host, exit: number, why: RegExp, ...words: string[]): Promise<void> {
  const { status, stderr } = await host.isconf(...words);
  assert.equal(status, exit, `${host.name}: ${words.join(" ")}: ${stderr}`);
  assert.match(stderr, why);
}

/** The bytes that have come to a host over its line, and those that it has sent. */
export async function traffic(host: Host): Promise<{ received: number; sent: number }> {
  const fields = (await host.sh("grep eth0: /proc/net/dev")).split(/[\s:]+/).filter(Boolean);
  return { received: Number(fields[1]), sent: Number(fields[9]) };
}

/** What an agent has written to its log. */
export async function agentLog(host: Host): Promise<string> {
  return await host.sh("cat /var/lib/isconf/agent.log");
}
