// keeper_register: what becomes of decisions when keepers die between etcd's word and their own, when answers are lost, and
// when etcd goes back, forgets or lies. Hosts on loopback; etcd's twin in memory does what the test says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { allConnected, allKnow, allSame, checkIn, makeEtcdFleet, seqOf } from "../tests/contract/register.ts";
import { faultOf, run, type TestHost, until, UP } from "../tests/world.ts";
import { decode, encode, Fault, generateKeyPair, open1, systemClock } from "../mq/mod.ts";
import { type Cell, type Cells, MemoryCells, NoCells } from "./cells.ts";
import { readEntry, votesOf } from "./entry.ts";
import { MESH_CHECKS } from "./doctor_mesh.ts";
import { hostId, personPair } from "./host.ts";
import { sealClaim } from "./keeper_words.ts";
import { Names, readStand, type Stand, writeStand } from "./register.ts";

const NAMES = ["hosta", "hostb", "hostc", "hostd"];
type Fleet = [TestHost, TestHost, TestHost, TestHost];

/** Cells that a test puts itself into the way of. */
class Watched implements Cells {
  readonly cells: Cells;
  /** Called when a swap has been done that says where a branch ends now; `ends` is that branch. */
  done: (ends: string | undefined) => Promise<void> = () => Promise.resolve();

  constructor(cells: Cells) {
    this.cells = cells;
  }

  async read(names: readonly string[]): Promise<Cell[]> {
    return await this.cells.read(names);
  }

  async swap(...[unchanged, put, remove]: Parameters<Cells["swap"]>): Promise<boolean> {
    const isDone = await this.cells.swap(unchanged, put, remove);
    const stand = put.find(([name]) => name.includes("/stand/"))?.[0];
    if (isDone && stand !== undefined) {
      await this.done(remove.length > 0 ? stand.split("/").at(-1) : undefined);
    }
    return isDone;
  }
}

const lost = () => new Fault("etcd", "noQuorum", "etcd does not answer: lost", { hint: "isconf status" });
const idOf = (host: TestHost) => hostId(host.agent.host);
const votesAt = (host: TestHost, seq: number) =>
  votesOf(host.agent.host.journal.at("main", seq)!.cert).map(({ kid }) => kid);

async function fleet(t: Parameters<typeof makeEtcdFleet>[0], cells: Cells, names = NAMES): Promise<Fleet> {
  return await makeEtcdFleet(t, names, { cells }) as Fleet;
}

/** Lets one host alone have other cells. */
async function giveCells(hosts: TestHost[], host: TestHost, cells: Cells): Promise<void> {
  await host.restart({ cells });
  await allConnected(hosts);
}

test("a keeper dies after etcd has decided and before it has signed: the next attests it, and the check-in was one", async (t) => {
  const cells = new MemoryCells();
  const hosts = await fleet(t, cells);
  const [a, b, c, d] = hosts;
  const watched = new Watched(cells);
  await giveCells(hosts, a, watched);
  await d.acts.locks.lock(d.call(), "why");
  await run(d, ["/bin/true"]);
  const died = new Promise<void>((resolve) =>
    watched.done = (ends) => ends === "main" ? new Promise(() => resolve()) : Promise.resolve()
  );
  const ci = d.acts.checkin.ci(d.call());
  await died;
  assert.deepEqual([a, b, c, d].map((host) => seqOf(host)), [0, 0, 0, 0], "nobody has signed anything");
  await a.stop();
  assert.deepEqual(await ci, { branch: "main", from: 1, to: 1 });
  assert.deepEqual([d.agent.host.wip.count(), d.agent.host.pending.count()], [0, 0]);
  assert.deepEqual(votesAt(d, 1), [idOf(b)]);
  await checkIn(c);
  await a.start();
  await allSame(hosts, 2);
  assert.equal(a.agent.host.keeper.holder("main")?.held, false);
});

test("the same, and the host that checked in dies too: whoever locks next finishes it, and the dead one knows its own", async (t) => {
  const cells = new MemoryCells();
  const hosts = await fleet(t, cells);
  const [a, b, c, d] = hosts;
  const watched = new Watched(cells);
  await giveCells(hosts, a, watched);
  await d.acts.locks.lock(d.call(), "why");
  for (let i = 0; i < 3; i++) await run(d, ["/bin/true", String(i)]);
  const died = new Promise<void>((resolve) =>
    watched.done = (ends) => ends === "main" ? new Promise(() => resolve()) : Promise.resolve()
  );
  d.acts.checkin.ci(d.call()).catch(() => {}); // nobody is there any more to hear how it ended
  await died;
  await Promise.all([d.stop(), a.stop()]);
  const fault = await faultOf(() => b.acts.locks.lock(b.call(), "next"));
  assert.deepEqual([fault.kind, fault.hint], ["refused", "isconf up"], fault.message);
  await checkIn(c);
  await d.start();
  await a.start();
  await allSame(hosts, 4);
  await until("hostd knows its own", () => d.agent.host.wip.count() === 0);
  const { entry } = readEntry(b.agent.host.journal.at("main", 3)!.entry);
  assert.equal(Buffer.from(entry.origin).toString("hex"), idOf(d));
});

