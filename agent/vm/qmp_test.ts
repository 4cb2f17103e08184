// qmp: a control socket that answers well, badly, late or not at all.
import assert from "node:assert/strict";
import * as net from "node:net";
import * as path from "node:path";
import { test } from "node:test";
import { systemClock, VirtualClock } from "../../mq/mod.ts";
import { makePlace } from "./fixture.ts";
import { qmpAnswerMs, qmpBytesMax } from "./limits.ts";
import { askQmp } from "./qmp.ts";

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n';
const OK = '{"return": {}}\r\n';

/** A socket that says `hello` and then, to each line, the next of `answers`; after the last it hangs up. */
async function serve(t: { after(fn: () => void): void }, hello: string, answers: string[]) {
  const file = path.join(makePlace(t).cwd, "qmp.sock");
  const heard: string[] = [];
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    const left = [...answers];
    socket.on("error", () => {});
    socket.write(hello);
    socket.setEncoding("utf8").on("data", (text: string) => {
      heard.push(text.trim());
      const next = left.shift();
      if (next === undefined) socket.destroy();
      else socket.write(next);
    });
  });
  await new Promise<void>((resolve) => server.listen(file, resolve));
  t.after(() => {
    open.forEach((socket) => socket.destroy());
    server.close();
  });
  return { file, heard };
}

test("the greeting, the capabilities, the command, its answer; events do not count", async (t) => {
  const event = '{"event": "STOP", "timestamp": {}}\r\n';
  const { file, heard } = await serve(t, GREETING, [OK, `${event}{"return": {"status": "running"}}\r\n`]);
  assert.deepEqual(await askQmp(systemClock, file, "query-status"), { status: "running" });
  assert.deepEqual(heard, ['{"execute":"qmp_capabilities"}', '{"execute":"query-status"}']);
});

test("what QEMU refuses is said, inert; a command that is none never goes out", async (t) => {
  const { file, heard } = await serve(t, GREETING, [
    OK,
    '{"error": {"class": "x", "desc": "no \\u001b[2J"}}\n',
  ]);
  await assert.rejects(askQmp(systemClock, file, "stop"), {
    kind: "refused",
    message: /does not do stop: no \\x1b\[2J/,
  });
  await assert.rejects(askQmp(systemClock, file, 'quit"}'), { kind: "usage" });
  assert.equal(heard.length, 2);
});

test("nobody, one who hangs up, one who says nonsense or too much: gone; after quit hanging up is the answer", async (t) => {
  await assert.rejects(askQmp(systemClock, "/nowhere/qmp.sock", "quit"), { kind: "gone" });
  const hung = await serve(t, GREETING, [OK]);
  assert.deepEqual(await askQmp(systemClock, hung.file, "quit"), {});
  await assert.rejects(askQmp(systemClock, hung.file, "query-status"), { kind: "gone", message: /hung up/ });
  const nonsense = await serve(t, "HTTP/1.1 400\r\n", []);
  await assert.rejects(askQmp(systemClock, nonsense.file, "quit"), { kind: "gone" });
  const much = await serve(t, "x".repeat(qmpBytesMax + 1), []);
  await assert.rejects(askQmp(systemClock, much.file, "quit"), { kind: "gone", message: /more than/ });
});

test("one who says nothing is waited for no longer than the deadline", async (t) => {
  const { file } = await serve(t, "", []);
  const clock = new VirtualClock(1);
  const asked = askQmp(clock, file, "quit");
  const refused = assert.rejects(asked, { kind: "gone", message: /nothing came in 5000 ms/ });
  await clock.advance(qmpAnswerMs);
  await refused;
});
