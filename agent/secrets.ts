// Secrets: contents that only the hosts of a branch can read: sealed here, in the half that no stranger talks to, before any
// byte of them goes anywhere, and opened here. The ciphering is mq/secret.ts; what is stored is a content like any other.
import { type Id, putFile, readFile } from "../fs/mod.ts";
import { Fault } from "../mq/mod.ts";
import { needStillIn } from "./fresh.ts";
import { branchOf, type Call, hostPair } from "./host.ts";
import { inert } from "./names.ts";
import type { ShelfRow } from "./seam.ts";
import { may, members, type Policy } from "./trust.ts";

/** The public keys of the hosts that may read the secrets of a branch: those with the role `secret` on it. */
export function readersOf(policy: Policy, branch: string): Uint8Array[] {
  return [...members(policy)].filter(([id]) => may(policy, id, "secret", branch)).map(([, host]) => host.key);
}

/**
 * Seals what comes for the hosts of a branch and puts it on the shelf; the same again is something else.
 * @throws {Fault} notFound; refused, when no host may read secrets of that branch
 */
export async function putSecret(
  { host, actor }: Call,
  source: AsyncIterable<Uint8Array>,
  args: { branch?: string; label: string },
): Promise<ShelfRow> {
  const policy = host.journal.needPolicy("put");
  const branch = args.branch ?? branchOf(host, "put");
  if (!policy.branches.has(branch)) {
    throw new Fault("put", "notFound", `there is no branch ${inert(branch)}`, { hint: "isconf status" });
  }
  const readers = readersOf(policy, branch);
  if (readers.length === 0) {
    throw new Fault("put", "refused", `no host may read the secrets of ${inert(branch)}`, {
      hint: `isconf grant HOST secret ${inert(branch)}`,
    });
  }
  const { recipientOf, seal } = await import("../mq/secret.ts"); // loaded by who has a secret only
  return await host.store.holding(async () => {
    const { id } = await putFile(host.store, seal(source, readers.map(recipientOf)));
    return await host.shelf.add({ id, label: args.label, uid: actor.uid, pinned: false });
  });
}

/**
 * What was sealed, if this host may read it and its root asks. That the end is there is known at the end only.
 * @throws {Fault} denied, for others, and when it was not sealed for this host; corrupt, when it is no secret
 */
export async function openSecret({ host, actor }: Call, id: Id): Promise<AsyncIterable<Uint8Array>> {
  if (actor.uid !== (process.geteuid?.() ?? 0)) {
    throw new Fault("get", "denied", "only root of this host opens its secrets", {
      hint: "sudo isconf get --secret",
    });
  }
  await needStillIn(host);
  const { identityOf, unseal } = await import("../mq/secret.ts");
  return unseal(readFile(host.store, id), ...[hostPair(host), ...host.keys.past("host")].map(identityOf));
}