test("etcd's answers are lost: what was decided is known again, and nothing is decided twice", async (t) => {
  const watched = new Watched(new MemoryCells());
  const hosts = await fleet(t, watched);
  const [, b, c, d] = hosts;
  const loseOne = () => {
    let isLost = false;
    watched.done = () => isLost ? Promise.resolve() : (isLost = true, Promise.reject(lost()));
  };
  loseOne();
  const { term } = await d.acts.locks.lock(d.call(), "why"); // the second keeper is asked for the same
  await run(d, ["/bin/true"]);
  loseOne();
  await d.acts.checkin.ci(d.call());
  await allSame(hosts, 1);
  watched.done = () => Promise.reject(lost()); // nobody hears anything
  await b.acts.apply.up(b.call(), UP);
  const fault = await faultOf(() => b.acts.locks.lock(b.call(), "unheard"));
  assert.deepEqual([fault.kind, fault.message], ["noQuorum", "etcd does not answer: lost"]);
  watched.done = () => Promise.resolve();
  await c.acts.apply.up(c.call(), UP);
  assert.match((await faultOf(() => c.acts.locks.lock(c.call(), "x"))).message, /locked by root@hostb/);
  const again = await b.acts.locks.lock(b.call(), "heard");
  assert.equal(again.term, term + 1);
  await run(b, ["/bin/true"]);
  watched.done = (ends) => ends === "main" ? Promise.reject(lost()) : Promise.resolve();
  await b.acts.checkin.ci(b.call()).catch((e) => assert.equal(Fault.from("test", e).kind, "noQuorum"));
  watched.done = () => Promise.resolve();
  await b.acts.checkin.ci(b.call()).catch((e) =>
    assert.match(Fault.from("test", e).message, /is not locked|nothing to check in/)
  );
  await allSame(hosts, 2);
  await until("it is work no more", () => b.agent.host.wip.count() === 0);
});

test("an etcd that has forgotten, or is another one: nothing is decided, all else goes on", async (t) => {
  const cells = new MemoryCells();
  const hosts = await fleet(t, cells, NAMES.slice(0, 3));
  const [a, b, c] = hosts;
  await checkIn(a);
  await allSame(hosts, 1);
  await b.acts.apply.up(b.call(), UP);
  const now = cells.snapshot();
  cells.restore([]);
  for (const host of hosts) {
    const fault = await faultOf(() => host.acts.locks.lock(host.call(), "why"));
    assert.equal(fault.kind, "refused");
    assert.match(fault.message, /etcd knows nothing of @domain: nothing is decided until that is mended/);
    const grant = { person: "root@hostc", role: "publish", branch: "main" };
    assert.equal((await faultOf(() => host.acts.roles.grant(host.call(), grant))).kind, "refused");
    const up = () => host.acts.apply.up(host.call(), UP);
    if (host !== c) assert.equal((await up()).at, 1);
    else {assert.equal(
        (await faultOf(up)).kind,
        "refused",
        "the first entry is applied on a keeper's word only",
      );}
  }
  assert.deepEqual(cells.snapshot(), [], "nobody begins anew by himself");
  const found = async () => (await MESH_CHECKS["register"]!(c.call()))?.text ?? "";
  assert.match(await found(), /^etcd decides, and cannot: .*etcd knows nothing of @domain/);
  cells.restore(now);
  assert.equal(await found(), "");
  await checkIn(b);
  await allSame([a, b, c], 2);
});

test("two etcds that each believe to be the one: two entries are certified for one place, found, and the branch freezes", async (t) => {
  const cells = new MemoryCells();
  const hosts = await fleet(t, cells, NAMES.slice(0, 3));
  const [a, b, c] = hosts;
  const other = new MemoryCells();
  other.restore(cells.snapshot());
  await Promise.all([a.stop(), c.stop()]);
  await b.restart({ cells: other });
  await checkIn(b, ["/bin/echo", "b"]);
  await b.stop();
  await Promise.all([a.start(), c.start()]);
  await checkIn(a, ["/bin/echo", "a"]);
  await b.start();
  await until(
    "all know",
    () => hosts.every((host) => host.agent.host.journal.forkOf("main") !== undefined),
    60_000,
  );
  for (const host of hosts) {
    assert.equal((await faultOf(() => host.acts.locks.lock(host.call(), "why"))).kind, "forked");
  }
  const keep = Buffer.from(a.agent.host.journal.at("main", 1)!.id).toString("hex");
  const plan = await a.acts.recovery.resolve(a.call(), { branch: "main", keep, yes: false });
  assert.equal(plan.quorum, 2, "the keepers decide then");
});

