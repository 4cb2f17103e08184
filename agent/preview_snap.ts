// Preview snap: what a snap would change on hosts that are where the journal says: this disk against what was last said of each path.
// Nothing is captured; what a command would change is preview.ts's.
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { showPath } from "../fs/mod.ts";
import { AT_FDCWD, type Cbor, errnoCode, Fault, statAt } from "../mq/mod.ts";
import type { Drifted, Word } from "./drift.ts";
import { verifyFiles } from "./drift.ts";
import { openDirs } from "./effects.ts";
import { allBelow } from "./effects_watch.ts";
import type { Call } from "./host.ts";
import { previewChangesMax } from "./limits.ts";
import { inert } from "./names.ts";
import type { Preview, PreviewOptions, PreviewResult } from "./preview.ts";
import { said, sideOf } from "./preview_side.ts";
import type { Change, DiffWords, Side } from "./preview_words.ts";
import { contentsOf } from "./rehearse.ts";
import { needSnappable } from "./work.ts";

/**
 * The changes that hosts at this host's entry would see, if these paths were snapped now, or with `remove` taken away. What is
 * different in files is found in a process that can do nothing else (preview_differ.ts).
 */
export async function previewSnap(
  call: Call,
  paths: readonly string[],
  remove: boolean,
  options: PreviewOptions,
): Promise<PreviewResult> {
  const found: Found[] = [];
  for (const path of paths) {
    needSnappable(path, remove);
    const known = new Map<string, Word>();
    const { drifted } = await verifyFiles(call, path, (p, word) => void known.set(textOf(p), word));
    for (const one of remove ? removed(known) : changed(path, known, drifted)) {
      if (found.push(one) <= previewChangesMax) continue;
      throw new Fault("preview", "refused", `more than ${previewChangesMax} paths would be different`, {
        hint: "isconf preview snap with a smaller directory",
      });
    }
  }
  await addDiffs(call, found, options);
  return {
    v: 1,
    status: 0,
    changes: found.map(({ change }) => change),
    absent: [],
    network: options.network,
  };
}

/** A change, and what was said before of a file whose content is different now. */
interface Found {
  change: Change;
  path: Uint8Array;
  word?: Word;
}

/** Says of each file whose content is different how, or why that is not said. */
async function addDiffs({ host }: Call, found: readonly Found[], options: PreviewOptions): Promise<void> {
  const files = found.filter(({ change: { what, before, after } }) =>
    what?.includes("content") && before?.kind === "file" && after?.kind === "file"
  );
  if (files.length === 0) return;
  const isOpen = openDirs();
  let preview: Preview | undefined;
  let why = "";
  try {
    preview = host.previews.begin(options, contentsOf(host.store));
    const nothing = fs.openSync("/dev/null", "r+");
    try {
      preview.enter({ stdio: { open: [nothing, nothing, nothing] } });
    } finally {
      fs.closeSync(nothing);
    }
    await preview.open();
    for (const { change, path, word } of files) {
      if (word === undefined || !("content" in word)) change.noDiff = "only its hash is in the journal";
      else {
        const isForAll = ((word.mode & change.after!.mode) & 0o004) !== 0 && isOpen(path);
        const words: DiffWords = [path, word.content, word.size, word.runs ?? null, isForAll, options.all];
        const [diff, noDiff] = await preview.ask("diff", words as unknown as Cbor) as [string, string];
        Object.assign(change, diff === "" ? { noDiff } : { diff });
      }
    }
  } catch (e) {
    why = inert(Fault.from("preview", e).message);
  } finally {
    await preview?.close();
  }
  for (const { change } of files) {
    if (change.diff === undefined && change.noDiff === undefined) change.noDiff = why;
  }
}

/** What is on the disk and was not said, or said otherwise. What was said and is missing stays where it is: snap removes nothing. */
function* changed(
  path: string,
  known: ReadonlyMap<string, Word>,
  drifted: readonly Drifted[],
): Generator<Found> {
  const different = new Map(drifted.map((one) => [one.path, one.what]));
  const top = textOf(Buffer.from(path));
  for (const text of withBelow(top)) {
    const bytes = Buffer.from(text, "latin1");
    const after = sideAt(bytes);
    if (after === undefined) continue;
    const word = known.get(text);
    const what = different.get(showPath(bytes));
    if (word === undefined || word.kind === "absent") {
      yield { path: bytes, change: { ...said(bytes), change: "created", after } };
    } else if (what !== undefined) {
      const change: Change = { ...said(bytes), change: "changed", what, before: wordSide(word), after };
      yield { path: bytes, change, word };
    }
  }
}

function* withBelow(top: string): Generator<string> {
  yield top;
  yield* allBelow(top);
}

/** Everything of which it was said that it is there; the deepest first, as it would go. */
function* removed(known: ReadonlyMap<string, Word>): Generator<Found> {
  for (const [text, word] of [...known].sort(([a], [b]) => a < b ? 1 : -1)) {
    if (word.kind === "absent") continue;
    const path = Buffer.from(text, "latin1");
    yield { path, change: { ...said(path), change: "removed", before: wordSide(word) } };
  }
}

/** What is at a path now; undefined when it has gone meanwhile, or is nothing that a snap takes. */
function sideAt(path: Uint8Array): Side | undefined {
  try {
    const side = sideOf(AT_FDCWD, path, statAt(AT_FDCWD, path));
    return ["file", "dir", "link"].includes(side.kind) ? side : undefined;
  } catch (e) {
    if (errnoCode(e) === "ENOENT") return undefined;
    throw e;
  }
}

function wordSide(word: Word): Side {
  const { kind, mode, uid, gid } = word;
  return {
    kind: kind === "absent" || kind === "other" ? "device" : kind,
    mode,
    uid,
    gid,
    ...("size" in word && kind === "file" && isSizeSaid(word) ? { size: word.size } : {}),
    ...("target" in word ? { target: showPath(word.target) } : {}),
  };
}

/** What is not hashed has no size either. */
const isSizeSaid = (word: Word) => !("sha256" in word) || word.sha256.length > 0;

const textOf = (path: Uint8Array) => Buffer.from(path).toString("latin1").replace(/(?<=.)\/+$/, "");
