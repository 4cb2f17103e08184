// Liars: what a host says that lies: a keeper that promises everybody everything and votes for whatever it is asked, and any
// host that makes entries up. Each has its own keys and nobody else's. Not how many there are (plan.ts).
import { entries, keeperWords, type Mesh, promises } from "../../agent/mod.ts";
import { type Cbor, encode, fromHex } from "../../mq/mod.ts";
import type { Identity } from "./domain.ts";
import { Chance } from "./kernel.ts";
import type { World } from "./world.ts";

type Answerer = Parameters<Mesh["answer"]>[1];

/** Changes what a host answers and tells. */
export function disguiseOf(world: World, identity: Identity): (mesh: Mesh) => Mesh {
  const liar = new Liar(world, identity);
  return (mesh) => ({
    ...mesh,
    answer: (method, fn) =>
      mesh.answer(
        method,
        method === "keeper"
          ? liar.keeper(fn)
          : method === "entries"
          ? liar.entries(fn)
          : method === "heads"
          ? liar.heads(fn)
          : fn,
      ),
    ask: (to, method, value, waitMs) =>
      mesh.ask(to, method, method === "keeper" ? liar.twoFaced(to, value) : value, waitMs),
    publish: (topic, value) => mesh.publish(topic, topic === "head" ? liar.taller(value) : value),
  });
}

/** Who lies is told of what it has signed and does not remember, and goes on all the same. */
const SHAMELESS = { need: () => {}, ahead: () => undefined };

class Liar {
  readonly #world: World;
  readonly #self: Identity;
  readonly #chance: Chance;
  /** The last entry made up for a keeper that is brought something else. */
  readonly #twins = new Map<string, Uint8Array | undefined>();
  /** What was brought for a vote last, by branch. */
  readonly #staged = new Map<string, Uint8Array[][]>();

  constructor(world: World, self: Identity) {
    this.#world = world;
    this.#self = self;
    this.#chance = new Chance(world.plan.seed, 2000 + world.domain.members.indexOf(self));
  }

