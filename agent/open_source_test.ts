// open_source: what is opened is closed, and what cannot be opened is said of the verb that asked.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { Fault } from "../mq/mod.ts";
import { openSource, realPath } from "./open_source.ts";

type Test = { after(fn: () => void): void };

function tempDir(t: Test): string {
  const dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "isconf-open-")));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** How often this process has `file` open. */
const openings = (file: string): number =>
  fs.readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`) === file;
    } catch {
      return false; // the descriptor of this very listing
    }
  }).length;

const faultOf = (fn: () => unknown): Pick<Fault, "op" | "kind" | "message" | "hint"> => {
  try {
    fn();
  } catch (e) {
    const { op, kind, message, hint } = e as Fault;
    return { op, kind, message, hint };
  }
  throw new Error("nothing was thrown");
};

test("a file is open until the end of the block, with its length; standard input stays open", (t) => {
  const file = path.join(tempDir(t), "f");
  fs.writeFileSync(file, "abc");
  {
    using source = openSource("oci", file, { why: "a file it is", hint: "isconf help oci" });
    assert.deepEqual([source.length, openings(file)], [3, 1]);
  }
  assert.equal(openings(file), 0);
  {
    using source = openSource("oci", "-");
    assert.deepEqual([source.fd, source.length], [0, undefined]);
  }
  assert.doesNotThrow(() => fs.fstatSync(0));
});

test("what is not there, is a directory or no file at all is said of the verb that was typed", (t) => {
  const dir = tempDir(t);
  const absent = path.join(dir, "absent");
  const link = path.join(dir, "link");
  fs.symlinkSync("absent", link);
  for (const open of [openSource, realPath]) {
    for (const file of [absent, link]) {
      const message = `${file} does not exist`;
      assert.deepEqual(faultOf(() => open("bundle", file)), {
        op: "bundle",
        kind: "notFound",
        message,
        hint: `ls -l ${dir}`,
      });
    }
    const { op, kind } = faultOf(() => open("put", path.join("/dev/null", "below")));
    assert.deepEqual([op, kind], ["put", "environment"]);
  }
  const noDirectory = { why: "a secret is a file", hint: "isconf put again" };
  assert.deepEqual(faultOf(() => openSource("put", dir, noDirectory)), {
    op: "put",
    kind: "usage",
    message: `${dir} is a directory: a secret is a file`,
    hint: "isconf put again",
  });
  assert.equal(openings(dir), 0);
});
