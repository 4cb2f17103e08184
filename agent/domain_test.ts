// domain and bundle: init, fork, migrate; journals carried as files; what a damaged or foreign bundle changes.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { concat, encodeFrame } from "../mq/mod.ts";
import {
  carry,
  faultOf,
  makeFirstHost,
  makeHost,
  makeSecondHost,
  run,
  type TestHost,
} from "../tests/world.ts";

async function checkIn(host: TestHost, n = 1): Promise<void> {
  await host.acts.locks.lock(host.call(), "why");
  for (let i = 0; i < n; i++) await run(host, ["/bin/true"]);
  await host.acts.checkin.ci(host.call());
}

async function bundleOf(host: TestHost): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of host.acts.bundle.exportBundle(host.call(), undefined)) parts.push(part);
  return concat(...parts);
}

async function* inParts(bytes: Uint8Array, size = 1000): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const up = (host: TestHost) =>
  host.acts.apply.up(host.call(), { reboot: false, step: false, dryRun: false, offline: false });

test("init makes a domain once; its recovery key is kept nowhere", async (t) => {
  const host = await makeHost(t);
  const made = await host.acts.domain.init(host.call(), { host: "hosta", branch: "web" });
  assert.match(made.domain, /^[0-9a-f]{64}$/);
  assert.equal(
    (await faultOf(() => host.acts.domain.init(host.call(), { host: "hosta", branch: "web" }))).exit,
    1,
  );
  for (const name of fs.readdirSync(host.home.state, { recursive: true }) as string[]) {
    const file = `${host.home.state}/${name}`;
    if (!fs.statSync(file).isFile()) continue;
    const text = fs.readFileSync(file);
    assert.equal(
      text.includes(made.recovery) || text.includes(Buffer.from(made.recovery, "hex")),
      false,
      file,
    );
  }
});

test("names of hosts and branches are checked before anything is made", async (t) => {
  const host = await makeHost(t);
  for (const bad of ["", "a", "-x", "a b", "../x", "a/b", "x".repeat(65), "a\nb", "@domain", "ü-host"]) {
    assert.equal(
      (await faultOf(() => host.acts.domain.init(host.call(), { host: bad, branch: "main" }))).exit,
      22,
      bad,
    );
    assert.equal(
      (await faultOf(() => host.acts.domain.init(host.call(), { host: "hosta", branch: bad }))).exit,
      22,
      bad,
    );
  }
  assert.equal(host.agent.host.journal.policy(), undefined);
});

test("verbs before there is a domain say how to get one", async (t) => {
  const host = await makeHost(t);
  const fault = await faultOf(() => host.acts.locks.lock(host.call(), "why"));
  assert.equal(fault.exit, 1);
  assert.match(fault.hint, /^isconf init/);
});

test("fork shares what was applied and goes its own way; migrate only where nothing executed is lost", async (t) => {
  const a = await makeFirstHost(t);
  await checkIn(a, 2);
  assert.deepEqual(await a.acts.domain.fork(a.call(), "web"), { branch: "web", from: "main", seq: 2 });
  assert.equal(a.acts.status.standing(a.agent.host).at, 2);
  await checkIn(a);
  assert.deepEqual(a.acts.report.log(a.call(), {}).entries.map((e) => [e.seq, e.branch]), [[1, "main"], [
    2,
    "main",
  ], [3, "web"]]);
  assert.equal(
    (await faultOf(() => a.acts.domain.migrate(a.call(), "main"))).exit,
    1,
    "entry 3 is not on main",
  );
  assert.equal((await faultOf(() => a.acts.domain.migrate(a.call(), "nowhere"))).exit, 2);
  assert.equal((await faultOf(() => a.acts.domain.fork(a.call(), "main"))).exit, 1);
  assert.equal((await a.acts.report.verify(a.call(), {})).entries, 5);
  const b = await makeHost(t);
  const pin = { host: "hostb", domain: a.agent.host.journal.domain() as string, branch: "main" };
  await b.acts.bundle.importBundle(b.call(), a.acts.bundle.exportBundle(a.call(), "web"), pin);
  await up(b);
  assert.equal(b.agent.host.history.applied(), 2);
  assert.deepEqual(await b.acts.domain.migrate(b.call(), "web"), {
    branch: "web",
    from: "main",
    at: 2,
    of: 3,
  });
  assert.equal((await up(b)).at, 3);
});

