// content_progress: how far a put is, on a terminal, in a pipe and for programs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import { netPid, randomFile } from "./contents.ts";
import { type Box, ISCONF, makeBox, run, skipIf } from "./tools.ts";

/** Gives some bytes, and more when progress is due. */
const SLOW =
  "(head -c 3000000 /dev/zero; sleep 1; head -c 3000000 /dev/zero; sleep 0.5; head -c 10 /dev/zero)";

/** What stands on a terminal after such a command of the shell. */
async function shown(box: Box, command: string): Promise<string> {
  const env = { ISCONF_HOME: box.home, TERM: "xterm" };
  return (await run("script", ["-qec", command, "/dev/null"], { env })).out;
}

/** What was said on stderr is progress, line by line. */
function needEvents(err: string): void {
  for (const line of err.trim().split("\n")) {
    assert.deepEqual(Object.keys(JSON.parse(line)), ["event", "bytes", "bytesPerSecond"]);
  }
}

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
  needEvents(json.err);
  assert.equal((await put("-q --json")).err, "");
});

test("a bundle tells how far it is as a put does", async (t) => {
  const box = makeBox(t);
  await box.begin("a large file");
  const file = randomFile(`${box.dir}/large`, 6_000_000);
  await box.ok(["snap", file]);
  await box.ok(["ci"]);
  const env = { ISCONF_HOME: box.home };
  const shell = async (command: string) => await run("sh", ["-c", command], { env, cwd: box.dir });
  const out = await shell(`'${ISCONF}' --json bundle export - | (sleep 1; cat) > slow`);
  assert.equal(out.status, 0);
  needEvents(out.err);
  const back = await shell(
    `(head -c 3000000 slow; sleep 1; tail -c +3000001 slow) | '${ISCONF}' --json bundle import -`,
  );
  assert.deepEqual([back.status, JSON.parse(back.out).entries], [0, 0]);
  needEvents(back.err.replace(/^0 new entries .*\n/m, ""));
});

test("a bundle that was cut off is no bundle: the export says that it is not whole", async (t) => {
  const box = makeBox(t);
  await box.begin("a large file");
  await box.ok(["snap", randomFile(`${box.dir}/large`, 20_000_000)]);
  await box.ok(["ci"]);
  const stop = `sleep 1; '${ISCONF}' stop >/dev/null; cat >/dev/null`;
  const options = { env: { ISCONF_HOME: box.home }, cwd: box.dir };
  const shell = `('${ISCONF}' bundle export -; echo "status $?" >&2) | (${stop})`;
  assert.match(
    (await run("sh", ["-c", shell], options)).err,
    /\nisconf .*: the agent went away.*\n {2}\S.*\nstatus 104\n$/,
  );
});

test(
  "on a terminal there is a line that goes again; with a known size a bar with rate and time left",
  skipIf("progress on a terminal", lacks({ programs: ["script"] })),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    const line = await shown(box, `${SLOW} | '${ISCONF}' put --label slow -`);
    assert.match(line, /2\.9 MiB at .*iB\/s/);
    assert.match(line.trimEnd().split("\n").at(-1)!, /[0-9a-f]{64}$/, "the id stands at the end");
    const bar = await shown(box, `'${ISCONF}' cat slow | (sleep 1; head -c 2000000; sleep 1; cat) | wc -c`);
    assert.match(bar, /[#.]{24} [0-9]+% of 5\.7 MiB, .*\/s .* left/);
    assert.match(bar, /6000010/);
  },
);

test(
  "a put that fails midway, a reader that goes and ^C leave no bar, and the terminal as it was",
  skipIf("progress broken off on a terminal", lacks({ programs: ["script", "timeout"] })),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    await shown(box, `head -c 9000000 /dev/zero | '${ISCONF}' put --label zeros -`);
    const begin = "head -c 3000000 /dev/zero; sleep 1; head -c 3000000 /dev/zero; sleep 0.5";

    const kill = `kill -9 ${await netPid(box)}; sleep 0.5; head -c 9000000 /dev/zero`;
    const failed = await shown(box, `(${begin}; ${kill}) | '${ISCONF}' put -`);
    assert.match(failed, /\x1b\[2Kisconf put: the store is not running\r\n {2}isconf restart\r\n$/);

    await box.stop();
    await box.start();
    const reader = "(sleep 5; head -c 2000000 >/dev/null; sleep 0.5)";
    const left = await shown(box, `'${ISCONF}' cat zeros | ${reader}`);
    assert.match(left, /\r\x1b\[K$/);

    const broken = await shown(box, `(${begin}; sleep 3) | timeout --foreground -s INT 3 '${ISCONF}' put -`);

    for (const text of [failed, left, broken]) {
      assert.match(text, /iB at .*iB\/s/, "a bar was there");
      assert.doesNotMatch(text, /\x1b\[\?/, "no cursor is hidden, no wrapping of lines is off");
    }
  },
);
