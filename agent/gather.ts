// Gather: everything that any connected host has of the domain's journal, brought here before people decide from where to go on.
// Not the daily keeping up (replica.ts).
import { Fault } from "../mq/mod.ts";
import type { Host } from "./host.ts";
import { CONTROL, inert } from "./names.ts";
import { nameOf } from "./trust.ts";

/**
 * Brings every chain up to the farthest that any connected host has, also those that this host does not follow; `resolving`:
 * also of that branch, although it is frozen. Returns the ids of the hosts that have given what they have.
 */
export async function gather(host: Host, resolving?: string): Promise<string[]> {
  const { replica, journal, mesh } = host;
  await replica.settled();
  const from = async (peer: string) => {
    try {
      await replica.pull(peer, CONTROL);
      for (const branch of journal.policy()?.branches.keys() ?? []) {
        const isResolving = branch === resolving;
        await replica.pull(peer, branch, Infinity, isResolving).catch((e) => {
          if (!isResolving) throw e; // of that one it may have the other side
        });
      }
      return [peer];
    } catch (e) {
      host.log(`${inert(nameOf(journal.policy(), peer))}: ${Fault.from("gather", e).message}`);
      return [];
    }
  };
  return (await Promise.all(mesh.peers().map(from))).flat();
}
