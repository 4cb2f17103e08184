// copies: each named content is on as many hosts as its name wants, and is dropped only where enough others keep it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeDomain, type TestHost, until } from "../tests/world.ts";
import { keepersOf } from "./copies.ts";
import { hostId, personPair } from "./host.ts";
import { gc } from "./upkeep.ts";

const bytes = (text: string) => new TextEncoder().encode(text.repeat(2000));

/** Puts a content on a host's shelf and names it; its id. */
async function name(host: TestHost, what: string, copies: number): Promise<string> {
  const { store, shelf } = host.agent.host;
  const { putFile } = await import("../fs/mod.ts");
  const { id } = await putFile(
    store,
    (async function* () {
      yield await Promise.resolve(bytes(what));
    })(),
  );
  await shelf.add({ id, label: what, uid: 0, pinned: false });
  await host.acts.naming.setName(host.call(), { name: `x/${what}`, what: id, copies });
  return id;
}

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
  let id = "";
  for (let i = 0; id === "" || keepersOf(id, 1, [a, b].map(idOf))[0] !== idOf(b); i++) {
    id = await name(a, `x${i}`, 1);
  }
  await until("it has come", () => has(b, id));
  const promised = async () => (await copies.answer([id]) as [string[], string[]])[1];
  const roots = names.roots.bind(names), root = names.root.bind(names);
  assert.ok(copies.stay().includes(id));
  await copies.dropping(async () => {
    assert.deepEqual([copies.stay().includes(id), await has(a, id)], [false, true]);
    const later = await name(a, "later", 1);
    assert.ok(copies.stay().includes(later));
    const wanted = { copies: 2 };
    Object.assign(names, {
      roots: () => roots().map((root) => ({ ...root, ...wanted })),
      root: (id: string) => ({ ...root(id), ...wanted }),
    });
    assert.deepEqual(await promised(), []);
  });
  assert.ok(copies.stay().includes(id));
  assert.deepEqual(await promised(), [id]);
  assert.deepEqual(await store.whole([id], "peers"), [id]);
});

test("what nobody else keeps stays, whoever should", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await until("they are connected", () => a.agent.host.mesh.peers().length === 1);
  await b.stop();
  let id = "";
  for (let i = 0; id === "" || keepersOf(id, 1, [a, b].map(idOf))[0] !== idOf(b); i++) {
    id = await name(a, `y${i}`, 1);
  }
  await a.agent.host.shelf.remove(id);
  await gc(a.call(), { dryRun: false });
  assert.equal(await has(a, id), true, "the last copy is gone");
});
