// copies: each named content is on as many hosts as its name wants, and is dropped only where enough others keep it.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fs from "node:fs";
import * as path from "node:path";
import { putFile } from "../fs/mod.ts";
import { joinDomain, makeDomain, makeHost, MESHED, type TestHost, until, UP } from "../tests/world.ts";
import { keepersOf } from "./copies.ts";
import { readEntry } from "./entry.ts";
import { hostId, personPair } from "./host.ts";
import { rootsOf } from "./sharing.ts";
import { gc, rootsKept } from "./upkeep.ts";

const bytes = (text: string) => new TextEncoder().encode(text.repeat(2000));

/** Puts a content into a host's store; its id. */
async function put(host: TestHost, what: string): Promise<string> {
  const source = (async function* () {
    yield await Promise.resolve(bytes(what));
  })();
  return (await putFile(host.agent.host.store, source)).id;
}

/** Puts a content on a host's shelf and names it; its id. */
async function name(host: TestHost, what: string, copies: number): Promise<string> {
  const id = await put(host, what);
  await host.agent.host.shelf.add({ id, label: what, uid: 0, pinned: false });
  await host.acts.naming.setName(host.call(), { name: `x/${what}`, what: id, copies });
  return id;
}

/** Names a content on `host` that `keeper` is to keep, alone among these hosts; its id. No other is named meanwhile. */
async function nameKeptBy(keeper: TestHost, among: TestHost[], host: TestHost): Promise<string> {
  for (let i = 0;; i++) {
    const [kept] = keepersOf(await put(host, `n${i}`), 1, among.map(idOf));
    if (kept === idOf(keeper)) return await name(host, `n${i}`, 1);
  }
}

/** Work on a file of its own, too large to stand inside its tree; not checked in yet. */
async function work(host: TestHost, what: string): Promise<void> {
  const file = path.join(host.dir, what.replaceAll(" ", "-"));
  fs.writeFileSync(file, bytes(what));
  await host.acts.locks.lock(host.call(), what);
  await host.acts.work.snap(host.call(), file, false);
}

/** What the newest entry of main needs. */
const needed = ({ agent: { host } }: TestHost): string =>
  rootsOf(readEntry(host.journal.at("main", host.journal.head("main").seq)!.entry).entry)[0]!;

const has = async (host: TestHost, id: string) => (await host.agent.host.store.whole([id], "us")).length > 0;
const idOf = (host: TestHost) => hostId(host.agent.host);

test("every host works out the same keepers, each about as often, and a host that goes moves no others", () => {
  const hosts = Array.from({ length: 5 }, (_, i) => String(i).repeat(64));
  const roots = Array.from({ length: 500 }, (_, i) => i.toString(16).padStart(64, "0"));
  const counts = new Map<string, number>();
  for (const root of roots) {
    const keepers = keepersOf(root, 2, hosts);
    assert.deepEqual(keepersOf(root, 2, [...hosts].reverse()), keepers);
    assert.equal(new Set(keepers).size, 2);
    for (const host of keepers) counts.set(host, (counts.get(host) ?? 0) + 1);
    const left = keepersOf(root, 2, hosts.filter((host) => host !== hosts[0]));
    if (!keepers.includes(hosts[0]!)) assert.deepEqual(left, keepers);
    else assert.ok(left.includes(keepers.find((host) => host !== hosts[0])!));
  }
  for (const count of counts.values()) assert.ok(count > 140 && count < 260, `${count}`);
  assert.deepEqual(keepersOf(roots[0]!, 9, hosts).length, 5);
});

test("a named content comes to those who are to keep it, and only they keep it", async (t) => {
  const hosts = await makeDomain(t, ["hosta", "hostb", "hostc"]) as [TestHost, TestHost, TestHost];
  const [a] = hosts;
  await until("they are connected", () => hosts.every((h) => h.agent.host.mesh.peers().length === 2));
  personPair(a.agent.host, a.call().actor);
  for (const [what, copies] of [["one", 1], ["two", 2], ["all", 3]] as const) {
    const id = await name(a, what, copies);
    const keepers = keepersOf(id, copies, hosts.map(idOf));
    const those = hosts.filter((h) => keepers.includes(idOf(h)));
    await until(
      `${what} has come`,
      async () => (await Promise.all(those.map((h) => has(h, id)))).every(Boolean),
    );
    const { hosts: lines } = await a.acts.copies.copies(a.call(), id);
    assert.deepEqual(lines.filter(({ keeps }) => keeps).length, copies);
    // Who is no keeper drops it when it is off the shelf and the keepers say that they have it.
    for (const host of hosts) {
      await host.agent.host.shelf.remove(id);
      await gc(host.call(), { dryRun: false });
      assert.equal(await has(host, id), keepers.includes(idOf(host)), what);
    }
  }
});

