// Keepers: the way to the domain's keepers, on this host or over the mesh, for locks and check-ins: who is asked, how many
// have to agree, and what their answers come to. Not what a keeper decides (keeper_service.ts).
import { isDeepStrictEqual } from "node:util";
import type { Db } from "../fs/mod.ts";
import { bytesEqual, type Cbor, type Clock, Fault, keyId, type KeyPair } from "../mq/mod.ts";
import { type EntryRecord, openVote, readEntry } from "./entry.ts";
import type { Heads } from "./heads.ts";
import { proveAuthors } from "./intake.ts";
import type { Journal } from "./journal.ts";
import { askKeeper } from "./keeper_ask.ts";
import { certified, type Held, type Keeper, type Proposal } from "./keeper.ts";
import type { KeeperDoor } from "./keeper_service.ts";
import {
  type ClaimReply,
  type ClaimWords,
  type LookReply,
  readClaimed,
  readLook,
  readVotes,
  type RequestWords,
  sealClaim,
} from "./keeper_words.ts";
import { keeperAskMs, keeperWorkMs, registerAskMs, termStepMax } from "./limits.ts";
import type { Mesh } from "./mesh.ts";
import { batchId, encodeProof, isEnough, joinProofs, judge, type Proof, Undecided } from "./promises.ts";
import { askOne, askQuorum, countIn, lockOf, tooFew } from "./quorum.ts";
import { inParts, partsOf } from "./stages.ts";
import { hostKey, type Policy } from "./trust.ts";

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
  /** Hears of every keeper that has answered to a nonce. */
  heads: Pick<Heads, "heard">;
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
  readonly #proofs = new Map<string, { epoch: number; term: number; proof: Proof }>();

  constructor(options: KeepersOptions) {
    this.#o = options;
  }

  /** The promises under which a lock was taken from here; undefined when they have been forgotten. */
  proofOf({ branch, term }: Held): Proof | undefined {
    const known = this.#proofs.get(branch);
    const isOfNow = known?.term === term && known.epoch === this.#o.journal.head(branch).epoch;
    return isOfNow ? known.proof : undefined;
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
    for (const set of sets) if (countIn(set, here) < set.quorum) throw tooFew(op, policy, set, here);
    return [...here];
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
    const answers = await this.#quorum(op, policy, (keeper) => this.#lookAt(op, policy, branch, keeper));
    const lock = lockOf([...answers.values()], policy);
    if (lock !== null) this.#note(lock);
    const [keeper, end] = [...answers].reduce((a, b) => b[1].seq > a[1].seq ? b : a);
    const freed = [...answers.values()].find((one) => one.freed !== null && one.lock?.term === lock?.term)
      ?.freed;
    return { ...end, keeper, lock, freed: freed ?? null };
  }

  /** What each keeper that answers has voted for on a branch and does not know to be certified. Throws nothing. */
  async voted(policy: Policy, branch: string): Promise<{ keeper: string; term: number; seq: number }[]> {
    const { hosts } = policy.keepers;
    const here = hosts.filter((k) => k === this.#self || this.#o.mesh.peers().includes(k));
    const answers = await Promise.all(here.map(async (keeper) => {
      try {
        const reply = readLook(await this.#ask("keeper", policy, branch, keeper, { what: "look" }), branch);
        return reply.voted === null ? [] : [{ keeper, ...reply.voted }];
      } catch {
        return []; // who does not answer says nothing
      }
    }));
    return answers.flat();
  }

  /** What one keeper says of a branch now: its answer names the question's nonce, and so is not an old one. */
  async #lookAt(op: string, policy: Policy, branch: string, keeper: string): Promise<LookReply> {
    const reply = readLook(await this.#ask(op, policy, branch, keeper, { what: "look" }), branch);
    this.#checkTerm(reply.lock);
    this.#o.heads.heard(keeper, branch);
    return reply;
  }

  /** What each keeper that answers says of where a branch ends now, be they a quorum or not; by their ids. */
  async ends(
    op: string,
    policy: Policy,
    branch: string,
  ): Promise<Map<string, Pick<LookReply, "seq" | "id">>> {
    const here = policy.keepers.hosts.filter((k) => k === this.#self || this.#o.mesh.peers().includes(k));
    const ends = new Map<string, Pick<LookReply, "seq" | "id">>();
    await Promise.all(here.map(async (keeper) => {
      try {
        ends.set(keeper, await this.#lookAt(op, policy, branch, keeper));
      } catch (e) {
        if (!(e instanceof Fault)) throw e; // it does not answer, or not as a keeper does
      }
    }));
    return ends;
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
    const ask = async (keeper: string) => {
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
    };
    const replies = [...(await this.#quorum("lock", policy, ask)).values()];
    const held = replies[0]!.lock as Held;
    this.#note(held);
    try {
      return this.#granted(policy, branch, held, words, replies);
    } catch (e) {
      if (!(e instanceof Undecided)) throw e;
      // The first that answered do not know enough; a claim that comes again is answered in the same words.
      const all = await this.#quorum("lock", policy, ask, [policy.keepers], "all");
      return this.#granted(policy, branch, held, words, [...all.values()]);
    }
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
    proveAuthors(this.#o, branch, accepted.flatMap(({ records }) => records.map(([entry]) => entry!)));
    const joined = joinProofs(
      said,
      ...accepted.map(({ term, batch, proof }) => ({ voted: { term, batch }, proof })),
    );
    const { epoch } = this.#o.journal.head(branch);
    const place = { policy, branch, epoch, seq, id };
    // What a keeper has voted for in this very term it was shown promises for. They are as good as these, which may report votes
    // that came to nothing before, and of which nobody can say any more why they were asked for.
    const begun = accepted.find(({ term, proof }) => term === held.term && isEnough(place, term, proof));
    const proof = begun?.proof ?? joined;
    const { must } = judge(place, held.term, proof);
    const found = begun ??
      accepted.find(({ term, batch }) =>
        term === held.term || (must !== undefined && bytesEqual(batch, must.batch))
      );
    if (found === undefined && must === undefined) {
      this.#proofs.set(branch, { epoch, term: held.term, proof });
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
        if (this.#o.journal.forks.hasVotedTwice(keeper, { ...batch[i]!, term })) {
          throw new Fault(op, "denied", "a keeper has voted for something else there, too", {
            hint: "isconf status",
          });
        }
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
    const id = batchId(batch.map(({ id }) => id));
    const tell = async (keeper: string) => {
      let first = 0;
      for (const certs of inParts(records.map(({ cert }) => cert), (cert) => cert.length)) {
        await this.#ask(op, policy, branch, keeper, { what: "keep", batch: id, first, certs });
        first += certs.length;
      }
    };
    try {
      await this.#quorum(op, policy, tell, sets);
    } catch {
      // whoever has not heard of it asks others
    }
  }

  /**
   * Asks all keepers that can be reached; what quorums of them answer. Who answers later is not waited for, unless `wait` says
   * that all are wanted who answer at all.
   */
  async #quorum<T>(
    op: string,
    policy: Policy,
    ask: (keeper: string) => Promise<T>,
    sets: readonly Policy["keepers"][] = [policy.keepers],
    wait: "quorum" | "all" = "quorum",
  ): Promise<Map<string, T>> {
    const keepers = this.reach(op, policy, sets);
    if (policy.keepers.etcd === undefined || sets.length > 1) {
      return await askQuorum(op, policy, keepers, ask, { sets, wait });
    }
    return await askOne(op, keepers.sort((a, b) => Number(b === this.#self) - Number(a === this.#self)), ask);
  }

  #ask(
    op: string,
    policy: Policy,
    branch: string,
    keeper: string,
    body: RequestWords,
    waitMs = policy.keepers.etcd === undefined ? keeperAskMs : registerAskMs,
  ): Promise<Cbor> {
    return askKeeper(this.#o, { op, policy, branch, keeper, waitMs }, body);
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
