// recovery_fixture: a fleet of real hosts on loopback with its recovery key, for the tests of what root keys do to the journal.
// Not part of the product.
import { fromHex, type KeyPair, keyPairFromSecret, toHex } from "../mq/mod.ts";
import { joinDomain, makeHost, MESHED, run, type TestHost, until, UP } from "../tests/world.ts";
import { hostId } from "./host.ts";
import { CONTROL } from "./names.ts";
import { readProposal, sealRoot, writeProposal } from "./roots.ts";

export type Ctx = Parameters<typeof makeHost>[0];

export const seqOf = (host: TestHost, branch = "main") => host.agent.host.journal.head(branch).seq;
export const policyOf = (host: TestHost) => host.agent.host.journal.needPolicy("test");
export const headOf = (host: TestHost, branch = "main") => toHex(host.agent.host.journal.head(branch).id);
const names = (hosts: readonly TestHost[]) =>
  hosts.map((h) => h.agent.host.journal.policy()?.hosts.get(hostId(h.agent.host))?.name);

export interface Fleet {
  hosts: TestHost[];
  recovery: KeyPair;
}

/** Hosts of a domain; the first `keepers` of them keep it; each is connected with all. */
export async function fleet(t: Ctx, all: string[], keepers = 1): Promise<Fleet> {
  const [name, ...others] = all as [string, ...string[]];
  const a = await makeHost(t, { conf: MESHED });
  const { recovery } = await a.acts.domain.init(a.call(), { host: name, branch: "main" });
  const hosts = [a];
  for (const other of others) {
    const host = await makeHost(t, { conf: MESHED });
    await joinDomain(a, host, other);
    hosts.push(host);
  }
  await connected(hosts);
  for (const other of others) {
    await a.acts.roles.grant(a.call(), { person: `root@${other}`, role: "append", branch: "main" });
  }
  if (keepers > 1) await a.acts.keepers.change(a.call(), { add: all.slice(1, keepers), remove: [] });
  await same(hosts);
  return { hosts, recovery: keyPairFromSecret(fromHex(recovery)) };
}

export async function connected(hosts: readonly TestHost[]): Promise<void> {
  const ids = hosts.map((h) => hostId(h.agent.host));
  const all = () =>
    hosts.every((h, i) => ids.every((id, k) => k === i || h.agent.host.mesh.peers().includes(id)));
  await until("all are connected", all);
}

/** Waits until hosts have the same end of a branch. */
export async function same(hosts: readonly TestHost[], branch = CONTROL): Promise<void> {
  await until(
    `${names(hosts)} have the same ${branch}`,
    () => new Set(hosts.map((h) => headOf(h, branch))).size === 1,
    45_000,
  );
}

export async function checkIn(host: TestHost, why = "why"): Promise<void> {
  await host.acts.apply.up(host.call(), UP);
  await host.acts.locks.lock(host.call(), why);
  await run(host, ["/bin/true"]);
  await host.acts.checkin.ci(host.call());
}

export function signed(word: string | null, ...keys: KeyPair[]): string {
  const proposal = readProposal(word as string);
  const more = keys.map((key) => sealRoot(proposal, key));
  return writeProposal({ ...proposal, signatures: [...proposal.signatures, ...more] });
}

export const recover = (host: TestHost, keepers: string[], more: { owner?: boolean; yes?: boolean } = {}) =>
  host.acts.recovery.recover(host.call(), { keepers, owner: false, yes: true, ...more });

export const submit = (host: TestHost, ...words: string[]) => host.acts.roots.submit(host.call(), words);
