// The verb ls: what was put into isfs, or the inside of a tree.
import type { TreeLine } from "../report.ts";
import type { ShelfRow } from "../seam.ts";
import { inert } from "../names.ts";
import { bytesText } from "../bytes_text.ts";
import { moment, shortId } from "../term.ts";
import type { Verb } from "../verb.ts";
import { showTree } from "./contents.ts";

export const lsVerb: Verb<{ tree?: string }, { rows: ShelfRow[]; tree: TreeLine[] }> = {
  name: "ls",
  summary: "what people put into isfs, or the inside of a tree",
  about:
    "Without an argument: everything that was put, with id, size and label. With the id of a tree: its names.",
  examples: ["isconf ls", "isconf ls 3f2a…"],
  args: { tree: { kind: "text", positional: true, is: "content", about: "the id of a snapped tree" } },
  kind: "reads",
  async run(call, args) {
    if (args.tree === undefined) return { rows: await call.host.shelf.list(), tree: [] };
    return { rows: [], tree: await call.acts.report.tree(call, args.tree) };
  },
  show(r, term, args) {
    if (args.tree !== undefined) {
      showTree(r.tree, term);
    } else if (r.rows.length === 0) term.say("nothing was put here yet");
    else {
      const isAnyPinned = r.rows.some(({ pinned }) => pinned);
      term.table(r.rows.map((b) => [
        shortId(b.id),
        b.kind === "tree" ? "tree" : bytesText(b.size),
        moment(b.addedMs),
        ...(isAnyPinned ? [b.pinned ? "pinned" : ""] : []),
        inert(b.label),
      ]));
    }
  },
};
