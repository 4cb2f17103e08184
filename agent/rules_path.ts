// Rules path: whether somebody could change what a rule lets them run: the file, or a directory on the way to it; and whether two paths
// lead to one file. Not the rule.
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";
import { pathLinksMax } from "./limits.ts";
import { inert } from "./names.ts";

/**
 * The first thing on the way to a file, symbolic links included, that a user could put something else in the place of, or write
 * to; undefined: there is none. A sticky directory counts as theirs too: they could have been there first.
 * @throws {Fault} refused, for too many links; environment
 */
export function changeableBy(file: string, uid: number): string | undefined {
  const waiting = partsOf(file);
  let at = "/", links = 0;
  if (mayChange(fs.lstatSync(at), uid)) return at;
  while (waiting.length > 0) {
    const part = waiting.shift() as string;
    if (part === "..") {
      at = path.dirname(at); // looked at already, on the way down
      continue;
    }
    const next = path.join(at, part);
    const st = fs.lstatSync(next);
    if (st.uid === uid) return next;
    if (st.isSymbolicLink()) {
      if (++links > pathLinksMax) {
        throw new Fault("exec", "refused", `${inert(file)} leads through more than ${pathLinksMax} links`, {
          hint: `ls -l ${inert(file)}`,
        });
      }
      const target = fs.readlinkSync(next);
      if (target.startsWith("/")) at = "/";
      waiting.unshift(...partsOf(target));
      continue;
    }
    if (mayChange(st, uid)) return next;
    at = next;
  }
  return undefined;
}

/** Whether a path leads to this file, too: by links of any kind; a directory, with a slash at its end: whether the file is in it. */
export function isSameFile(file: string, named: string): boolean {
  try {
    const one = named.endsWith("/") ? path.dirname(fs.realpathSync(file)) : file;
    const [a, b] = [fs.statSync(one), fs.statSync(named)];
    return a.dev === b.dev && a.ino === b.ino;
  } catch {
    return false; // what is not there is not the same
  }
}

const partsOf = (text: string): string[] => text.split("/").filter((part) => part !== "" && part !== ".");

/** Whether it is theirs, or others than its owner may write to it: who is in a group, or in an ACL behind its bits, changes. */
const mayChange = (st: fs.Stats, uid: number): boolean => st.uid === uid || (st.mode & 0o022) !== 0;
