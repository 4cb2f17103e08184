// Contact: what two hosts tell each other beside the ends of their chains, before either asks for entries: which fork proofs they
// have, what keepers have said last, and what the one has heard of the other. It puts these together and keeps nothing.
import type { Cbor } from "../mq/mod.ts";
import type { ForkSpread } from "./fork_spread.ts";
import type { Heads } from "./heads.ts";
import { branchesMax } from "./limits.ts";
import type { Reports } from "./reports.ts";

export interface ContactOptions {
  forks: ForkSpread;
  heads: Heads;
  /** The branch this host is on. */
  branch(): string | undefined;
}

export class Contact {
  readonly #o: ContactOptions;
  /** What hosts say of themselves. Set by who knows. */
  reports: Pick<Reports, "last" | "later" | "hearOwn"> | undefined;

  constructor(options: ContactOptions) {
    this.#o = options;
  }

  /** The question: of which branches, and the number of the last report of who asks. */
  ask(): Cbor {
    const branch = this.#o.branch();
    return [branch === undefined ? [] : [branch], this.reports?.last() ?? 0];
  }

  /** The answer to a host that asked. */
  answer(host: string, asked: Cbor): Cbor {
    const { forks, heads } = this.#o;
    const [branches, last] = Array.isArray(asked) ? asked : [];
    const known = (Array.isArray(branches) ? branches : []).slice(0, branchesMax).filter((b) =>
      typeof b === "string"
    );
    const report = typeof last === "number" ? this.reports?.later(host, last) : undefined;
    return [forks.digest(), heads.words(known as string[]), report ?? null];
  }

  /** Takes in what a host answered; proofs are fetched before this resolves. */
  async heard(host: string, answer: Cbor): Promise<void> {
    const { forks, heads } = this.#o;
    const [digest, words, report] = Array.isArray(answer) ? answer : [];
    if (report instanceof Uint8Array) this.reports?.hearOwn(report);
    if (words !== undefined) heads.take(host, words);
    await forks.compare(host, digest);
  }

  /** Asks nobody any more. */
  stop(): void {
    this.#o.forks.stop();
  }
}
