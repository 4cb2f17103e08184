// Optext: an operation in the words of the command line, safe to show. Not its JSON form (report.ts).
import { toHex } from "../mq/mod.ts";
import type { Op } from "./entry.ts";
import { shownLine } from "./mask.ts";
import { inert } from "./names.ts";

/** One operation in the words of the command line, safe to show. */
export function opText(op: Op): string {
  switch (op.op) {
    case "file":
      return `snap ${inert(op.path)} (${op.kind}, ${op.files} files, ${op.bytes} bytes)`;
    case "delete":
      return `snap --delete ${inert(op.path)}`;
    case "exec":
      return `exec ${op.user === "" ? "" : `--as ${inert(op.user)} `}${shownLine(op.argv)}`;
    case "effects":
      return `effects on ${op.paths} paths`;
    case "branch":
      return `branch ${inert(op.name)}${
        op.from === null ? "" : ` from ${inert(op.from.branch)}@${op.from.seq}`
      }`;
    case "host":
    case "person":
      return `${op.op} ${inert(op.name)}`;
    case "grant":
      return `grant ${inert(op.role)} on ${inert(op.branch)} to ${toHex(op.key).slice(0, 12)}`;
    case "revoke":
      return `revoke ${toHex(op.key).slice(0, 12)}: ${inert(op.reason)}`;
    case "rotate":
      return `rotate ${toHex(op.old).slice(0, 12)}`;
    case "acknowledge":
      return `acknowledge ${op.proofs.length} proofs about ${toHex(op.key).slice(0, 12)}`;
    case "register":
      return `register ${inert(op.kind)}, quorum ${op.quorum}`;
    case "keepers":
      return `keepers ${op.hosts.map((h) => toHex(h).slice(0, 12)).join(", ")}, quorum ${op.quorum}`;
    case "roots":
      return `root keys ${op.keys.length}, threshold ${op.threshold}`;
    case "epoch": {
      const ends = Object.entries(op.bases).map(([branch, [seq]]) => `${inert(branch)}@${seq}`).join(", ");
      const drops = op.drops.map((id) => `, without ${toHex(id).slice(0, 12)}`).join("");
      const keepers = op.hosts.map((h) => toHex(h).slice(0, 12)).join(", ");
      return `epoch from ${ends}${drops}; keepers ${keepers}, quorum ${op.quorum}`;
    }
    case "signed":
      return `signed by root keys ${op.signatures.length}`;
    case "reboot":
      return "reboot";
  }
}
