// Decided: chains brought up to where an etcd says that they end. Not what an etcd says (keeper_register.ts) and not how
// entries come (replica.ts).
import { Fault } from "../mq/mod.ts";
import type { Journal } from "./journal.ts";
import type { Keepers } from "./keepers.ts";
import { fetchPeersMax } from "./limits.ts";
import type { Mesh } from "./mesh.ts";
import { inert } from "./names.ts";

/** Whose chains, and how they grow. */
export interface Chains {
  journal: Journal;
  mesh: Mesh;
  self(): string;
  pull(host: string, branch: string, until?: number): Promise<void>;
  log(line: string): void;
}

/**
 * Brings chains up to where they end, as keepers say that have asked etcd; which keepers that were. Undefined: no etcd decides
 * in this domain, or nobody could ask it.
 */
export async function bringDecided(
  { journal, self, pull, log }: Chains,
  keepers: Keepers,
  branches: readonly string[],
): Promise<string[] | undefined> {
  const policy = journal.policy();
  if (policy?.keepers.etcd === undefined) return undefined;
  const hosts = new Set<string>();
  try {
    for (const branch of new Set(branches)) {
      const { keeper, seq } = await keepers.look("up", policy, branch);
      if (keeper !== self() && journal.head(branch).seq < seq) await pull(keeper, branch);
      hosts.add(keeper);
    }
    return [...hosts];
  } catch (e) {
    log(`what etcd has decided: ${Fault.from("up", e).message}`);
    return undefined;
  }
}

/** Brings a chain up to `seq` from whoever is connected and has it, keepers first. Never throws for the sake of a peer. */
export async function fetchDecided(
  { journal, mesh, pull, log }: Chains,
  branch: string,
  seq: number,
): Promise<void> {
  const keepers = journal.policy()?.keepers.hosts ?? [];
  const isKeeper = (peer: string) => Number(keepers.includes(peer));
  const peers = mesh.peers().sort((a, b) => isKeeper(b) - isKeeper(a));
  for (const host of peers.slice(0, fetchPeersMax)) {
    if (journal.head(branch).seq >= seq) return;
    await pull(host, branch, seq).catch((e) => log(`${inert(branch)}: ${Fault.from("up", e).message}`));
  }
}
