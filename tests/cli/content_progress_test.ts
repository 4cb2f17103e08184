// content_progress: how far a put is, on a terminal, in a pipe and for programs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import { ISCONF, makeBox, run, skipIf } from "./tools.ts";

/** Gives some bytes, and more when progress is due. */
const SLOW =
  "(head -c 3000000 /dev/zero; sleep 1; head -c 3000000 /dev/zero; sleep 0.5; head -c 10 /dev/zero)";

test("in a pipe nothing is shown; for programs there are lines of JSON beside the result", async (t) => {
  const box = makeBox(t);
  await box.start();
  const put = async (options: string) =>
    await run("sh", ["-c", `${SLOW} | '${ISCONF}' ${options} put -`], { env: { ISCONF_HOME: box.home } });
  const plain = await put("");
  assert.deepEqual([plain.status, plain.err], [0, ""]);
  assert.match(plain.out, /^[0-9a-f]{64}\n$/);
  const json = await put("--json");
  assert.equal(JSON.parse(json.out).size, 6_000_010);
  const events = json.err.trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(events.length >= 1);
  for (const e of events) assert.deepEqual(Object.keys(e), ["event", "bytes", "bytesPerSecond"]);
  assert.equal((await put("-q --json")).err, "");
});

test(
  "on a terminal there is a line that goes again; with a known size a bar with rate and time left",
  skipIf("progress on a terminal", lacks({ programs: ["script"] })),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    const shown = async (command: string) => {
      const env = { ISCONF_HOME: box.home, TERM: "xterm" };
      return (await run("script", ["-qec", command, "/dev/null"], { env })).out;
    };
    const line = await shown(`${SLOW} | '${ISCONF}' put --label slow -`);
    assert.match(line, /2\.9 MiB at .*iB\/s/);
    assert.match(line.trimEnd().split("\n").at(-1)!, /[0-9a-f]{64}$/, "the id stands at the end");
    const bar = await shown(`'${ISCONF}' cat slow | (sleep 1; head -c 2000000; sleep 1; cat) | wc -c`);
    assert.match(bar, /[#.]{24} [0-9]+% of 5\.7 MiB, .*\/s .* left/);
    assert.match(bar, /6000010/);
  },
);
