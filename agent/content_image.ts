// Content image: the verb image: what images there are, what is in one, how two differ, whether one is whole. How they come about is in
// image_make.ts, what machines boot of them in image_initrd.ts. Everything with the rights of whoever runs the command line.
import { diffTrees, listTree, readNodeFile, showPath } from "../fs/mod.ts";
import { Fault } from "../mq/mod.ts";
import { bytesText } from "./bytes_text.ts";
import { callVerb } from "./client.ts";
import { type ContentCli, withContent } from "./content_client.ts";
import { buildImage, type BuildPlan, planBuild } from "./image_build.ts";
import { type Differences, linesOf, sayDifferences } from "./image_diff.ts";
import { findImage, recordIn } from "./image_find.ts";
import { type MadeInitrd, makeInitrd } from "./image_initrd.ts";
import { captureImage, type ImageArgs, importImage, type MadeImage, standingOf } from "./image_make.ts";
import { type ImageRecord, IMAGES, PARTS } from "./image_record.ts";
import { inert } from "./names.ts";
import type { NameLine } from "./naming.ts";
import { withBar } from "./progress.ts";
import type { ShelfRow } from "./seam.ts";
import { inertJson, moment, shortId } from "./term.ts";
import { missingFault } from "./vm/mod.ts";

/** What --json prints, action by action; also as a schema (scripts/schemas.ts). */
export type ImageResult =
  | MadeImage
  | BuildPlan
  | MadeInitrd
  | { images: ImageLine[] }
  | ImageRecord
  | Differences
  | { id: string; record: ImageRecord; files: number; bytes: number };

/** Prints a result as JSON, or as people see it. */
function print({ term, globals }: ContentCli, result: ImageResult, people: () => void): void {
  if (globals.json) term.line(inertJson(result));
  else people();
}

/** The actions, with how many words each takes. */
const ACTIONS: Record<
  string,
  { words: [least: number, most: number]; run: (cli: ContentCli, args: ImageArgs) => Promise<number> }
> = {
  capture: { words: [0, 1], run: async (cli, args) => made(cli, await captureImage(cli, args)) },
  build: { words: [1, 1], run: build },
  import: { words: [2, 2], run: async (cli, args) => made(cli, await importImage(cli, args)) },
  initrd: { words: [2, 2], run: initrd },
  ls: { words: [0, 0], run: ls },
  show: { words: [1, 1], run: show },
  diff: { words: [2, 2], run: diff },
  verify: { words: [1, 1], run: verify },
};

/** Does what the first word says. */
export async function image(cli: ContentCli, args: ImageArgs): Promise<number> {
  const action = Object.hasOwn(ACTIONS, args.action) ? ACTIONS[args.action] : undefined;
  const count = args.words.length;
  if (action === undefined || count < action.words[0] || count > action.words[1]) {
    throw new Fault(
      "image",
      "usage",
      `image ${inert([args.action, ...args.words].join(" "))} is not known like this`,
      {
        hint: "isconf help image",
      },
    );
  }
  return await action.run(cli, args);
}

/** The script is printed before anything that is in its way. */
async function build(cli: ContentCli, args: ImageArgs): Promise<number> {
  if (!args.plan) return made(cli, await buildImage(cli, args));
  const { script, missing } = await planBuild(args);
  print(cli, { script, missing }, () => cli.term.raw(script));
  if (missing.length > 0) throw missingFault("image", "the build would not be begun", missing);
  return 0;
}

function made(cli: ContentCli, image: MadeImage): number {
  const { name, id, record, files, bytes, skipped } = image;
  const { term } = cli;
  print(cli, image, () => {
    if (skipped > 0) term.say(`${skipped} sockets, fifos and devices were left out`);
    term.say(`${inert(name)} is ${recordText(record)}: ${files} files, ${bytesText(bytes)}`);
    term.line(id);
  });
  return 0;
}

async function initrd(cli: ContentCli, args: ImageArgs): Promise<number> {
  const made = await makeInitrd(cli, args);
  const { name, id, kernel, files, bytes, initrdBytes, without } = made;
  const { term } = cli;
  print(cli, made, () => {
    if (without > 0) {
      term.say(`${without} names are without their extended attributes, such as file capabilities and ACLs`);
    }
    term.say(
      `${inert(name)} has the kernel ${inert(kernel)} and an initrd of ${
        bytesText(initrdBytes)
      }: ${files} files, ${bytesText(bytes)} in memory`,
    );
    term.line(id);
  });
  return 0;
}

/** What an image is, in a few words. */
export function recordText({ kind, os, architecture, place }: ImageRecord): string {
  const what = [os.id, os.version, architecture].filter((word) => word !== "").map(inert).join(" ");
  const at = place === null ? "" : ` at entry ${place.seq} of ${inert(place.branch)}`;
  return `a ${kind === "root" ? "root file system" : "disk"}${what === "" ? "" : ` of ${what}`}${at}`;
}

/** One image as it is listed: a name of the domain, or what is only on this host's shelf. */
interface ImageLine {
  name: string;
  /** The version of a name; 0: it is on this host only. */
  version: number;
  id: string;
  bytes: number;
  who: string;
  timeMs: number;
}

