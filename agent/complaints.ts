// Complaints: what is written in the log of hosts that send what is wrong. Not what is done about it (replica.ts).
import { Fault } from "../mq/mod.ts";
import { complaintsMax } from "./limits.ts";
import { inert } from "./names.ts";

export class Complaints {
  /** What was written of each host, line by line. */
  readonly #lines = new Map<string, Set<string>>();
  readonly #log: (line: string) => unknown;

  constructor(log: (line: string) => unknown) {
    this.#log = log;
  }

  /** Once for each host and reason, and not without end: a host that goes away is nothing to complain about. */
  note(host: string, e: unknown): void {
    const fault = Fault.from("journal", e);
    if (fault.kind === "gone") return;
    const line = `what ${inert(host.slice(0, 12))} sends is not taken: ${inert(fault.message)}`;
    const lines = this.#lines.get(host) ?? new Set();
    if (lines.has(line) || lines.size >= complaintsMax) return;
    this.#lines.set(host, lines.add(line));
    this.#log(line);
  }
}
