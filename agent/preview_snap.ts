// Preview snap: what a snap would change on hosts that are where the journal says: this disk against what was last said of each path.
// Nothing is captured and nothing runs; what a command would change is preview.ts's.
import { Buffer } from "node:buffer";
import { showPath } from "../fs/mod.ts";
import { AT_FDCWD, errnoCode, Fault, statAt } from "../mq/mod.ts";
import type { Drifted, Word } from "./drift.ts";
import { verifyFiles } from "./drift.ts";
import { allBelow } from "./effects_watch.ts";
import type { Call } from "./host.ts";
import { previewChangesMax } from "./limits.ts";
import type { PreviewResult } from "./preview.ts";
import { said, sideOf } from "./preview_side.ts";
import type { Change, Side } from "./preview_words.ts";
import { needSnappable } from "./work.ts";

/** The changes that hosts at this host's entry would see, if these paths were snapped now, or with `remove` taken away. */
export async function previewSnap(
  call: Call,
  paths: readonly string[],
  remove: boolean,
): Promise<PreviewResult> {
  const changes: Change[] = [];
  for (const path of paths) {
    needSnappable(path, remove);
    const known = new Map<string, Word>();
    const { drifted } = await verifyFiles(call, path, (p, word) => void known.set(textOf(p), word));
    for (const change of remove ? removed(known) : changed(path, known, drifted)) {
      if (changes.push(change) <= previewChangesMax) continue;
      throw new Fault("preview", "refused", `more than ${previewChangesMax} paths would be different`, {
        hint: "isconf preview snap with a smaller directory",
      });
    }
  }
  return { v: 1, status: 0, changes, absent: [], network: false };
}

/** What is on the disk and was not said, or said otherwise. What was said and is missing stays where it is: snap removes nothing. */
function* changed(
  path: string,
  known: ReadonlyMap<string, Word>,
  drifted: readonly Drifted[],
): Generator<Change> {
  const different = new Map(drifted.map((one) => [one.path, one.what]));
  const top = textOf(Buffer.from(path));
  for (const text of withBelow(top)) {
    const bytes = Buffer.from(text, "latin1");
    const after = sideAt(bytes);
    if (after === undefined) continue;
    const word = known.get(text);
    const what = different.get(showPath(bytes));
    if (word === undefined || word.kind === "absent") yield { ...said(bytes), change: "created", after };
    else if (what !== undefined) {
      yield { ...said(bytes), change: "changed", what, before: wordSide(word), after };
    }
  }
}

function* withBelow(top: string): Generator<string> {
  yield top;
  yield* allBelow(top);
}

/** Everything of which it was said that it is there; the deepest first, as it would go. */
function* removed(known: ReadonlyMap<string, Word>): Generator<Change> {
  for (const [text, word] of [...known].sort(([a], [b]) => a < b ? 1 : -1)) {
    if (word.kind === "absent") continue;
    yield { ...said(Buffer.from(text, "latin1")), change: "removed", before: wordSide(word) };
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
