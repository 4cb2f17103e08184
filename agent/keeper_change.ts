// Keeper change: who votes from now on. While that changes nobody else can check anything in: the one who changes it holds the
// lock of every branch. Not what a change means (trust.ts) and not what a keeper asks of one (keeper_service.ts).
import { Fault, fromHex, keyId } from "../mq/mod.ts";
import { extendControl } from "./control.ts";
import { type Call, hostId, hostName, personPair } from "./host.ts";
import { CHANGING, lockedBy } from "./keeper.ts";
import { keepersMax } from "./limits.ts";
import { claim, finish, giveBack } from "./locks.ts";
import { CONTROL, inert } from "./names.ts";
import { memberNamed } from "./roles.ts";
import { majorityOf, may, nameOf, type Policy } from "./trust.ts";

/** The keepers of a domain. */
export interface KeepersNow {
  keepers: { name: string; connected: boolean }[];
  /** How many of them have to agree, and so how many may be away. */
  quorum: number;
  mayBeAway: number;
  /** What decides: the keepers themselves, or an etcd cluster. */
  register: Register;
}

export type Register = "keepers" | "etcd";

/** Who votes now. */
export function list({ host }: Pick<Call, "host">): KeepersNow {
  const policy = host.journal.needPolicy("keeper");
  const { hosts, quorum } = policy.keepers;
  const here = new Set([hostId(host), ...host.mesh.peers()]);
  return {
    keepers: hosts.map((id) => ({ name: nameOf(policy, id), connected: here.has(id) })),
    quorum,
    mayBeAway: hosts.length - quorum,
    register: registerOf(policy),
  };
}

const registerOf = ({ keepers }: Policy): Register => keepers.etcd === undefined ? "keepers" : "etcd";

/** What is to be changed; what is not named stays. */
export interface Wanted {
  add?: string[];
  remove?: string[];
  quorum?: number;
  register?: Register;
}

/**
 * Adds keepers and takes others away, in one entry that quorums of the old and of the new ones vote for. `quorum`: how many
 * have to agree from then on; else more than half. `register`: what decides from then on. An etcd has to answer this host first.
 * @throws {Fault} usage, denied; locked, while somebody else holds a lock; noQuorum
 */
export async function change(
  call: Call,
  args: Wanted,
): Promise<KeepersNow> {
  const { host, actor } = call;
  const policy = host.journal.needPolicy("keeper");
  const { hosts, quorum, register } = wanted(policy, args);
  const author = personPair(host, actor);
  if (!may(policy, keyId(author.publicKey), "owner", CONTROL)) {
    throw new Fault("keeper", "denied", `${inert(actor.name)}@${hostName(host)} is no owner of the domain`, {
      hint: "isconf status: shows who is",
    });
  }
  if (!policy.keepers.hosts.includes(hostId(host))) {
    const names = policy.keepers.hosts.map((k) => inert(nameOf(policy, k))).join(", ");
    throw new Fault("keeper", "refused", "only a keeper has every branch, which those who come have to get", {
      hint: `isconf keeper add or remove, on ${names}`,
    });
  }
  if (register === "etcd") await host.register.reach();
  const terms: Record<string, number> = {};
  try {
    for (const branch of policy.branches.keys()) terms[branch] = await holdStill(call, branch);
  } catch (e) {
    await letGo(call, Object.keys(terms));
    throw e;
  }
  const isOther = register !== registerOf(policy);
  const names = hosts.map((k) => nameOf(policy, k)).join(", ");
  const message = `keepers: ${names}; ${isOther ? `${register} decide` : `${quorum} have to agree`}`;
  // From here on the branches stand still until it is done, by whomever.
  await extendControl(host, "keeper", author, message, (now, ends) => {
    const { keepers } = now;
    if (keepers.quorum === quorum && isSameSet(keepers.hosts, hosts) && registerOf(now) === register) {
      return [];
    }
    if (!isSameSet(keepers.hosts, policy.keepers.hosts) || keepers.etcd !== policy.keepers.etcd) {
      throw new Fault("keeper", "refused", "another change of the keepers was finished first", {
        hint: "isconf keeper, then isconf keeper add or remove again",
      });
    }
    const how = { quorum, cuts: { ...ends }, terms };
    return [
      isOther
        ? { op: "register", kind: register, ...how }
        : { op: "keepers", hosts: hosts.map(fromHex), ...how },
    ];
  });
  return list(call);
}

const isSameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((one) => b.includes(one));

function wanted(
  policy: Policy,
  { add = [], remove = [], quorum, register = registerOf(policy) }: Wanted,
) {
  const idOf = (name: string) => memberNamed(policy, name, "keeper");
  const gone = new Set(remove.map(idOf));
  const hosts = [...new Set([...policy.keepers.hosts, ...add.map(idOf)])].filter((id) => !gone.has(id));
  const usage = (why: string) => new Fault("keeper", "usage", why, { hint: "isconf help keeper" });
  for (const id of gone) {
    if (!policy.keepers.hosts.includes(id)) throw usage(`${inert(nameOf(policy, id))} is no keeper`);
  }
  if (hosts.length === 0 || hosts.length > keepersMax) throw usage(`a domain has 1 to ${keepersMax} keepers`);
  const isEtcd = register === "etcd";
  const needed = quorum ?? (isEtcd ? 1 : majorityOf(hosts.length));
  if (isEtcd && needed !== 1) throw usage("where etcd decides one keeper is enough to say so");
  if (!isEtcd && (2 * needed <= hosts.length || needed > hosts.length)) {
    throw usage(`of ${hosts.length} keepers more than half have to agree, and not more than there are`);
  }
  const isSame = isSameSet(hosts, policy.keepers.hosts);
  if (needed === policy.keepers.quorum && isSame && register === registerOf(policy)) {
    throw usage("these are the keepers already");
  }
  return { hosts, quorum: needed, register };
}

/** Makes a branch stand still: nothing is checked in any more, and what was begun to be is finished. The term of that. */
async function holdStill({ host, actor }: Call, branch: string): Promise<number> {
  const person = personPair(host, actor);
  const policy = host.journal.needPolicy("keeper");
  for (;;) {
    const { lock, seq, keeper, freed } = await host.keepers.look("keeper", policy, branch);
    if (host.journal.head(branch).seq < seq) await host.replica.pull(keeper, branch);
    if (lock?.held === true && !lock.change) throw lockedBy("keeper", lock, host.clock.wall());
    const want = { message: CHANGING, after: lock?.term ?? 0, steal: false, freed };
    const granted = await claim(host, policy, branch, { ...want, what: "change" }, person);
    if (granted.again === undefined) return granted.held.term;
    await letGo({ host, actor }, [branch]);
    const again = await claim(host, policy, branch, { ...want, after: granted.held.term }, person);
    if (again.again === undefined) await giveBack(host, policy, again.held, person);
    else await finish(host, policy, branch, again, person);
  }
}

/** Lets branches go on, by the word of whoever are the keepers now. */
async function letGo(
  { host, actor }: Pick<Call, "host" | "actor">,
  branches: readonly string[],
): Promise<void> {
  for (const branch of branches) {
    try {
      const policy = host.journal.needPolicy("keeper");
      const { lock } = await host.keepers.look("keeper", policy, branch);
      const isOurs = lock?.held === true && lock.change && lock.host === hostId(host);
      if (isOurs) await giveBack(host, policy, lock, personPair(host, actor));
    } catch (e) {
      host.log(`keeper: ${branch} stays locked: ${Fault.from("keeper", e).message}`);
    }
  }
}
