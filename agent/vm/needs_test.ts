// needs: each thing that a template can ask for, where it is so and where it is not.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { test } from "node:test";
import { makePlace } from "./fixture.ts";
import { look, lookNowhere, missingFault, NEEDS } from "./needs.ts";
import { readTemplate } from "./template.ts";

test("each need: undefined where it is so, words where it is not", async (t) => {
  const place = makePlace(t);
  const at = (name: string) => path.join(place.cwd, name);
  fs.writeFileSync(at("file"), "");
  fs.mkdirSync(at("empty"));
  fs.mkdirSync(at("full"));
  fs.writeFileSync(at("full/notes"), "");
  fs.writeFileSync(at("pid"), `${process.pid}\n`);
  const server = net.createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(at("sock"), resolve));
  const tcp = net.createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
  const { port } = tcp.address() as net.AddressInfo;
  t.after(() => void (server.close(), tcp.close()));
  fs.writeFileSync(at("stale"), "");
  fs.writeFileSync(at("noughts"), Buffer.alloc(2 << 20));
  fs.writeFileSync(at("table"), Buffer.from("EFI PART".padStart(520, "\0"), "latin1"));
  const devices = fs.readFileSync("/proc/self/mounts", "utf8").match(/^\/dev\/[a-z0-9]+(?= )/gm) ?? [];
  const mounted = devices.find((name) => fs.existsSync(name) && fs.statSync(name).isBlockDevice());

  const TABLE: Record<string, [is: string[], isNot: [words: string[], why: RegExp][]]> = {
    program: [["/bin/sh"], [[[at("file")], /no program|closed/], [["/nowhere"], /no program/], [
      ["/bin"],
      /no program/,
    ]]],
    readable: [[at("file")], [[["/nowhere/x"], /does not exist/], [[at("empty")], /is no file/]]],
    writable: [[at("new/and/newer")], [[[at("file")], /is no directory/]]],
    absent: [[at("nothing")], [[[at("file")], /there already/], [[at("full")], /there already/]]],
    stopped: [[at("nothing")], []],
    "nothing-else": [[at("empty")], [[[at("full")], /not isconf's: notes/]]],
    room: [[place.cwd, "0"], [[[place.cwd, "60000000"], /GiB free, and the disk may grow to 60000000/]]],
    disk: [
      ["/dev/loop7"].filter((name) => fs.existsSync(name)),
      [[[at("file")], /is no disk/], [["/dev/null"], /is no disk/], [["/dev/none"], /is no disk/]],
    ],
    empty: [[at("noughts")], [[[at("table")], /table is not empty/]]],
    "free-socket": [[at("stale")], [[[at("sock")], /somebody listens on/]]],
    "free-port": [["connect=127.0.0.1:1"], [[[`listen=127.0.0.1:${port}`], /somebody listens on 127/], [[
      `listen=0.0.0.0:${port}`,
    ], /somebody/]]],
    "free-ports": [["1:22"], [[[`1:22,${port}:80`], /somebody listens on 127\.0\.0\.1, port \d+$/]]],
    tap: [[], [[["isconf-none"], /no network interface/], [["lo"], /is no tap/]]],
  };
  if (mounted !== undefined) TABLE.disk![1].push([[mounted], /is mounted/]);
  assert.deepEqual(Object.keys(TABLE).sort(), Object.keys(NEEDS).sort());
  for (const [what, [is, isNot]] of Object.entries(TABLE)) {
    if (is.length > 0) assert.equal(await NEEDS[what]!(place, is), undefined, `${what} ${is}`);
    for (const [words, why] of isNot) {
      assert.match(await NEEDS[what]!(place, words) ?? "(so)", why, `${what} ${words}`);
    }
  }
  assert.equal(
    await NEEDS.absent!(place, [at("empty")]),
    undefined,
    "what a creation left at its first step is in nobody's way",
  );
  assert.equal(await NEEDS["free-socket"]!(place, [at("no/socket")]), undefined);
});

test("the first place that has it is a value; what is nowhere has a value, too, so that the script can be shown", async (t) => {
  const place = makePlace(t);
  const own = path.join(place.cwd, "bin");
  fs.writeFileSync(path.join(own, "second"), "", { mode: 0o755 });
  const template = readTemplate(
    "start",
    "d",
    "o",
    `about x.\ndeadline 1\nfind a program first second | get a\nfind b program /nowhere/b | get b\n[c?] find c file /c | get c\n[d?] find d file ${own}/second | get d\nneed absent {b:path} | -\n[c?] need absent / | -\nneed absent / | rm {b:path}\nstep one\n{a:path}\n`,
  );
  const { values, missing } = await look(place, template, { d: "yes" });
  assert.deepEqual(values, { a: `${own}/second`, b: "/nowhere/b", d: `${own}/second` });
  assert.deepEqual(missing, [
    { why: "there is no program /nowhere/b", hint: "get b" },
    { why: "/ is there already", hint: "rm /nowhere/b" },
  ]);
  assert.deepEqual(lookNowhere(template, {}), { a: "/usr/bin/first", b: "/nowhere/b" });
});

test("one thing is said without a number, several with theirs", () => {
  const one = { why: "a\x1b", hint: "b" };
  assert.deepEqual([missingFault("vm", "x", [one]).message, missingFault("vm", "x", [one]).hint], [
    "x: a\\x1b",
    "b",
  ]);
  const both = missingFault("vm", "x", [one, { why: "c", hint: "d" }]);
  assert.deepEqual([both.message, both.hint], ["x: (1) a\\x1b; (2) c", "(1) b; (2) d"]);
});
