// rules path: everything on the way to a command that somebody could change is found, and nothing else.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { faultOf } from "../tests/world.ts";
import { changeableBy } from "./rules_path.ts";

const isRoot = process.geteuid?.() === 0;
const skip = isRoot ? false : "needs root: files have other owners";
const alice = 4321;

/** A directory of root's below one of nobody else's, removed at the end. */
function root(t: { after(fn: () => void): void }): string {
  // Not below /tmp: everybody may write there.
  const dir = fs.mkdtempSync(path.join(fs.existsSync("/root") ? "/root" : os.homedir(), ".isconf-rules-"));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  fs.chmodSync(dir, 0o755);
  return dir;
}

function tool(dir: string, mode = 0o755, uid = 0, gid = 0): string {
  const file = path.join(dir, "tool");
  fs.writeFileSync(file, "#!/bin/sh\n");
  fs.chownSync(file, uid, gid);
  fs.chmodSync(file, mode);
  return file;
}

test("what is root's all the way is nobody else's to change", { skip }, (t) => {
  assert.equal(changeableBy(tool(root(t)), alice), undefined);
  assert.equal(changeableBy("/usr/bin/env", alice), undefined);
  assert.equal(changeableBy("/bin/sh", alice), undefined, "through a link");
});

test("a file that they own, or may write to", { skip }, (t) => {
  for (
    const [mode, uid, gid] of [[0o755, 4321, 0], [0o775, 0, 4400], [0o757, 0, 0], [0o444, 4321, 0], [
      0o775,
      0,
      0,
    ]] as const
  ) {
    const file = tool(root(t), mode, uid, gid);
    assert.equal(changeableBy(file, alice), file, mode.toString(8));
  }
});

test("a directory on the way, sticky ones too, and one behind a link", { skip }, (t) => {
  for (const mode of [0o777, 0o1777, 0o775]) {
    const dir = path.join(root(t), "dir");
    fs.mkdirSync(dir);
    fs.chownSync(dir, 0, 4400);
    fs.chmodSync(dir, mode);
    fs.mkdirSync(path.join(dir, "sub"));
    const file = tool(path.join(dir, "sub"));
    assert.equal(changeableBy(file, alice), dir, mode.toString(8));
    const link = path.join(root(t), "link");
    fs.symlinkSync(file, link);
    assert.equal(changeableBy(link, alice), dir, "behind a link");
  }
});

test(
  "a link of theirs in a directory of root's; relative links; links that never end",
  { skip },
  async (t) => {
    const dir = root(t);
    const file = tool(dir);
    fs.symlinkSync("./x/../tool", path.join(dir, "relative"));
    fs.mkdirSync(path.join(dir, "x"));
    assert.equal(changeableBy(path.join(dir, "relative"), alice), undefined);
    fs.symlinkSync(file, path.join(dir, "theirs"));
    fs.lchownSync(path.join(dir, "theirs"), 4321, 4321);
    assert.equal(changeableBy(path.join(dir, "theirs"), alice), path.join(dir, "theirs"));
    fs.symlinkSync("loop", path.join(dir, "loop"));
    assert.equal((await faultOf(() => changeableBy(path.join(dir, "loop"), alice))).kind, "refused");
  },
);
