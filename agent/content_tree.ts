// Content tree: a tree that a command line tells of, on its way into the store: whoever keeps it makes its objects and hashes
// them, and need not be told what they are. Not the walk (fs/capture.ts), and not the connection (content_session.ts).
import { type Id, Kept, PutBatch, type SqliteStore, tellSteps, TreeWriter } from "../fs/mod.ts";
import type { Cbor } from "../mq/mod.ts";

/** Its caller has a hold on the store until all is shared. */
export class ToldTree {
  readonly #kept: Kept;
  readonly #batch: PutBatch;
  readonly #writer: TreeWriter;
  /** One message after the other; what went wrong with one goes wrong with all that follow. */
  #turn: Promise<void> = Promise.resolve();

  constructor(store: SqliteStore) {
    this.#kept = new Kept(store);
    this.#batch = new PutBatch(this.#kept);
    this.#writer = new TreeWriter(this.#batch);
  }

  /** Takes the next steps, with the bytes of the files in them. */
  take(steps: Cbor, bytes: Cbor): Promise<void> {
    return this.#turn = this.#turn.then(() => tellSteps(this.#writer, steps, bytes));
  }

  /** The root's id, when all of it is durable, and what shares all of it, unless that has to be looked for. */
  async finish(): Promise<{ id: Id; share(): Promise<void> }> {
    await this.#turn;
    const id = await this.#writer.finish();
    await this.#batch.flush();
    const { others } = this.#writer;
    return { id, share: () => others === undefined ? Promise.resolve() : this.#kept.share(id, others) };
  }
}