  get #lies(): boolean {
    return !this.#world.isCalm && this.#chance.is(0.5);
  }

  get #host() {
    return this.#world.hostOf(this.#self.id)!;
  }

  /** What it brings to a keeper: to some of them other entries than to the rest, in the same term. */
  twoFaced(keeper: string, value: Cbor): Cbor {
    const [branch, bytes] = value as [string, Uint8Array];
    const { host, id } = this.#self;
    const policy = this.#host.journal.needPolicy("lie");
    const { nonce, body } = keeperWords.openRequest(bytes, policy, branch, id, fromHex(keeper));
    if (body.what !== "stage") return value;
    if (body.part === 0) {
      this.#twins.delete(keeper);
      if (this.#lies) this.#twins.set(keeper, undefined);
    }
    if (!this.#twins.has(keeper)) return value;
    const twins = body.entries.map(([made]) => {
      const { entry } = entries.readEntry(made!);
      const words = { ...entry, timeMs: entry.timeMs + 1, prev: this.#twins.get(keeper) ?? entry.prev };
      const twin = entries.sealEntry(words, this.#self.person, host);
      this.#twins.set(keeper, twin.id);
      return [twin.entry, twin.origin];
    });
    this.#world.note(
      this.#self.name,
      `brings something else of ${branch} to ${this.#world.hostOf(keeper)?.identity.name}`,
    );
    const to = { domain: policy.domain, branch, keeper: fromHex(keeper), nonce };
    return [branch, keeperWords.sealRequest({ ...body, entries: twins }, to, host)];
  }

  /** A keeper that knows nothing of what it has said before. */
  keeper(honest: Answerer): Answerer {
    return async (from, value) => {
      Object.assign(this.#host.host.own, SHAMELESS);
      const [branch, bytes] = value as [string, Uint8Array];
      const policy = this.#host.journal.needPolicy("lie");
      const { nonce, body } = keeperWords.openRequest(bytes, policy, branch, from, fromHex(this.#self.id));
      if (body.what === "stage") {
        const before = body.part === 0 ? [] : this.#staged.get(branch) ?? [];
        this.#staged.set(branch, [...before, ...body.entries]);
      }
      if (!this.#lies || body.what === "look" || body.what === "keep" || body.what === "more") {
        return await honest(from, value);
      }
      if (body.what === "stage") {
        return keeperWords.sealReply(null, nonce, policy.domain, branch, this.#self.host);
      }
      const lie = body.what === "claim"
        ? this.#promise(branch, from, body.claim)
        : this.#votes(branch, body.term);
      this.#world.note(
        this.#self.name,
        `lies to ${this.#world.hostOf(from)?.identity.name} about ${body.what}`,
      );
      return keeperWords.sealReply(lie, nonce, policy.domain, branch, this.#self.host);
    };
  }

  #promise(branch: string, from: string, bytes: Uint8Array): Cbor {
    const { domain } = this.#host.journal.needPolicy("lie");
    const author = keeperWords.claimant(bytes);
    const person = this.#world.domain.members.find((one) => one.author === author) ?? this.#self;
    const claim = keeperWords.openClaim(bytes, domain, branch, person.person.publicKey);
    const term = claim.after + 1;
    const words = {
      epoch: 0,
      term,
      seq: claim.seq,
      id: claim.id,
      holder: fromHex(author),
      host: fromHex(from),
    };
    const said = promises.sealPromise({ ...words, voted: null }, domain, branch, this.#self.host);
    const lock = {
      branch,
      term,
      held: true,
      change: claim.what === "change",
      holder: author,
      holderName: `root@${person.name}`,
      host: from,
      hostName: person.name,
      message: claim.message,
      sinceMs: 0,
    };
    return { seq: claim.seq, id: claim.id, freed: null, lock, said, accepted: null };
  }

  #votes(branch: string, term: number): Cbor {
    const { domain } = this.#host.journal.needPolicy("lie");
    const votes = (this.#staged.get(branch) ?? []).map(([entry]) => {
      const { entry: { epoch, seq }, id } = entries.readEntry(entry!);
      return entries.sealVote({ epoch, term, seq, id }, domain, branch, this.#self.host);
    });
    return { seq: 0, id: new Uint8Array(0), freed: null, lock: null, votes };
  }

  /** Its journal, and after the end an entry that nobody certified. */
  entries(honest: Answerer): Answerer {
    return async (from, value) => {
      const answer = await honest(from, value) as Cbor[];
      const [branch, after] = value as [string, number];
      if (!this.#lies || branch === "@domain") return answer;
      if (this.#chance.is(0.1)) return [[1, "x", null]];
      const head = this.#host.journal.head(branch);
      if (after < head.seq && this.#chance.is(0.5)) return this.#twin(branch, after + 1);
      if (after + answer.length !== head.seq) return answer;
      this.#world.note(this.#self.name, `makes up entry ${head.seq + 1} of ${branch}`);
      const place = { epoch: head.epoch, seq: head.seq + 1, term: 1_000 };
      return [...answer, this.#madeUp(branch, place, head.id)];
    };
  }

  /** A second entry for a place that is taken, in the term of the first: with that, or with its vote, it proves its own lie. */
  #twin(branch: string, seq: number): Cbor[] {
    const { entry } = entries.readEntry(this.#host.journal.at(branch, seq)!.entry);
    this.#world.note(this.#self.name, `makes up a second entry ${seq} of ${branch}`);
    return [this.#madeUp(branch, entry, entry.prev)];
  }

  #madeUp(
    branch: string,
    { epoch, seq, term }: { epoch: number; seq: number; term: number },
    prev: Uint8Array,
  ): Cbor {
    const policy = this.#host.journal.needPolicy("lie");
    const { host, person } = this.#self;
    const place = { epoch, seq, term };
    const sealed = entries.sealEntry(
      {
        level: entries.ENTRY_LEVEL,
        domain: policy.domain,
        branch,
        ...place,
        prev,
        policy: policy.head,
        timeMs: this.#chance.below(1_000_000),
        author: fromHex(this.#self.author),
        origin: fromHex(this.#self.id),
        message: "made up",
        ops: [{
          op: "exec",
          argv: ["work", "made up"],
          cwd: "/",
          umask: 0o022,
          env: {},
          user: "",
          timeoutMs: 0,
          stdin: null,
        }],
      },
      person,
      host,
    );
    const vote = { ...place, id: sealed.id };
    const votes = this.#chance.is(0.5) ? [] : [entries.sealVote(vote, policy.domain, branch, host)];
    return [sealed.entry, sealed.origin, encode(votes)];
  }

  heads(honest: Answerer): Answerer {
    return async (from, value) => {
      const [heads, ...contact] = await honest(from, value) as [Cbor[], ...Cbor[]];
      return [this.#lies ? heads.map((head) => this.taller(head)) : heads, ...contact];
    };
  }

  /** The end of a chain, told as further away than it is. */
  taller(value: Cbor): Cbor {
    const [branch, seq, ...rest] = value as [string, number, ...Cbor[]];
    return branch === "@domain" || !this.#lies ? value : [branch, seq + this.#chance.from(1, 3), ...rest];
  }
}