test("an etcd that lies: stands, claims and entries that are wrong are refused, and change nothing here", async (t) => {
  const cells = new MemoryCells();
  const hosts = await fleet(t, cells, NAMES.slice(0, 3));
  const [a, b] = hosts;
  await checkIn(b);
  await allSame(hosts, 1);
  await a.acts.apply.up(a.call(), UP);
  const { term } = await b.acts.locks.lock(b.call(), "mine");
  const { host } = a.agent;
  const policy = host.journal.needPolicy("test");
  const names = Names.of(policy)!;
  const main = names.stand("main");
  const good = cells.snapshot();
  const [cell] = await cells.read([main]);
  const stand = readStand(cell!);
  const claim = (
    what: "lock" | "unlock",
    after: number,
    key = personPair(host, a.call().actor),
    branch = "main",
  ) =>
    sealClaim(
      { what, host: new Uint8Array(32), message: "", after, steal: false, seq: 1, id: stand.id },
      policy.domain,
      branch,
      key,
    );
  const changed = (change: Partial<Stand>) => writeStand({ ...stand, ...change });
  const flipped = stand.claim!.slice();
  flipped[flipped.length - 1]! ^= 1;
  const lies: [string, Uint8Array][] = [
    ["no CBOR", new Uint8Array([0xff, 1, 2])],
    ["nothing", new Uint8Array(0)],
    ["something else", encode([1, 2])],
    ["a field more", encode({ ...decode(cell!.bytes) as Record<string, never>, more: 1 })],
    ["without end", new Uint8Array(1_000_000)],
    ["parts without end", changed({ parts: 1_000_000 })],
    ["a claim that nobody signed", changed({ claim: flipped })],
    ["a claim for another term", changed({ term: term + 1 })],
    ["a claim for another branch", changed({ claim: claim("lock", term - 1, undefined, "other") })],
    ["a claim by a stranger", changed({ claim: claim("lock", term - 1, generateKeyPair(systemClock)) })],
    ["the word that it was given back as a claim", changed({ claim: claim("unlock", term - 1) })],
    ["the end before", changed({ seq: 0, id: new Uint8Array(0) })],
    ["another entry", changed({ id: new Uint8Array(32) })],
    ["an entry that is nowhere", changed({ seq: 2, from: 2, parts: 1, id: new Uint8Array(32) })],
  ];
  const all = (h: TestHost) =>
    JSON.stringify([seqOf(h), seqOf(h, "@domain"), h.agent.host.keeper.holder("main")]);
  const before = all(a);
  for (const [what, bytes] of lies) {
    await cells.swap([], [[main, bytes]], []);
    const fault = await faultOf(() => host.keepers.look("look", policy, "main"));
    assert.ok(
      ["corrupt", "refused", "noQuorum", "denied"].includes(fault.kind),
      `${what}: ${fault.kind} ${fault.message}`,
    );
    assert.equal(all(a), before, what);
    cells.restore(good);
  }
  assert.equal((await host.keepers.look("look", policy, "main")).lock?.term, term);
  // Entries that were decided, and are not what was signed.
  const watched = new Watched(cells);
  await giveCells(hosts, b, watched);
  await run(b, ["/bin/true"]);
  let goOn = () => {};
  watched.done = (ends) => ends === "main" ? new Promise((resolve) => goOn = resolve) : Promise.resolve();
  const ci = b.acts.checkin.ci(b.call());
  await until("it is decided", async () => readStand((await cells.read([main]))[0]!).seq === 2);
  const decided = cells.snapshot();
  const batch = names.batch("main", readStand((await cells.read([main]))[0]!).id);
  for (const part of await cells.read([batch])) {
    for (let at = 0; at < part.bytes.length; at += Math.ceil(part.bytes.length / 40)) {
      const bytes = part.bytes.slice();
      bytes[at]! ^= 0x10;
      await cells.swap([], [[part.name, bytes]], []);
      await host.keepers.look("look", policy, "main").catch((e) => {
        assert.ok(
          ["corrupt", "refused", "denied"].includes(Fault.from("test", e).kind),
          `${part.name} ${at}: ${e}`,
        );
      });
      if (seqOf(a) > 1) break; // only the term of a sole keeper's vote, which binds nobody, may differ
      cells.restore(decided);
    }
  }
  cells.restore(decided);
  await host.keepers.look("look", policy, "main");
  goOn(); // it had been slow
  await ci;
  await allSame(hosts, 2);
});

