// The verb snap: this path has this content now.
import { inert } from "../names.ts";
import type { OpJson } from "../report.ts";
import { bytesText } from "../bytes_text.ts";
import type { Verb } from "../verb.ts";

export const snapVerb: Verb<{ path: string[]; delete: boolean }, { snapped: OpJson[] }> = {
  name: "snap",
  summary: "journal a file, directory or symlink as it is now",
  about:
    "Content, mode with setuid, numeric owner, mtime, extended attributes and ACLs, hard links inside the tree and\nsparse runs. A directory is taken with everything in it; on other hosts names it does not have stay. The path\nhere is only read. Nothing leaves this host before ci.",
  examples: ["isconf snap /etc/ssh/sshd_config", "isconf snap --delete /etc/cron.d/old"],
  args: {
    path: {
      kind: "texts",
      positional: true,
      required: true,
      is: "file",
      about: "absolute, or relative to where you are",
    },
    delete: {
      kind: "flag",
      about: "journal that the path is gone: other hosts remove it, with everything in it",
    },
  },
  kind: "changes",
  async run(call, args) {
    const snapped: OpJson[] = [];
    for (const path of args.path) {
      const op = await call.acts.work.snap(call, path, args.delete);
      call.emit({ event: "snapped", text: call.acts.report.opText(op) });
      snapped.push(call.acts.report.opJson(op));
    }
    return { snapped };
  },
  show(r, term) {
    for (const op of r.snapped) {
      if (op.op === "delete") term.say(`snapped: ${inert(String(op.path))} is gone`);
      else {
        const size = bytesText(Number(op.bytes));
        const what = op.kind === "dir" ? `${op.files} files, ${size}` : size;
        term.say(`snapped: ${inert(String(op.path))} (${op.kind}, ${what})`);
      }
    }
  },
};
