// enrol: hosts that cannot join, cannot be heard, or say hostile things of themselves. The way it goes when all is well
// is in transcripts/mesh.txt; who else knocks at the network is not for here.
import assert from "node:assert/strict";
import { once } from "node:events";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import { type Box, ISCONF, makeBox, type Outcome, skipIf, until } from "./tools.ts";

const needs = lacks({ files: [ISCONF] });

/** A host that began a domain, and others that joined it on loopback, called hostb, hostc and so on. */
async function domain(t: Parameters<typeof makeBox>[0], others: number): Promise<Box[]> {
  const first = makeBox(t, "a");
  await first.begin();
  const boxes = [first];
  for (const name of ["hostb", "hostc"].slice(0, others)) {
    const box = makeBox(t, name);
    await box.start();
    await box.ok(["join", "--host", name, await tokenOf(first, "--approve")]);
    boxes.push(box);
  }
  return boxes;
}

const tokenOf = async (box: Box, ...more: string[]) => (await box.ok(["token", ...more])).trim();
const said = ({ status, out, err }: Outcome) => `${status} ${out}${err}`;

/** The same token with another byte at a place from its end. */
function forged(token: string, fromEnd: number): string {
  const at = token.length - fromEnd;
  return token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
}

test(
  "a token that was changed, that nobody listens for, or that is somebody else's opens nothing",
  skipIf("forged tokens", needs),
  async (t) => {
    const [a] = await domain(t, 0) as [Box];
    const b = makeBox(t, "b");
    await b.start();
    const token = await tokenOf(a, "--approve");
    const bytes = Math.floor(token.length * 3 / 4);
    assert.ok(bytes > 100, token);
    // From the end: the key that answers, its address, the secret, the token's name, the domain.
    for (const fromEnd of [20, 62, 100, 135, 175]) {
      const got = await b.isconf(["join", "--host", "hostb", forged(token, fromEnd)], { timeoutMs: 40_000 });
      assert.ok([22, 77, 104].includes(got.status as number), `${fromEnd}: ${said(got)}`);
      assert.match(got.err, /^isconf join: .+\n {2}isconf .+\n$/, `${fromEnd}: ${said(got)}`);
    }
    assert.deepEqual(JSON.parse(await a.ok(["--json", "hosts"])).waiting, []);
    await a.ok(["stop"]);
    const off = await b.isconf(["join", "--host", "hostb", token]);
    assert.equal(off.status, 104, said(off));
    assert.match(off.err, /^isconf join: 127\.0\.0\.1:[0-9]+: nobody .+\n {2}isconf status there/);
    await a.start();
    await b.ok(["join", "--host", "hostb", token]);
  },
);

test(
  "an agent whose host waits for approval stops at once, and its token goes on",
  skipIf("stop while joining", needs),
  async (t) => {
    const [a] = await domain(t, 0) as [Box];
    const b = makeBox(t, "b");
    const token = await tokenOf(a);
    const waiting = b.beginIsconf(["--json", "join", "--host", "hostb", token]);
    await until("it waits", async () => JSON.parse(await a.ok(["--json", "hosts"])).waiting.length === 1);
    const began = performance.now();
    await b.ok(["stop"]);
    assert.ok(performance.now() - began < 3_000, `it took ${performance.now() - began} ms`);
    const ended = await waiting.done;
    assert.equal(ended.status, 104, said(ended));
    assert.match(ended.err, /isconf join again, with the same token/);
    await a.ok(["approve", "hostb"]);
    assert.equal(JSON.parse(await b.ok(["--json", "join", "--host", "hostb", token])).host, "hostb");
  },
);

test(
  "an open token: hosts ask with the same word, and each comes in when its fingerprint is approved",
  skipIf("open tokens", needs),
  async (t) => {
    const [a] = await domain(t, 0) as [Box];
    const made = await a.isconf(["token", "--open"]);
    assert.match(
      made.err,
      /^for any host, each waits for approval, on branch main, until .+; there: isconf join TOKEN\n$/,
    );
    for (const own of ["--approve", "--host hostx"]) {
      const got = await a.isconf(["token", "--open", ...own.split(" ")]);
      assert.equal(got.status, 22, said(got));
      assert.match(got.err, new RegExp(`\n {2}isconf token ${own}, a token of its own for each host\n$`));
    }
    const { open, token } = JSON.parse(await a.ok(["--json", "token", "--open"]));
    assert.equal(open, true);
    const boxes = [makeBox(t, "b"), makeBox(t, "c")] as const;
    const joining = boxes.map((box, i) => box.beginIsconf(["--json", "join", "--host", `host${i}`, token]));
    const waiting = async () => JSON.parse(await a.ok(["--json", "hosts"])).waiting;
    await until("both wait", async () => (await waiting()).length === 2);
    assert.match(await a.ok(["hosts"]), /^host0 .* waits +to join main with an open token, since /m);
    for (const [i, join] of joining.entries()) {
      const { fingerprint } = (await waiting()).find(({ name }: { name: string }) => name === `host${i}`);
      await a.ok(["approve", fingerprint]);
      const done = await join.done;
      assert.equal(JSON.parse(done.out).host, `host${i}`, said(done));
      assert.equal((await waiting()).length, 1 - i, "nobody comes in with another");
    }
  },
);