async function ls(cli: ContentCli): Promise<number> {
  const { where, term } = cli;
  const isImage = (name: string) => name.startsWith(IMAGES);
  const { domain } = await standingOf(cli);
  const { names } = (domain === null ? { names: [] } : await callVerb(where, "names", {}, () => {})) as {
    names: NameLine[];
  };
  const { rows } = await callVerb(where, "ls", {}, () => {}) as { rows: ShelfRow[] };
  const lines = names.filter(({ name, id, state }) => isImage(name) && id !== "" && state !== "replaced").map(
    (
      { name, seq, id, size, who, timeMs },
    ): ImageLine => ({ name, version: seq, id, bytes: size, who, timeMs }),
  );
  const named = new Set(lines.map(({ id }) => id));
  for (const { label, id, size, addedMs } of rows) {
    if (!isImage(label) || named.has(id)) continue;
    lines.push({ name: label, version: 0, id, bytes: size, who: "", timeMs: addedMs });
  }
  await countBytes(cli, lines);
  print(cli, { images: lines }, () => {
    if (lines.length === 0) return term.say("there is no image yet");
    term.table(lines.map((l) => [
      l.version > 0 ? `${inert(l.name)}@${l.version}` : inert(l.name),
      shortId(l.id),
      l.bytes === 0 ? "" : bytesText(l.bytes),
      l.version > 0 ? inert(l.who) : "here only",
      moment(l.timeMs),
    ]));
  });
  return 0;
}

/** Takes sizes from what images say of themselves, where that is on this host and may be read: it is not brought for a list. */
async function countBytes({ where }: ContentCli, lines: ImageLine[]): Promise<void> {
  if (lines.length === 0) return;
  try {
    await withContent(["image", "get"], where, async (session) => {
      const store = session.store(false);
      for (const line of lines) {
        const record = await recordIn(store, line.id).catch(() => undefined);
        if (record !== undefined) line.bytes = record.bytes;
      }
    });
  } catch (e) {
    if (Fault.from("image", e).kind !== "denied") throw e; // who may list need not be one who may get
  }
}

async function show(cli: ContentCli, { words: [name = ""] }: ImageArgs): Promise<number> {
  const { record } = await withContent(
    ["image", "get"],
    cli.where,
    (session) => findImage(cli, session, name),
  );
  print(cli, record, () => {
    const { kind, os, architecture, host, madeMs, files, bytes, place } = record;
    cli.term.table([
      ["kind", kind === "root" ? "root file system" : "disk"],
      ["os", inert(`${os.id} ${os.version}`.trim())],
      ["architecture", inert(architecture)],
      ["files", `${files}, ${bytesText(bytes)}`],
      ["made", `${moment(madeMs)} on ${inert(host)}`],
      ["journal", place === null ? "none: a base image" : `entry ${place.seq} of ${inert(place.branch)}`],
      ...(place === null ? [] : [["entry", place.entry], ["domain", place.domain]]),
    ]);
  });
  return 0;
}

async function diff(cli: ContentCli, { words: [before = "", after = ""] }: ImageArgs): Promise<number> {
  const told = await withContent(["image", "get"], cli.where, async (session): Promise<Differences> => {
    const [a, b] = [await findImage(cli, session, before), await findImage(cli, session, after)];
    if (a.record.kind !== b.record.kind) {
      throw new Fault("image", "usage", "one is a root file system and one a disk", {
        hint: "isconf image show each of them",
      });
    }
    if (a.record.kind === "root") return await linesOf(diffTrees(session.store(false), a.id, b.id));
    const differs = { path: PARTS.disk, change: "changed" as const, what: ["content"] };
    return { differences: a.id === b.id ? [] : [differs], isMore: false };
  });
  print(cli, told, () => sayDifferences(cli.term, told));
  return told.differences.length === 0 ? 0 : 1;
}

async function verify(cli: ContentCli, { words: [name = ""] }: ImageArgs): Promise<number> {
  const done = await withContent(["image", "get"], cli.where, async (session) => {
    const image = await findImage(cli, session, name);
    const store = session.store(false);
    const seen = new Set<string>();
    let [files, bytes] = [0, 0];
    await withBar(cli, undefined, async (bar) => {
      for await (const { path, node } of listTree(store, image.node, image.id)) {
        if (node.kind !== "file") continue;
        files++;
        if (seen.has(node.content)) continue;
        seen.add(node.content);
        try {
          for await (const piece of readNodeFile(store, node)) {
            bar.at(bytes += piece.length, `${files} files`);
          }
        } catch (e) {
          const { kind, message, hint } = Fault.from("image", e);
          throw new Fault("image", kind, `/${showPath(path)}: ${message}`, { hint, cause: e });
        }
      }
    });
    return { id: image.id, record: image.record, files, bytes };
  });
  print(
    cli,
    done,
    () => cli.term.say(`${inert(name)} is whole: ${done.files} files, ${bytesText(done.bytes)} read`),
  );
  return 0;
}
