// Net memory: where other hosts were last seen, and which ports this host had where the system chose them. One small file
// of the net half's own; losing it costs a while of looking. Not a source of trust.
import * as fs from "node:fs";
import * as path from "node:path";
import { writeDurably } from "./keys.ts";
import { addressesKeptMax } from "./limits.ts";

interface Kept {
  known: { peer: string; address: string }[];
  /** What the configuration said, and the addresses that came of it. */
  listen: string[];
  addresses: string[];
}

export class NetMemory {
  readonly #file: string;
  #kept: Kept = { known: [], listen: [], addresses: [] };

  constructor(dir: string) {
    this.#file = path.join(dir, "addresses.json");
    try {
      this.#kept = { ...this.#kept, ...JSON.parse(fs.readFileSync(this.#file, "utf8")) };
    } catch {
      this.#kept = { known: [], listen: [], addresses: [] }; // none yet, or damaged: it is found out again
    }
  }

  known(): Kept["known"] {
    return this.#kept.known;
  }

  /** Writes down what has changed. */
  keep(more: Partial<Kept>): void {
    const next = { ...this.#kept, ...more };
    next.known = next.known.slice(0, addressesKeptMax);
    if (JSON.stringify(next) === JSON.stringify(this.#kept)) return;
    this.#kept = next;
    writeDurably(this.#file, new TextEncoder().encode(JSON.stringify(next)), 0o600);
  }

  /** Where to listen: a port that the system chose once is asked for again, so that others find this host. */
  ports(listen: string[]): string[] {
    if (listen.join() !== this.#kept.listen.join()) return listen;
    return listen.map((want) => {
      if (!want.endsWith(":0")) return want;
      return this.#kept.addresses.find((had) => had.startsWith(want.slice(0, -1))) ?? want;
    });
  }
}