test(
  "a port that is taken is told everywhere, stops nothing, and is used when it is free",
  skipIf("a port that is taken", needs),
  async (t) => {
    const [a, b] = await domain(t, 1) as [Box, Box];
    await b.stop();
    const other = net.createServer().listen(0, "127.0.0.1");
    t.after(() => Promise.resolve(void other.close()));
    await once(other, "listening");
    const { port } = other.address() as net.AddressInfo;
    b.conf(`listen = 127.0.0.1:${port}\n`);
    await b.start();
    const why = `cannot listen on 127.0.0.1:${port}: EADDRINUSE`;
    const shown = await b.isconf(["status"]);
    assert.match(shown.out, new RegExp(`^network +${why}$`, "m"), said(shown));
    assert.match(b.log(), new RegExp(why));
    const doctor = await b.isconf(["doctor"]);
    assert.equal(doctor.status, 1);
    assert.match(
      doctor.out,
      new RegExp(`^BAD +listening: ${why}: others cannot call this host\n +ss -ltnp`, "m"),
    );
    // It calls others all the same.
    await until("it is connected", async () => /hosta .* connected/.test(await b.ok(["hosts"])));
    await a.ok(["grant", `${os.userInfo().username}@hostb`, "enrol", "@domain"]);
    const token = await b.isconf(["token"]);
    assert.equal(token.status, 1, said(token));
    assert.match(token.err, new RegExp(`^isconf token: this host cannot be reached by others: ${why}\n`));
    other.close();
    await until("it listens", () => new RegExp(`listening on 127.0.0.1:${port} now`).test(b.log()), 20_000);
    await b.ok(["token"]);
    assert.doesNotMatch(await b.ok(["status"]), /^network/m);
    const { network } = JSON.parse(await b.ok(["--json", "status"]));
    assert.deepEqual([network.addresses, network.why], [[`127.0.0.1:${port}`], ""]);
  },
);

test("a host that listens nowhere makes no token", skipIf("listen = none", needs), async (t) => {
  const a = makeBox(t, "a");
  a.conf("listen = none\n");
  await a.begin();
  const got = await a.isconf(["token"]);
  assert.equal(got.status, 1, said(got));
  assert.match(
    got.err,
    /^isconf token: this host cannot be reached by others: it listens nowhere\n {2}isconf doctor/,
  );
});

const EVIL = "\x1b[2J\x1b]0;title\x07\r\u202eevil\u2028line\x9b31m";
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069]/;

test("what a host says of itself is shown inert to others", skipIf("hostile hosts", needs), async (t) => {
  const [a, b] = await domain(t, 1) as [Box, Box];
  const needInert = (got: Outcome) => assert.doesNotMatch(got.out + got.err, CONTROLS, JSON.stringify(got));
  await b.stop();
  const db = new DatabaseSync(path.join(b.home, "var/agent.db"));
  const set = db.prepare("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value");
  set.run("diverged", EVIL);
  set.run("host_name", `hostb${EVIL}`);
  db.close();
  await b.start();
  await until("it is heard", async () => /hostb .*diverged/.test(await a.ok(["status"])));
  for (const words of [["status"], ["--json", "status"], ["hosts"]]) needInert(await a.isconf(words));
  assert.match(await a.ok(["status"]), /^hostb .*\\x1b\[2J.*evil/m);
  const grant = await a.isconf(["grant", `${os.userInfo().username}@hostb`, "append"]);
  assert.equal(grant.status, 226, said(grant));
  for (
    const words of [
      ["grant", `daemon@${EVIL}`, "append"],
      ["grant", `${EVIL}@hostb`, "append"],
      ["revoke", EVIL],
      ["evict", EVIL],
      ["approve", EVIL],
      ["token", "--host", EVIL],
      ["token", "--branch", EVIL],
      ["join", `isconf1.${EVIL}`],
      ["evict", "hostb", EVIL],
      ["log", "--branch", "@domain"],
      ["--json", "log", "--branch", "@domain"],
    ]
  ) needInert(await a.isconf(words));
  const c = makeBox(t, "c");
  needInert(await c.isconf(["join", "--host", EVIL, await tokenOf(a)]));
  needInert(await b.isconf(["status"]));
});
