// Keepers: the way to the domain's keeper, on this host or over the mesh, for locks and check-ins.
// Not what a keeper decides (keeper.ts here, keeper_service.ts there).
import { isDeepStrictEqual } from "node:util";
import type { Db } from "../fs/mod.ts";
import { type Cbor, type Clock, Fault, fromHex, keyId, type KeyPair } from "../mq/mod.ts";
import type { Journal } from "./journal.ts";
import type { Held, Proposal, SoleKeeper } from "./keeper.ts";
import {
  type ClaimWords,
  openReply,
  readLook,
  type RequestWords,
  sealClaim,
  sealRequest,
} from "./keeper_words.ts";
import { keeperAskMs, keeperWorkMs, stagePartBytesMax, termStepMax } from "./limits.ts";
import type { Mesh } from "./mesh.ts";
import { inert } from "./names.ts";
import { nameOf, type Policy } from "./trust.ts";

export interface KeepersOptions {
  db: Db;
  journal: Journal;
  /** The keeper that lives on this host; elsewhere what this host last learnt of locks. */
  local: SoleKeeper;
  key(): KeyPair;
  clock: Clock;
  mesh: Mesh;
}

export class Keepers {
  readonly #o: KeepersOptions;

  constructor(options: KeepersOptions) {
    this.#o = options;
  }

  /** Whether this host is the domain's keeper. */
  isHere(policy: Policy): boolean {
    return policy.keepers.quorum === 1 && policy.keepers.hosts.includes(keyId(this.#o.key().publicKey));
  }

  /** The keeper that can be reached now, or undefined when this host is it. Throws noQuorum, naming who is missing. */
  reach(op: string, policy: Policy): string | undefined {
    if (this.isHere(policy)) return undefined;
    if (policy.revoked.has(keyId(this.#o.key().publicKey))) {
      throw new Fault(op, "denied", "this host was evicted from the domain", { hint: "isconf status" });
    }
    const found = policy.keepers.hosts.find((k) => this.#o.mesh.peers().includes(k));
    if (found !== undefined && policy.keepers.quorum === 1) return found;
    const names = policy.keepers.hosts.map((k) => inert(nameOf(policy, k)));
    throw new Fault(
      op,
      "noQuorum",
      `0 of ${names.length} keepers reachable from here; missing: ${names.join(", ")}`,
      {
        hint: `isconf status, then isconf ${op} again`,
      },
    );
  }

  /**
   * What the keeper knows of a branch's lock, noted here. Without a keeper that answers: what this host last learnt.
   */
  async refresh(branch: string): Promise<Held | undefined> {
    const policy = this.#o.journal.needPolicy("lock");
    try {
      await this.look("lock", policy, branch);
    } catch (e) {
      if (!["noQuorum", "gone", "denied"].includes(Fault.from("lock", e).kind)) throw e;
    }
    return this.#o.local.holder(branch);
  }

  /** What the keeper knows of a branch. Throws noQuorum. */
  async look(
    op: string,
    policy: Policy,
    branch: string,
  ): Promise<{ lock: Held | undefined; seq: number; id: Uint8Array }> {
    const keeper = this.reach(op, policy);
    if (keeper === undefined) return { lock: this.#o.local.holder(branch), ...this.#o.journal.head(branch) };
    return this.#learn(branch, await this.#ask(op, policy, branch, keeper, { what: "look" }));
  }

  /** Puts a claim, signed by the person, to the keeper on another host; returns the lock as it is then. */
  async claim(policy: Policy, branch: string, words: ClaimWords, person: KeyPair): Promise<Held | undefined> {
    const keeper = this.reach(words.what, policy) as string;
    const claim = sealClaim(words, policy.domain, branch, person);
    const reply = await this.#ask(words.what, policy, branch, keeper, { what: "claim", claim });
    return this.#learn(branch, reply).lock;
  }

  /**
   * Brings a check-in to the keeper on another host, in parts, and has it certified as a whole or not at all. The
   * certified records are then to be had from it like any others.
   * @throws {Fault} what the keeper says against it; noQuorum, when it is not known whether it was certified
   */
  async certify(
    op: string,
    policy: Policy,
    branch: string,
    term: number,
    batch: readonly Proposal[],
  ): Promise<string> {
    const keeper = this.reach(op, policy) as string;
    const id = this.#o.clock.random(32);
    let parts = 0;
    for (const entries of partsOf(batch)) {
      await this.#ask(
        op,
        policy,
        branch,
        keeper,
        { what: "stage", batch: id, part: parts, entries },
        keeperWorkMs,
      );
      parts++;
    }
    const words: RequestWords = { what: "certify", batch: id, parts, term };
    this.#learn(branch, await this.#ask(op, policy, branch, keeper, words, keeperWorkMs));
    return keeper;
  }

  async #ask(
    op: string,
    policy: Policy,
    branch: string,
    keeper: string,
    body: RequestWords,
    waitMs = keeperAskMs,
  ): Promise<Cbor> {
    const nonce = this.#o.clock.random(16);
    const to = { domain: policy.domain, branch, keeper: fromHex(keeper), nonce };
    const request = sealRequest(body, to, this.#o.key());
    let answer: Cbor;
    try {
      answer = await this.#o.mesh.ask(keeper, "keeper", [branch, request], waitMs);
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

  /** Notes a keeper's word about a lock. */
  #learn(branch: string, reply: Cbor): { lock: Held | undefined; seq: number; id: Uint8Array } {
    const { lock, seq, id } = readLook(reply, branch);
    if (lock === null) return { lock: undefined, seq, id };
    const known = this.#o.local.holder(branch);
    if (lock.term > (known?.term ?? 0) + termStepMax) {
      throw new Fault(
        "lock",
        "corrupt",
        `the keeper speaks of a lock with term ${lock.term}, far beyond any`,
        {
          hint: "isconf status",
        },
      );
    }
    if (!isDeepStrictEqual(known, lock)) this.#o.db.write((tx) => this.#o.local.learn(tx, lock));
    return { lock, seq, id };
  }
}

function* partsOf(batch: readonly Proposal[]): IterableIterator<Uint8Array[][]> {
  let part: Uint8Array[][] = [];
  let bytes = 0;
  for (const { entry, origin } of batch) {
    const size = entry.length + origin.length + 16;
    if (part.length > 0 && bytes + size > stagePartBytesMax) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push([entry, origin]);
    bytes += size;
  }
  if (part.length > 0) yield part;
}
