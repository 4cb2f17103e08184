// watch: what happens, as people and programs see it on the command line.
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeBox } from "./tools.ts";

test("watch tells a line an event, inert; goes on behind one; filters; says when the agent ends", async (t) => {
  const box = makeBox(t);
  await box.begin();
  const { child, done } = box.beginIsconf([
    "watch",
    "--after",
    "0",
    "--type",
    "isconf.lock,isconf.entry,isconf.applied",
  ]);
  await box.ok(["lock", "red \x1b[31m and \u202e turned"]);
  await box.ok(["exec", "true"]);
  await box.ok(["ci"]);
  const { out: json } = await box.isconf([
    "--json",
    "watch",
    "--after",
    "0",
    "--type",
    "isconf.applied",
    "--count",
    "1",
  ]);
  const event = JSON.parse(json) as { id: string; type: string; data: { seq: number } };
  assert.deepEqual([event.type, event.data.seq], ["isconf.applied", 1]);
  await box.ok(["stop"]);
  const { out, err, status } = await done;
  assert.equal(status, 104, err);
  assert.match(err, /the agent has ended/);
  assert.match(out, /^[0-9-]{10} [0-9:]{8} +entry +@domain 1: .*\n/);
  assert.match(out, /lock +main by .* on hosta: red \\x1b\[31m and \\u\{202e\} turned/);
  assert.match(out, /applied +main 1 applied here/);
  assert.doesNotMatch(out, /[\x1b\u202e]/);
  assert.equal(child.exitCode, 104);
  await box.start();
  const { out: behind } = await box.isconf([
    "--json",
    "watch",
    "--after",
    event.id,
    "--count",
    "1",
    "--type",
    "isconf.unlock",
  ]);
  assert.match(behind, /isconf\.unlock/);
  for (
    const [words, code] of [[["--type", "nonsense"], 22], [["--after", "nonsense"], 22], [
      ["--count", "0"],
      0,
    ]] as const
  ) {
    assert.equal((await box.isconf(["watch", ...words])).status, code, words.join(" "));
  }
});
