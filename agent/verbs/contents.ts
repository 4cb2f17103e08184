// The verbs about what is in isfs: stat, tree, rm, pin, unpin, copies, gc, fsck. Those that move bytes are in here.ts.
import type { GcReport } from "../../fs/mod.ts";
import { inert } from "../names.ts";
import type { TreeLine } from "../report.ts";
import { bytesText } from "../bytes_text.ts";
import { moment, shortId, type Term } from "../term.ts";
import type { CopyLine } from "../copies.ts";
import type { ContentStat, FsckDone } from "../upkeep.ts";
import { type Arg, dryRun, type Verb } from "../verb.ts";

/** How people say which content they mean. */
export const named: Arg = {
  kind: "text",
  positional: true,
  required: true,
  is: "content",
  about: "by id, by the beginning of one, by what sha256sum prints, or by label",
};
type Named = { name: string };

export const statVerb: Verb<Named, ContentStat> = {
  name: "stat",
  summary: "what there is to say of one content of isfs",
  about: "Its id, kind, size, SHA-256, whether all of it is here, and who put it on the shelf.",
  examples: ["isconf stat nginx.deb"],
  args: { name: named },
  kind: "reads",
  run: (call, { name }) => call.acts.upkeep.stat(call, name),
  show(r, term) {
    const parts = r.kind === "tree" ? `${r.parts} names` : `${r.parts ?? "very many"} chunks`;
    const rows = [
      ["id", r.id],
      ["kind", `${r.kind}, ${parts}`],
      ["size", `${bytesText(r.size)} (${r.size} bytes)`],
      ...(r.sha256 === "" ? [] : [["sha256", r.sha256]]),
      ["here", r.whole ? "all of it" : "not all of it"],
      ...r.shelf.map((row) => [
        "shelf",
        `${inert(row.label)}, put by user ${row.uid}, ${moment(row.addedMs)}${row.pinned ? ", pinned" : ""}`,
      ]),
    ];
    term.table(rows);
  },
};

export const treeVerb: Verb<Named, { tree: TreeLine[] }> = {
  name: "tree",
  summary: "what is in a directory of isfs, without getting it",
  about:
    "Every name below it with kind, mode, owner and size. NAME:PATH is a directory or file in the tree NAME.",
  examples: ["isconf tree www", "isconf tree www:css"],
  args: { name: named },
  kind: "reads",
  run: async (call, { name }) => ({ tree: await call.acts.report.tree(call, name) }),
  show: (r, term) => showTree(r.tree, term),
};

/** A tree, line by line. */
export function showTree(tree: TreeLine[], term: Term): void {
  term.table(tree.map((t) => [t.mode, `${t.uid}:${t.gid}`, bytesText(t.size), t.kind, inert(t.path)]));
}

export const rmVerb: Verb<Named, { id: string; lines: number }> = {
  name: "rm",
  summary: "take something off the shelf",
  about:
    "What was put is not listed any more and need not stay here; its room is given back by the next gc, unless something\nelse counts on it. Root takes off anything, others what they have put. Other hosts keep what they have.",
  examples: ["isconf rm nginx.deb && isconf gc"],
  args: { name: named },
  kind: "control",
  run: (call, { name }) => call.acts.upkeep.remove(call, name),
  show: (r, term) => term.say(`off the shelf: ${shortId(r.id)}`),
};

export const pinVerb: Verb<Named, { id: string }> = {
  name: "pin",
  summary: "keep something here, however many other hosts have it",
  about: "What is not here is brought first.",
  examples: ["isconf pin 3f2a99"],
  args: { name: named },
  kind: "control",
  run: (call, { name }) => call.acts.upkeep.pin(call, name),
  show: (r, term) => term.say(`pinned: ${shortId(r.id)}`),
};

