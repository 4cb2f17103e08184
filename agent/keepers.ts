// Keepers: the way to the domain's keepers, on this host or over the mesh, for locks and check-ins: who is asked, how many
// have to agree, and what their answers come to. Not what a keeper decides (keeper_service.ts).
import { isDeepStrictEqual } from "node:util";
import type { Db } from "../fs/mod.ts";
import { bytesEqual, type Cbor, type Clock, Fault, fromHex, keyId, type KeyPair } from "../mq/mod.ts";
import { type EntryRecord, openVote, readEntry } from "./entry.ts";
import type { Journal } from "./journal.ts";
import { certified, type Held, type Keeper, partsOf, type Proposal } from "./keeper.ts";
import type { KeeperDoor } from "./keeper_service.ts";
import {
  type ClaimReply,
  type ClaimWords,
  type LookReply,
  openReply,
  readClaimed,
  readLook,
  readVotes,
  type RequestWords,
  sealClaim,
  sealRequest,
} from "./keeper_words.ts";
import { keeperAskMs, keeperWorkMs, registerAskMs, termStepMax } from "./limits.ts";
import type { Mesh } from "./mesh.ts";
import { inert } from "./names.ts";
import { batchId, encodeProof, joinProofs, judge, type Proof } from "./promises.ts";
import { hostKey, nameOf, type Policy } from "./trust.ts";

export interface KeepersOptions {
  db: Db;
  journal: Journal;
  /** The keeper that lives on this host; elsewhere what this host last learnt of locks. */
  local: Keeper;
  /** The same keeper's answers to signed requests. */
  door: KeeperDoor;
  key(): KeyPair;
  clock: Clock;
  mesh: Mesh;
}

/** A lock as a quorum has promised it, and its promises. */
export interface Granted {
  held: Held;
  proof: Proof;
  /** What was proposed in an earlier term and has to be proposed before anything else. */
  again: Proposal[] | undefined;
}

/** What keepers know of a branch together: its lock, the highest end, and who has that. */
export interface Looked extends LookReply {
  keeper: string;
}

export class Keepers {
  readonly #o: KeepersOptions;

  /** The promises under which locks are held here, as long as this agent runs. */
  readonly #proofs = new Map<string, { term: number; proof: Proof }>();

  constructor(options: KeepersOptions) {
    this.#o = options;
  }

  /** The promises under which a lock was taken from here; undefined when they have been forgotten. */
  proofOf({ branch, term }: Held): Proof | undefined {
    const known = this.#proofs.get(branch);
    return known?.term === term ? known.proof : undefined;
  }

  get #self(): string {
    return keyId(this.#o.key().publicKey);
  }

