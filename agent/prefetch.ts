// Prefetch: a small window of contents read ahead in batches, so that each step of `up` need not cross the seam. How it is
// held, fs knows (fs/ahead.ts); this knows what a step will need.
import { Ahead, type Id, readNode, type Store } from "../fs/mod.ts";
import { Fault } from "../mq/mod.ts";

export class Prefetched extends Ahead implements Store {
  /** Forgets the last window and reads the next: these trees' roots, and the manifests of those that are files. */
  async warm(trees: Id[]): Promise<void> {
    this.forget();
    await this.expect(trees);
    const manifests: Id[] = [];
    for (const id of trees) {
      if (this.held(id) === undefined) continue;
      const node = await readNode(this, id);
      if (node.kind === "file") manifests.push(node.content);
    }
    await this.expect(manifests);
  }

  put(): Promise<Id[]> {
    throw new Fault("up", "refused", "nothing is stored while replaying", { hint: "isconf doctor" });
  }
}