test("a bundle needs the domain's id on a host without one, and is refused when it is of another", async (t) => {
  const a = await makeFirstHost(t);
  await checkIn(a);
  const bundle = await bundleOf(a);
  const b = await makeHost(t);
  const take = (pin: { domain?: string }) =>
    b.acts.bundle.importBundle(b.call(), inParts(bundle), { host: "hostb", ...pin });
  assert.equal((await faultOf(() => take({}))).exit, 22);
  assert.equal((await faultOf(() => take({ domain: "0".repeat(64) }))).exit, 77);
  assert.equal(b.agent.host.journal.policy(), undefined);
  const c = await makeFirstHost(t);
  assert.equal(
    (await faultOf(() => c.acts.bundle.importBundle(c.call(), inParts(bundle), { host: "hostc" }))).exit,
    1,
  );
});

test("a bundle cut off or changed anywhere is refused; what was whole before stays whole and verifies", async (t) => {
  const a = await makeFirstHost(t);
  fs.writeFileSync(`${a.dir}/file`, "content");
  await a.acts.locks.lock(a.call(), "why");
  await a.acts.work.snap(a.call(), `${a.dir}/file`, false);
  await run(a, ["/bin/true"]);
  await a.acts.checkin.ci(a.call());
  const bundle = await bundleOf(a);
  const domain = a.agent.host.journal.domain() as string;
  const b = await makeHost(t);
  const take = (bytes: Uint8Array) =>
    b.acts.bundle.importBundle(b.call(), inParts(bytes), { host: "hostb", domain });
  for (let at = 0; at < bundle.length; at += 97) {
    await faultOf(() => take(bundle.subarray(0, at)));
    const bad = bundle.slice();
    bad[at] = (bad[at] as number) ^ 4;
    await faultOf(() => take(bad));
  }
  if (b.agent.host.journal.policy() !== undefined) await b.acts.report.verify(b.call(), {});
  await take(bundle);
  assert.equal((await up(b)).at, 2);
});

test("a bundle with foreign bytes behind its end, or frames of unknown type, is refused", async (t) => {
  const a = await makeFirstHost(t);
  const bundle = await bundleOf(a);
  const b = await makeHost(t);
  const domain = a.agent.host.journal.domain() as string;
  const alien = concat(
    bundle.subarray(0, 0),
    encodeFrame({ type: 77, channel: 0, body: new Uint8Array(4) }),
    bundle,
  );
  const fault = await faultOf(() =>
    b.acts.bundle.importBundle(b.call(), inParts(alien), { host: "hostb", domain })
  );
  assert.equal(fault.exit, 226);
});

test("two entries signed by one key for one place freeze the branch, and that survives a restart", async (t) => {
  const a = await makeFirstHost(t);
  await checkIn(a);
  const twin = await makeHost(t);
  await twin.stop();
  fs.cpSync(a.home.state, twin.home.state, { recursive: true }); // a cloned disk, keys and all
  await a.restart();
  await twin.agent.ended;
  const { startAgent, openSeamInside } = await import("./mod.ts");
  const { systemClock } = await import("../mq/mod.ts");
  twin.agent = await startAgent(twin.home, {
    clock: systemClock,
    openSeam: (h, answers) => Promise.resolve(openSeamInside(`${h.state}/store`, systemClock, answers)),
    log: () => {},
  });
  twin.acts = twin.agent.acts;
  await checkIn(a);
  await checkIn(twin, 1);
  const fault = await faultOf(() => carry(twin, a));
  assert.equal(fault.exit, 225);
  assert.equal((await faultOf(() => a.acts.locks.lock(a.call(), "why"))).exit, 225);
  await a.restart();
  assert.equal((await faultOf(() => up(a))).exit, 225);
  assert.equal(a.acts.status.standing(a.agent.host).state, "forked");
});

test("the second host of a domain begins with an empty history and applies from entry 1", async (t) => {
  const a = await makeFirstHost(t);
  await checkIn(a, 3);
  const b = await makeSecondHost(t, a);
  assert.deepEqual([b.agent.host.history.applied(), b.agent.host.journal.head("main").seq], [0, 3]);
  assert.equal((await up(b)).applied, 3);
});