  /** Whether this host is the domain's only keeper. */
  isAlone({ keepers }: Policy): boolean {
    return keepers.quorum === 1 && keepers.etcd === undefined && keepers.hosts.includes(this.#self);
  }

  /** The keepers that can be reached now. Throws noQuorum, naming who is missing, when they are too few. */
  reach(op: string, policy: Policy, sets: readonly Policy["keepers"][] = [policy.keepers]): string[] {
    if (policy.revoked.has(this.#self)) {
      throw new Fault(op, "denied", "this host was evicted from the domain", { hint: "isconf status" });
    }
    const peers = this.#o.mesh.peers();
    const here = new Set(
      sets.flatMap(({ hosts }) => hosts).filter((k) => k === this.#self || peers.includes(k)),
    );
    for (const set of sets) if (countIn(set, here) < set.quorum) throw this.#tooFew(op, policy, set, here);
    return [...here];
  }

  #tooFew(
    op: string,
    policy: Policy,
    set: Policy["keepers"],
    answered: ReadonlySet<string>,
    why = "",
  ): Fault {
    const { hosts } = set;
    const missing = hosts.filter((k) => !answered.has(k)).map((k) => inert(nameOf(policy, k)));
    const text = `${countIn(set, answered)} of ${hosts.length} keepers reachable from here; missing: ${
      missing.join(", ")
    }`;
    return new Fault(op, "noQuorum", `${text}${why === "" ? "" : `: ${why}`}`, {
      hint: `isconf status, then isconf ${op} again`,
    });
  }

  /**
   * What the keepers know of a branch's lock, noted here. Without keepers that answer: what this host last learnt.
   */
  async refresh(branch: string): Promise<Held | undefined> {
    const policy = this.#o.journal.needPolicy("lock");
    try {
      return (await this.look("lock", policy, branch)).lock ?? this.#o.local.holder(branch);
    } catch (e) {
      if (!["noQuorum", "gone", "denied"].includes(Fault.from("lock", e).kind)) throw e;
      return this.#o.local.holder(branch);
    }
  }

  /** What the keepers know of a branch, noted here. Throws noQuorum. */
  async look(op: string, policy: Policy, branch: string): Promise<Looked> {
    const answers = await this.#quorum(op, policy, async (keeper) => {
      const reply = readLook(await this.#ask(op, policy, branch, keeper, { what: "look" }), branch);
      this.#checkTerm(reply.lock);
      return reply;
    });
    const lock = lockOf([...answers.values()], policy);
    if (lock !== null) this.#note(lock);
    const [keeper, end] = [...answers].reduce((a, b) => b[1].seq > a[1].seq ? b : a);
    const freed = [...answers.values()].find((one) => one.freed !== null && one.lock?.term === lock?.term)
      ?.freed;
    return { ...end, keeper, lock, freed: freed ?? null };
  }

  /**
   * Puts a claim for a lock, signed by the person, to the keepers; `freed`: in what words the last one was given back.
   * @throws {Fault} what too many of them say against it; noQuorum
   */
  async lock(
    policy: Policy,
    branch: string,
    words: ClaimWords,
    person: KeyPair,
    freed: Uint8Array | null = null,
  ): Promise<Granted> {
    const isSole = policy.keepers.quorum === 1;
    const claim = sealClaim(words, policy.domain, branch, person);
    const answers = await this.#quorum("lock", policy, async (keeper) => {
      const reply = readClaimed(
        await this.#ask("lock", policy, branch, keeper, {
          what: "claim",
          claim,
          ...(freed === null ? {} : { freed }),
        }),
        branch,
      );
      this.#checkTerm(reply.lock);
      const isOurs = reply.lock?.held === true && reply.lock.holder === keyId(person.publicKey) &&
        reply.lock.host === this.#self && reply.said !== null &&
        (isSole || reply.lock.term === words.after + 1);
      if (isOurs) return reply;
      throw new Fault("lock", "corrupt", "the keeper answered with a lock of somebody else", {
        hint: "isconf status",
      });
    });
    const replies = [...answers.values()];
    const held = replies[0]!.lock as Held;
    this.#note(held);
    return this.#granted(policy, branch, held, words, replies);
  }

  /** What promises of a quorum come to. */
  #granted(
    policy: Policy,
    branch: string,
    held: Held,
    { seq, id }: ClaimWords,
    replies: readonly ClaimReply[],
  ): Granted {
    const said = replies.map((reply) => reply.said as Uint8Array);
    const accepted = replies.flatMap((reply) => reply.accepted ?? []);
    const proof = joinProofs(
      said,
      ...accepted.map(({ term, batch, proof }) => ({ voted: { term, batch }, proof })),
    );
    const { epoch } = this.#o.journal.head(branch);
    const { must } = judge({ policy, branch, epoch, seq, id }, held.term, proof);
    const found = accepted.find(({ term, batch }) =>
      term === held.term || (must !== undefined && bytesEqual(batch, must.batch))
    );
    if (found === undefined && must === undefined) {
      this.#proofs.set(branch, { term: held.term, proof });
      return { held, proof, again: undefined };
    }
    if (found === undefined) {
      throw new Fault("lock", "corrupt", "a keeper has voted for something that it does not give", {
        hint: "isconf status",
      });
    }
    const again = found.records.map(([entry, origin]): Proposal => {
      const read = readEntry(entry!);
      return { branch, epoch, seq: read.entry.seq, id: read.id, entry: entry!, origin: origin! };
    });
    return { held, proof, again };
  }

  /**
   * Gives a lock back, or takes a claim to one back that was not granted. What no keeper hears of now, they learn when the
   * lock is taken again.
   */
  async unlock(policy: Policy, branch: string, words: ClaimWords, person: KeyPair): Promise<void> {
    const claim = sealClaim(words, policy.domain, branch, person);
    const answers = await this.#quorum("unlock", policy, async (keeper) => {
      const reply = await this.#ask("unlock", policy, branch, keeper, { what: "claim", claim });
      return readLook(reply, branch);
    });
    const lock = lockOf([...answers.values()], policy);
    if (lock !== null) this.#note(lock);
  }

  /**
   * Brings a check-in to the keepers, in parts, and has it certified as a whole or not at all; the records with their votes.
   * `sets`: of whom quorums have to vote, where that are not only the keepers.
   * @throws {Fault} what too many of them say against it; noQuorum, when it is not known whether it was certified
   */
  async certify(
    op: string,
    policy: Policy,
    branch: string,
    { term, proof }: { term: number; proof: Proof },
    batch: readonly Proposal[],
    sets: readonly Policy["keepers"][] = [policy.keepers],
  ): Promise<EntryRecord[]> {
    const isSole = sets.length === 1 && policy.keepers.quorum === 1;
    const answers = await this.#quorum(op, policy, async (keeper) => {
      const id = this.#o.clock.random(32);
      const ask = (body: RequestWords) => this.#ask(op, policy, branch, keeper, body, keeperWorkMs);
      let parts = 0;
      for (const entries of partsOf(batch)) {
        await ask({ what: "stage", batch: id, part: parts, entries });
        parts++;
      }
      const why = isSole ? {} : { proof: encodeProof(proof) };
      const votes = readVotes(await ask({ what: "certify", batch: id, parts, term, ...why }), batch.length);
      for (const [i, bytes] of votes.entries()) {
        const vote = openVote(bytes, policy.domain, branch, hostKey(policy, keeper));
        const { epoch, seq, id } = batch[i]!;
        if (isDeepStrictEqual({ ...vote }, { epoch, term, seq, id })) continue;
        throw new Fault(op, "corrupt", "a keeper has voted for something else", { hint: "isconf status" });
      }
      return votes;
    }, sets);
    const records = certified(batch, [...answers.values()]);
    if (!isSole) await this.#tell(op, policy, branch, batch, records, sets);
    return records;
  }

  /** Tells the keepers what is certified, so that who asks them from now on hears of it; it is so anyhow. */
  async #tell(
    op: string,
    policy: Policy,
    branch: string,
    batch: readonly Proposal[],
    records: readonly EntryRecord[],
    sets: readonly Policy["keepers"][],
  ): Promise<void> {
    const words = { batch: batchId(batch.map(({ id }) => id)), certs: records.map(({ cert }) => cert) };
    try {
      await this.#quorum(
        op,
        policy,
        (keeper) => this.#ask(op, policy, branch, keeper, { what: "keep", ...words }),
        sets,
      );
    } catch {
      // whoever has not heard of it asks others
    }
  }

  /** Asks all keepers that can be reached; what quorums of them answer. Who answers later is not waited for. */
  async #quorum<T>(
    op: string,
    policy: Policy,
    ask: (keeper: string) => Promise<T>,
    sets: readonly Policy["keepers"][] = [policy.keepers],
  ): Promise<Map<string, T>> {
    const keepers = this.reach(op, policy, sets);
    if (policy.keepers.etcd !== undefined && sets.length === 1) return await this.#any(op, keepers, ask);
    const answers = new Map<string, T>();
    const faults: Fault[] = [];
    const isEnough = () => sets.every((set) => countIn(set, answers) >= set.quorum);
    const done = Promise.withResolvers<void>();
    for (const keeper of keepers) {
      ask(keeper).then((answer) => {
        if (!isEnough()) answers.set(keeper, answer);
      }, (e) => void faults.push(Fault.from(op, e))).then(() => {
        if (isEnough() || answers.size + faults.length === keepers.length) done.resolve();
      });
    }
    await done.promise;
    const set = sets.find((set) => countIn(set, answers) < set.quorum);
    if (set === undefined) return answers;
    // What those say who refuse is told when no others could make up for them, or when nothing else was heard.
    const said = faults.filter(({ kind }) => kind !== "noQuorum" && kind !== "gone");
    if (said.length > set.hosts.length - set.quorum || (said.length > 0 && said.length === faults.length)) {
      throw said[0];
    }
    if (set.hosts.length === 1) throw faults[0];
    throw this.#tooFew(op, policy, set, new Set(answers.keys()), faults[0]?.message);
  }

  /** Asks one keeper after the other, this host first: where an etcd decides each of them can say what that was. */
  async #any<T>(op: string, keepers: string[], ask: (keeper: string) => Promise<T>): Promise<Map<string, T>> {
    const faults: Fault[] = [];
    for (const keeper of keepers.sort((a, b) => Number(b === this.#self) - Number(a === this.#self))) {
      try {
        return new Map([[keeper, await ask(keeper)]]);
      } catch (e) {
        faults.push(Fault.from(op, e));
      }
    }
    throw faults.find(({ kind }) => kind !== "noQuorum" && kind !== "gone") ?? faults[0];
  }

  async #ask(
    op: string,
    policy: Policy,
    branch: string,
    keeper: string,
    body: RequestWords,
    waitMs = policy.keepers.etcd === undefined ? keeperAskMs : registerAskMs,
  ): Promise<Cbor> {
    const nonce = this.#o.clock.random(16);
    const to = { domain: policy.domain, branch, keeper: fromHex(keeper), nonce };
    const question = [branch, sealRequest(body, to, this.#o.key())];
    let answer: Cbor;
    try {
      answer = keeper === this.#self
        ? await this.#o.door(keeper, question)
        : await this.#o.mesh.ask(keeper, "keeper", question, waitMs);
    } catch (e) {
      const fault = Fault.from(op, e);
      if (fault.kind !== "gone") throw new Fault(op, fault.kind, fault.message, { hint: fault.hint });
      throw new Fault(
        op,
        "noQuorum",
        `the keeper ${inert(nameOf(policy, keeper))} does not answer: ${fault.message}`,
        {
          hint: `isconf status, then isconf ${op} again`,
        },
      );
    }
    return openReply(answer, nonce, policy, branch, keeper);
  }

  #checkTerm(lock: Held | null): void {
    if (lock === null || lock.term <= (this.#o.local.holder(lock.branch)?.term ?? 0) + termStepMax) return;
    throw new Fault(
      "lock",
      "corrupt",
      `the keeper speaks of a lock with term ${lock.term}, far beyond any`,
      {
        hint: "isconf status",
      },
    );
  }

  /** Notes what keepers say of a lock; what this host has promised itself it knows better. */
  #note(lock: Held): void {
    const { db, local, journal } = this.#o;
    if (journal.policy()?.keepers.hosts.includes(this.#self)) return;
    if (!isDeepStrictEqual(local.holder(lock.branch), lock)) db.write((tx) => local.learn(tx, lock));
  }
}

/** How many of a set of keepers are among these. */
const countIn = ({ hosts }: Policy["keepers"], some: { has(key: string): boolean }): number =>
  hosts.filter((host) => some.has(host)).length;

/**
 * Who holds a lock, as keepers know it together: the newest term counts, and of that a word that it was given back. Who has
 * the promises of too few, also if all others had promised him, does not hold it.
 */
function lockOf(answers: readonly { lock: Held | null }[], { keepers }: Policy): Held | null {
  const locks = answers.flatMap(({ lock }) => lock ?? []);
  const term = Math.max(...locks.map((lock) => lock.term));
  const newest = locks.filter((lock) => lock.term === term);
  const [first] = newest;
  if (first === undefined) return null;
  const others = keepers.hosts.length - answers.length;
  return { ...first, held: newest.every(({ held }) => held) && newest.length + others >= keepers.quorum };
}
