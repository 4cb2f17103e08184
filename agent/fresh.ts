// Fresh: what must not be done on old news, and asks a quorum of keepers with a nonce first. How old news are otherwise, which is
// only shown: heads.ts.
import { Fault } from "../mq/mod.ts";
import { branchOf, type Host, hostId } from "./host.ts";
import { CONTROL } from "./names.ts";
import { isMember, type Policy } from "./trust.ts";

/**
 * A host that has applied nothing yet remembers nothing: whoever built it could have given it an old end for the newest one.
 * Before its first entry it hears how far the branch is from a quorum of keepers, who name its nonce, and has all of that.
 * What each of a quorum told it itself since it joined will do when they are off now.
 * @throws {Fault} noQuorum; refused, when entries are missing
 */
export async function needNewest(host: Host, branch: string): Promise<void> {
  const policy = host.journal.needPolicy("up");
  const isOut = !isMember(policy, hostId(host)); // it came by bundle, and a person knows from where
  if (isOut || host.history.last() !== undefined || host.keepers.isAlone(policy)) return;
  const seq = await newestOf(host, policy, branch);
  const { seq: here } = host.journal.head(branch);
  if (here >= seq) return;
  throw new Fault(
    "up",
    "refused",
    `the keepers are at entry ${seq} of ${branch}, and ${here} have come here`,
    {
      hint: "isconf up, when a host that has them is there",
    },
  );
}

async function newestOf(host: Host, policy: Policy, branch: string): Promise<number> {
  try {
    return (await host.keepers.look("up", policy, branch)).seq;
  } catch (e) {
    const fault = Fault.from("up", e);
    const told = fault.kind === "noQuorum" ? host.heads.direct(branch) : undefined;
    if (told === undefined) throw fault;
    return told;
  }
}

/**
 * A host that was evicted may not have heard of it. So who opens a secret has all of the control journal that a quorum of
 * keepers speaks of, now or not long ago.
 * @throws {Fault} noQuorum, when none was heard; denied, when this host was evicted
 */
export async function needStillIn(host: Host): Promise<void> {
  const branch = branchOf(host, "get");
  let policy = host.journal.needPolicy("get");
  try {
    const { seq, keeper } = await host.keepers.look("get", policy, CONTROL);
    if (policy.seq < seq) await host.replica.pull(keeper, CONTROL);
  } catch (e) {
    const fault = Fault.from("get", e);
    if (fault.kind !== "noQuorum") throw fault;
    const { isStale, control, sinceMs } = host.heads.state(branch);
    if (isStale || control > policy.seq) {
      throw new Fault(
        "get",
        "noQuorum",
        `no quorum of keepers was heard since ${
          new Date(sinceMs).toISOString()
        }, and this host may have been evicted: ${fault.message}`,
        { hint: "isconf status, then isconf get again" },
      );
    }
  }
  policy = host.journal.needPolicy("get");
  if (isMember(policy, hostId(host))) return;
  throw new Fault("get", "denied", "this host is not of the domain any more", { hint: "isconf status" });
}