test("keepers come and go where an etcd decides; a keeper that knows of no etcd is passed over", async (t) => {
  const hosts = await fleet(t, new MemoryCells());
  const [a, b, c, d] = hosts;
  await checkIn(d);
  await allSame(hosts, 1);
  await c.acts.keepers.change(c.call(), { add: ["hostd"], remove: ["hosta", "hostb"] });
  await allKnow(hosts, "@domain");
  await Promise.all([a.stop(), b.stop()]);
  await c.restart({ cells: new NoCells() });
  await until("c and d are connected", () => c.agent.host.mesh.peers().length === 1);
  await checkIn(c);
  assert.deepEqual(votesAt(c, 2), [idOf(d)]);
  await d.stop();
  const fault = await faultOf(() => c.acts.locks.lock(c.call(), "why"));
  assert.equal(fault.kind, "noQuorum");
  assert.match(fault.hint, /register = https/);
  await d.start();
  await Promise.all([a.start(), b.start()]);
  await allConnected(hosts);
  await checkIn(a);
  await allSame(hosts, 3);
});

test("a branch that is made while an etcd decides goes its own way there", async (t) => {
  const hosts = await fleet(t, new MemoryCells(), NAMES.slice(0, 3));
  const [a, b, c] = hosts;
  await checkIn(a);
  await allSame(hosts, 1);
  await b.acts.apply.up(b.call(), UP);
  await b.acts.domain.fork(b.call(), "other");
  await allKnow(hosts, "@domain");
  await b.acts.domain.migrate(b.call(), "other");
  const both = await Promise.allSettled([checkIn(b, ["/bin/echo", "b"]), checkIn(c, ["/bin/echo", "c"])]);
  assert.deepEqual(both.map(({ status }) => status), ["fulfilled", "fulfilled"]);
  await until("all have both", () => hosts.every((h) => seqOf(h, "other") === 2 && seqOf(h) === 2));
});

/** Lets no other host hear what a host asks of keepers by this name. */
function deaf(host: TestHost, what: string): () => void {
  const { mesh } = host.agent.host;
  const ask = mesh.ask;
  mesh.ask = (to, method, value, waitMs) => {
    const said = method === "keeper" && decode(open1((value as [string, Uint8Array])[1]).payload);
    const isDropped = said && (said as unknown as { body: { what: string } }).body.what === what;
    return isDropped ? Promise.reject(lost()) : ask.call(mesh, to, method, value, waitMs);
  };
  return () => mesh.ask = ask;
}

test("etcd has decided that keepers decide again, and too few of them have heard: whoever wants it next finishes that", async (t) => {
  const hosts = await fleet(t, new MemoryCells(), NAMES.slice(0, 3));
  const [a, b, c] = hosts;
  await checkIn(b);
  await allSame(hosts, 1);
  const hear = deaf(a, "certify");
  const fault = await faultOf(() => a.acts.keepers.change(a.call(), { register: "keepers" }));
  assert.equal(fault.kind, "noQuorum");
  hear();
  for (const host of hosts) {
    assert.notEqual(host.agent.host.journal.needPolicy("test").keepers.etcd, undefined);
    await host.acts.apply.up(host.call(), UP);
    assert.match(
      (await faultOf(() => host.acts.locks.lock(host.call(), "x", true))).message,
      /keepers are being changed/,
    );
  }
  const grant = { person: "root@hostc", role: "publish", branch: "main" };
  assert.match((await faultOf(() => c.acts.roles.grant(c.call(), grant))).message, /being changed/);
  await a.stop();
  assert.equal((await b.acts.keepers.change(b.call(), { register: "keepers" })).register, "keepers");
  await checkIn(c);
  await a.start();
  await allConnected(hosts);
  await checkIn(a);
  await allSame(hosts, 3);
});

test("an etcd that does not answer is not put in charge, and nothing stands still for it", async (t) => {
  const hosts = await fleet(t, new MemoryCells(), NAMES.slice(0, 3));
  const [a, b, c] = hosts;
  await a.acts.keepers.change(a.call(), { register: "keepers" });
  await allKnow(hosts, "@domain");
  await giveCells(hosts, b, new NoCells());
  assert.equal((await faultOf(() => b.acts.keepers.change(b.call(), { register: "etcd" }))).kind, "noQuorum");
  await checkIn(c);
  // Of three keepers two can ask it: they are enough to put it in charge again, which begins where the keepers ended.
  await a.acts.keepers.change(a.call(), { register: "etcd" });
  await allKnow(hosts, "@domain");
  await checkIn(b);
  await allSame(hosts, 2);
});