test("what is about to be dropped is promised to nobody, though this host has become its keeper meanwhile", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await until("they are connected", () => a.agent.host.mesh.peers().length === 1);
  const { copies, names, store } = a.agent.host;
  const id = await nameKeptBy(b, [a, b], a);
  await until("it has come", () => has(b, id));
  const promised = async () => (await copies.answer([id]) as [string[], string[]])[1];
  const stays = async (id: string) => (await rootsKept(a.agent.host)).includes(id);
  const roots = names.roots.bind(names), root = names.root.bind(names);
  assert.ok(await stays(id));
  await copies.dropping(async () => {
    assert.deepEqual([await stays(id), await has(a, id)], [false, true]);
    const later = await name(a, "later", 1);
    assert.ok(await stays(later));
    const wanted = { copies: 2 };
    Object.assign(names, {
      roots: () => roots().map((root) => ({ ...root, ...wanted })),
      root: (id: string) => ({ ...root(id), ...wanted }),
    });
    assert.deepEqual(await promised(), []);
  });
  assert.ok(await stays(id));
  assert.deepEqual(await promised(), [id]);
  assert.deepEqual(await store.whole([id], "peers"), [id]);
});

test("what nobody else keeps stays, whoever should", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await until("they are connected", () => a.agent.host.mesh.peers().length === 1);
  await b.stop();
  const id = await nameKeptBy(b, [a, b], a);
  await a.agent.host.shelf.remove(id);
  await gc(a.call(), { dryRun: false });
  assert.equal(await has(a, id), true, "the last copy is gone");
});

test("fsck misses nothing on a host that need not have it", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await until("they are connected", () => a.agent.host.mesh.peers().length === 1);
  const id = await nameKeptBy(a, [a, b], a);
  await until("b knows the name", () => b.agent.host.names.root(id) !== undefined);
  await work(a, "not applied there yet");
  await a.acts.checkin.ci(a.call());
  await until("b has heard of the entry", () => b.agent.host.journal.head("main").seq === 1);
  assert.deepEqual((await b.agent.host.store.fsck("structure")).missing, []);
  await a.agent.host.store.drop([id]);
  assert.deepEqual((await a.agent.host.store.fsck("structure")).missing.map((m) => m.id), [id]);
});

test("with journal_copies contents of applied entries stay on so many hosts of the branch", async (t) => {
  const conf = `${MESHED}journal_copies = 1\n`;
  const hosts = await makeDomain(t, ["hosta", "hostb", "hostc"], { conf }) as [TestHost, TestHost, TestHost];
  await until("they are connected", () => hosts.every((h) => h.agent.host.mesh.peers().length === 2));
  await work(hosts[0], "everywhere");
  await hosts[0].acts.checkin.ci(hosts[0].call());
  const id = needed(hosts[0]);
  for (const host of hosts) await host.acts.apply.up(host.call(), UP);
  for (const host of hosts) await host.agent.host.reports.gather();
  assert.deepEqual(await Promise.all(hosts.map((h) => has(h, id))), [true, true, true]);
  for (const host of hosts) await gc(host.call(), { dryRun: false });
  const keeper = keepersOf(id, 1, hosts.map(idOf))[0];
  for (const host of hosts) {
    assert.equal(await has(host, id), idOf(host) === keeper, "one host keeps it");
    assert.deepEqual((await host.agent.host.store.fsck("structure")).missing, []);
  }
  // A host that is made now gets it from there.
  const late = await makeHost(t, { conf });
  await joinDomain(hosts[0], late, "hostd");
  await until("it is connected", () => late.agent.host.mesh.peers().length === 3);
  await late.acts.apply.up(late.call(), UP);
  assert.equal(late.agent.host.history.applied(), 1);
});

test("contents of work that is not checked in stay, and of entries that are still to be applied", async (t) => {
  const conf = `${MESHED}journal_copies = 1\n`;
  const [a, b] = await makeDomain(t, ["hosta", "hostb"], { conf }) as [TestHost, TestHost];
  await until("they are connected", () => a.agent.host.mesh.peers().length === 1);
  await work(a, "some work");
  await gc(a.call(), { dryRun: false });
  await a.acts.checkin.ci(a.call());
  const id = needed(a);
  await until("b has heard of the entry", () => b.agent.host.journal.head("main").seq === 1);
  await b.agent.host.store.fetch([id]);
  await b.agent.host.reports.gather();
  await gc(b.call(), { dryRun: false });
  assert.equal(await has(b, id), true);
});
