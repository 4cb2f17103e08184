// File leases: a keeper of leases in one file, which is there whole or as it was. There are at most as many as a range has addresses, so that it
// is written anew each time. Not who gets what (leases.ts).
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { Fault } from "../../mq/mod.ts";
import { writeDurably } from "../keys.ts";
import type { KeptLease, LeaseKeeper } from "./leases.ts";

export class FileLeases implements LeaseKeeper {
  readonly #file: string;
  #kept = new Map<string, KeptLease>();

  constructor(file: string) {
    this.#file = file;
  }

  /** Rejects with a corrupt fault when the file has something else in it. */
  // deno-lint-ignore require-await -- what is thrown here is a rejection
  async all(): Promise<KeptLease[]> {
    if (!fs.existsSync(this.#file)) return [];
    for (const lease of this.#read()) this.#kept.set(lease.address, lease);
    return [...this.#kept.values()];
  }

  // deno-lint-ignore require-await -- the same: a full disk is a rejection
  async keep(lease: KeptLease): Promise<void> {
    const next = new Map(this.#kept);
    if (lease.untilMs === 0) next.delete(lease.address);
    else next.set(lease.address, lease);
    writeDurably(this.#file, Buffer.from(JSON.stringify([...next.values()])), 0o600);
    this.#kept = next;
  }

  #read(): KeptLease[] {
    try {
      const value: unknown = JSON.parse(fs.readFileSync(this.#file, "utf8"));
      if (Array.isArray(value) && value.every((one) => typeof one?.address === "string")) {
        return value as KeptLease[];
      }
    } catch (e) {
      if (!(e instanceof SyntaxError)) throw Fault.from("netboot", e);
    }
    throw new Fault("netboot", "corrupt", `${this.#file} is no list of leases`, { hint: `rm ${this.#file}` });
  }
}
