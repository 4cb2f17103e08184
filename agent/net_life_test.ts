// net_life: a net half as a process that does not keep to the rules: it is killed, what it has left behind reaches nobody, and
// the log is not filled.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { Fault, sleep, systemClock } from "../mq/mod.ts";
import { nodePath } from "../tests/programs.ts";
import { until } from "../tests/world.ts";
import { netLineBytesMax, netLinesMax } from "./limits.ts";
import { netLife } from "./net_life.ts";
import { type Answers, ROOT_REQUESTS, type RootRequest } from "./seam.ts";
import { Impatient } from "./seam_fixture.ts";

/** What a net half does that is a script: it has `fs` and the pipe as descriptor 3. */
const STAYS = "setInterval(() => {}, 1000);";
/** A question as a frame, written again and again. */
const ASKS = `const ask = Buffer.from("01010000" + "00000008" + "8301647065657280", "hex");
  setInterval(() => { try { fs.writeSync(3, ask); } catch { /* the pipe is cut */ } }, 10);`;

function start(script: string) {
  const clock = new Impatient();
  clock.waitMs = 200;
  const logged: string[] = [];
  let asked = 0;
  const answers = Object.fromEntries(
    ROOT_REQUESTS.map((name) => [name, () => Promise.resolve(++asked && null)]),
  ) as unknown as Answers<RootRequest>;
  const child = spawn(nodePath(), ["-e", `const fs = require("node:fs");\n${script}`], {
    stdio: ["ignore", "ignore", "pipe", "pipe"],
    env: {},
  });
  const life = netLife(child, answers, { clock, log: (line) => void logged.push(line) });
  return { life, child, logged, asked: () => asked };
}

const within = <T>(what: Promise<T>): Promise<T | "not ended"> =>
  Promise.race([what, sleep(systemClock, 20_000).then(() => "not ended" as const)]);

test("a half that breaks the seam's rules, or closes its pipe, and lives on is killed after a moment", async () => {
  for (
    const [script, why] of [
      [
        `fs.writeSync(3, Buffer.from("0909090909090909", "hex")); ${STAYS}`,
        /was cut off: frame of version 9/,
      ],
      [`fs.writeSync(3, Buffer.from("0102000000000001ff", "hex")); ${STAYS}`, /was cut off/],
      [`fs.closeSync(3); ${STAYS}`, /has ended/],
      [`fs.closeSync(3); process.on("SIGTERM", () => {}); ${STAYS}`, /has ended/],
    ] as [string, RegExp][]
  ) {
    const { life, logged } = start(script);
    assert.equal(await within(life.ended), "SIGKILL", script);
    assert.match(logged.join("\n"), why);
    const fault = await life.ask("identity", null).catch((e) => e);
    assert.ok(fault instanceof Fault && fault.kind === "gone");
  }
});

test("a half that is to end and does not is killed", async () => {
  const { life, logged } = start(`${ASKS} setInterval(() => {}, 1000);`);
  await within(life.close());
  assert.equal(await within(life.ended), "SIGKILL", logged.join("\n"));
});

test("a half that dies and leaves its pipe to somebody is answered no more", async () => {
  const heir = JSON.stringify(`const fs = require("node:fs"); ${ASKS}`);
  const { life, logged, asked } = start(`
    const { spawn } = require("node:child_process");
    const heir = spawn(process.execPath, ["-e", ${heir}], { detached: true, stdio: ["ignore", "ignore", "ignore", 3] });
    fs.writeSync(2, "heir " + heir.pid + "\\n");
    ${ASKS}
    setTimeout(() => process.exit(7), 1500);`);
  const pid = () => Number(/heir (\d+)/.exec(logged.join("\n"))?.[1] ?? 0);
  try {
    assert.equal(await within(life.ended), "status 7");
    assert.ok(asked() > 0, "it was answered while it lived");
    await until("there is an heir", () => pid() > 0);
    const before = asked();
    await sleep(systemClock, 300);
    assert.equal(asked(), before);
  } finally {
    if (pid() > 0) process.kill(pid(), "SIGKILL");
  }
});

test("what a half writes for the log comes line by line, bounded in length and number, and as its own", async () => {
  const { life, logged } = start(`
    fs.writeSync(2, "first\\n" + "x".repeat(100_000) + "\\n");
    for (let i = 0; i < 20_000; i++) fs.writeSync(2, "line " + i + "\\n");
    fs.writeSync(2, "y".repeat(1_000_000));`);
  assert.equal(await within(life.ended), "status 0");
  await until("all was read", () => logged.length > netLinesMax);
  assert.equal(logged.length, netLinesMax + 1);
  assert.deepEqual([logged[0], logged[2]], ["net: first", "net: line 0"]);
  assert.match(logged.at(-1) as string, /^net: it writes too much/);
  assert.ok(logged.every((line) => line.length <= netLineBytesMax + 5 && line.startsWith("net: ")));
});

const noPipes = "Deno" in globalThis && "Deno gives a child that cannot be started no pipes";
if (noPipes) console.log(`skipped: a half that cannot be started says so: ${noPipes}`);
test("a half that cannot be started says so", { skip: noPipes }, async () => {
  const child = spawn("/nonexistent", [], { stdio: ["ignore", "ignore", "pipe", "pipe"] });
  const life = netLife(child, {} as Answers<RootRequest>, { clock: new Impatient(), log: () => {} });
  assert.match(String(await within(life.ended)), /cannot be started: .*ENOENT/);
});
