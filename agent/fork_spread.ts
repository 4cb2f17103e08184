// Fork spread: fork proofs from host to host, before anything else: told when one is found or new, and compared by digest at
// every contact. Each is checked here before it is kept. Not what a proof is (fork_proof.ts) and not where it is kept (forks.ts).
import { bytesEqual, type Cbor, type Clock, Fault, pause } from "../mq/mod.ts";
import { Complaints } from "./complaints.ts";
import { checkForkProof, FORK_KINDS, forkId, type ForkKind } from "./fork_proof.ts";
import type { Db } from "../fs/mod.ts";
import type { Journal } from "./journal.ts";
import { forksComingMax, forksToldMax, pullAskMs } from "./limits.ts";
import type { Mesh } from "./mesh.ts";

export interface ForkSpreadOptions {
  db: Db;
  journal: Journal;
  mesh: Mesh;
  clock: Clock;
  log(line: string): void;
}

export class ForkSpread {
  readonly #o: ForkSpreadOptions;
  readonly #complaints: Complaints;
  /** Proofs that are being brought, so that none comes twice at a time. */
  readonly #coming = new Set<string>();
  #stopped = false;

  constructor(options: ForkSpreadOptions) {
    this.#o = options;
    const { mesh, journal } = options;
    this.#complaints = new Complaints((line) => this.#stopped || options.log(line));
    mesh.answer("proofs", () => journal.forks.all().slice(0, forksToldMax).map(({ id }) => id));
    mesh.answer("proof", (_, value) => this.#half(value));
    mesh.onRumour("proof", (host, value) => void (isId(value) && this.#bring(host, [value])));
    journal.forks.onKept(({ id }) => mesh.publish("proof", id)); // told on by whom it is news for
  }

  /** Asks nobody any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** What is said of the proofs here at a contact. */
  digest(): Uint8Array {
    return this.#o.journal.forks.digest();
  }

  /** Brings what a peer has more, whose digest is another. */
  async compare(host: string, digest: Cbor | undefined): Promise<void> {
    if (this.#stopped || !isId(digest) || bytesEqual(digest, this.digest())) return;
    const ids = await this.#o.mesh.ask(host, "proofs", null, pullAskMs);
    if (!Array.isArray(ids)) throw malformed();
    await this.#bring(host, ids.slice(0, forksToldMax).filter(isId));
  }

  async #bring(host: string, ids: Uint8Array[]): Promise<void> {
    for (const id of ids) {
      const { journal } = this.#o;
      const name = [...id].join();
      if (
        this.#stopped || journal.policy() === undefined || journal.forks.has(id) || this.#coming.has(name) ||
        this.#coming.size >= forksComingMax
      ) {
        continue;
      }
      this.#coming.add(name);
      try {
        await this.#fetch(host, id);
      } catch (e) {
        if (Fault.from("proof", e).kind === "corrupt") this.#complaints.note(host, e); // else we know too little yet
      } finally {
        this.#coming.delete(name);
      }
      await pause(); // others get their turn
    }
  }

  /** The two statements come one by one: each may be as large as an entry. */
  async #fetch(host: string, id: Uint8Array): Promise<void> {
    const { mesh, journal, db, clock } = this.#o;
    const halves = [];
    for (const n of [0, 1]) halves.push(readHalf(await mesh.ask(host, "proof", [id, n], pullAskMs)));
    if (this.#stopped) return;
    const [a, b] = halves as [Half, Half];
    const proof = checkForkProof(journal, a.kind, a.branch, a.bytes, b.bytes);
    if (!bytesEqual(forkId(proof), id)) throw malformed();
    db.write((tx) => journal.forks.keep(tx, journal.needPolicy("proof"), proof, clock.wall()));
  }

  /** One statement of a proof that is here. */
  #half(value: Cbor): Cbor {
    const [id, n] = Array.isArray(value) ? value : [];
    if (!isId(id) || (n !== 0 && n !== 1)) throw malformed();
    const proof = this.#o.journal.forks.proof(id);
    return proof === undefined ? null : [proof.kind, proof.branch, n === 0 ? proof.first : proof.second];
  }
}

interface Half {
  kind: ForkKind;
  branch: string;
  bytes: Uint8Array;
}

function readHalf(value: Cbor): Half {
  const [kind, branch, bytes] = Array.isArray(value) ? value : [];
  const known = FORK_KINDS.find((one) => one === kind);
  if (known === undefined || typeof branch !== "string" || !(bytes instanceof Uint8Array)) throw malformed();
  return { kind: known, branch, bytes };
}

const isId = (v: Cbor | undefined): v is Uint8Array => v instanceof Uint8Array && v.length === 32;

const malformed = () =>
  new Fault("proof", "corrupt", "proofs are asked for, and answered, by their ids", {
    hint: "isconf version",
  });