export const unpinVerb: Verb<Named, { id: string; pinned: boolean }> = {
  name: "unpin",
  summary: "undo a pin",
  about: "It stays on the shelf; isconf rm takes it off. Root undoes any pin, others their own.",
  examples: ["isconf unpin 3f2a99"],
  args: { name: named },
  kind: "control",
  run: (call, { name }) => call.acts.upkeep.unpin(call, name),
  show: (r, term) =>
    term.say(`${r.pinned ? "still pinned by somebody else" : "not pinned any more"}: ${shortId(r.id)}`),
};

export const copiesVerb: Verb<Named, { id: string; hosts: CopyLine[] }> = {
  name: "copies",
  summary: "which hosts have all of something",
  about:
    "Asks every host that is connected. Of what has a name, as many hosts keep it as the name wants copies: it stays there\nwhatever gc does. Any other host that has it may drop it when so many say that they keep it.",
  examples: ["isconf copies nginx.deb"],
  args: { name: named },
  kind: "reads",
  async run(call, { name }) {
    return await call.acts.copies.copies(call, await call.acts.upkeep.needContent(call.host, "copies", name));
  },
  show: (r, term) =>
    term.table(r.hosts.map(({ host, has, keeps }) => [inert(host), has, keeps ? "keeps it" : ""])),
};

export const gcVerb: Verb<{ dryRun: boolean }, GcReport> = {
  name: "gc",
  summary: "give back the room of what nothing counts on",
  about:
    "Kept is what is on the shelf, what the journal and names count on, and work not yet checked in; and, for now, what\nsomebody is putting or getting at this moment. A second gc takes that when it has ended. With journal_copies in\nisconf.conf other hosts of the branch may be the ones that keep what applied entries need.",
  examples: ["isconf gc --dry-run", "isconf gc"],
  args: { dryRun: dryRun("say what would be dropped, and drop nothing") },
  kind: "changes",
  run: (call, args) => call.acts.upkeep.gc(call, args),
  show(r, term, { dryRun }) {
    const what = `${r.dropped} objects of ${bytesText(r.droppedBytes)}`;
    term.say(dryRun ? `would drop ${what}, keep ${r.kept}` : `dropped ${what}, kept ${r.kept}`);
    if (r.freedBytes > 0) term.say(`the disk got ${bytesText(r.freedBytes)} back`);
    if (r.waiting > 0) {
      term.say(`${r.waiting} objects stay until ${r.waitingFor} running puts and gets have ended: gc again`);
    }
  },
};

export const fsckVerb: Verb<{ data: boolean; part?: string; mend: boolean }, FsckDone> = {
  name: "fsck",
  summary: "look whether the store is what it says, and mend it from other hosts",
  about:
    "The database, every record's header, and that everything counted on is here; with --data every byte is hashed, with\n--part N/M one part of them: M runs with N from 1 to M look at each byte once. Ends 226 when something stays wrong.",
  examples: ["isconf fsck", "isconf fsck --data --mend", "isconf fsck --part $(date +%u)/7"],
  args: {
    data: { kind: "flag", about: "read and hash all bytes" },
    part: { kind: "text", about: "read and hash part N of M, as N/M" },
    mend: { kind: "flag", about: "drop what is damaged, and bring it from other hosts" },
  },
  kind: "changes",
  run: (call, args) => call.acts.upkeep.fsck(call, args),
  show(r, term) {
    const read = r.bytes > 0 ? `, ${bytesText(r.bytes)} hashed` : "";
    term.say(`${r.objects} objects looked at${read}: ${isSound(r) ? "all is well" : wrongText(r)}`);
    for (const line of r.database) term.line(`database: ${inert(line)}`);
    for (const { id, why } of r.left) term.line(`${shortId(id)}  ${inert(why)}`);
  },
  exit: (r) => r.left.length + r.database.length > 0 ? 226 : 0,
};

const isSound = (r: FsckDone): boolean => r.damaged.length + r.missing.length + r.database.length === 0;

function wrongText(r: FsckDone): string {
  const mended = r.mended > 0 ? `, ${r.mended} of them mended` : "";
  return `${r.damaged.length} damaged, ${r.missing.length} missing${mended}`;
}
