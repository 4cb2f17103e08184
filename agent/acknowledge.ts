// Acknowledge: an owner says that a proven double signature is understood; most come of a host that was put back from a backup.
// Not what a proof is (fork_proof.ts), and not for a key that was stolen: that one is revoked, or its host evicted (roles.ts).
import { Fault, fromHex } from "../mq/mod.ts";
import { extendControl } from "./control.ts";
import { type Call, personPair } from "./host.ts";
import { forksPerKeyMax } from "./limits.ts";
import { inert } from "./names.ts";
import type { Policy } from "./trust.ts";

/** Acknowledges everything that is proven of a person or a host and was not acknowledged before. */
export async function acknowledge(
  call: Call,
  args: { name: string },
): Promise<{ name: string; proofs: number }> {
  const { host, actor } = call;
  let proofs = 0;
  const message = `acknowledge what is proven of ${args.name}`;
  await extendControl(host, "acknowledge", personPair(host, actor), message, (policy) => {
    const key = keyNamed(policy, args.name);
    const open = host.journal.forks.openOf(policy, key).slice(0, forksPerKeyMax);
    if (open.length === 0) {
      throw new Fault("acknowledge", "notFound", `nothing is proven of ${inert(args.name)}`, {
        hint: "isconf status",
      });
    }
    proofs = open.length;
    return [{ op: "acknowledge", key: fromHex(key), proofs: open.map(({ id }) => id) }];
  });
  return { name: args.name, proofs };
}

function keyNamed(policy: Policy, name: string): string {
  for (const keys of [policy.persons, policy.hosts]) {
    for (const [id, { name: called }] of keys) {
      if (!policy.revoked.has(id) && (called === name || id === name)) return id;
    }
  }
  throw new Fault("acknowledge", "notFound", `nobody is called ${inert(name)} in this domain`, {
    hint: "isconf status",
  });
}
