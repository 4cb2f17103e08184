// fetch: what comes, from whom, and how often it is asked for, when all is well. When it is not: fetch_fault_test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture } from "./capture.ts";
import { fixedCutter } from "./cutter.ts";
import { idsOf, shareFile, type TestHost, TestNet, uplink } from "./fetch_fixture.ts";
import { sh, testIn } from "./fixture.ts";
import { restore } from "./restore.ts";
import type { Id } from "./store.ts";
import type { Fetched } from "./walk.ts";

/** Hosts of these names. */
async function hosts(...names: string[]): Promise<{ net: TestNet; hosts: TestHost[] }> {
  const net = new TestNet(names);
  return { net, hosts: await Promise.all(names.map((name) => net.host(name))) };
}

async function assertHas(host: TestHost, ids: Id[]): Promise<void> {
  assert.deepEqual(await host.store.missing(ids), []);
  assert.deepEqual(await host.store.shared.have(ids), ids);
}

test("a file comes whole, each object asked for once, and is shared then", async () => {
  const { net, hosts: [a, b] } = await hosts("a", "b");
  const file = await shareFile(a!.store, 200);
  const { value } = await net.outcome(b!.fetcher.fetch([file.id]));
  const ids = await idsOf(a!.store, file.id);
  await assertHas(b!, ids);
  assert.deepEqual([...a!.asked.values()], ids.map(() => 1));
  assert.equal(value.objects, ids.length);
  assert.deepEqual(value.peers, new Map([["a", value.bytes]]));
  assert.equal(net.clock.pending, 0);
});

test("a file of more parts than a manifest holds comes whole", async () => {
  const { net, hosts: [a, b] } = await hosts("a", "b");
  const file = await shareFile(a!.store, 20_000, 4);
  await net.outcome(b!.fetcher.fetch([file.id]));
  const ids = await idsOf(b!.store, file.id);
  assert.equal(ids.length, 20_000 + 4);
});

testIn("a tree comes whole and can be restored", async (dir) => {
  sh(
    dir,
    "mkdir -p t/{a,b,c}/d/e; for i in $(seq 300); do echo $i > t/a/d/$i; head -c 9000 /dev/urandom > t/b/d/e/$i; done; ln -s x t/c/l",
  );
  const { net, hosts: [a, b] } = await hosts("a", "b");
  const { id } = await capture(a!.store, `${dir}/t`, { cutter: fixedCutter(4000) });
  await a!.store.share(id);
  await net.outcome(b!.fetcher.fetch([id]));
  await restore(b!.store, id, `${dir}/t2`);
  assert.equal(sh(dir, "diff -r --no-dereference t t2 && echo same"), "same\n");
});

test("of a root some objects come alone, with nothing that they name; all of it comes later", async () => {
  const { net, hosts: [a, b] } = await hosts("a", "b");
  const file = await shareFile(a!.store, 200);
  const ids = await idsOf(a!.store, file.id);
  const only = [ids[0]!, ids[7]!];
  const { value } = await net.outcome(b!.fetcher.fetch([file.id], { only }));
  assert.equal(value.objects, 2);
  assert.deepEqual(await b!.store.missing(ids), ids.filter((id) => !only.includes(id)));
  assert.equal((await net.outcome(b!.fetcher.fetch([file.id], { only }))).value.objects, 0);
  await net.outcome(b!.fetcher.fetch([file.id]));
  await assertHas(b!, ids);
  assert.deepEqual([...a!.asked.values()], ids.map(() => 1));
});

test("how much has come is told after each batch, and of how much in all", async () => {
  const { net, hosts: [a, b] } = await hosts("a", "b");
  const file = await shareFile(a!.store, 2000, 5000);
  const ids = await idsOf(a!.store, file.id);
  const here = await a!.store.get(ids.slice(50, 60));
  await b!.store.putShared(new Map(here.map((bytes, i) => [ids[50 + i]!, bytes])));
  const told: { bytes: number; of: number | undefined }[] = [];
  const progress = ({ bytes, of }: Fetched) => told.push({ bytes, of });
  const { value } = await net.outcome(b!.fetcher.fetch([file.id], { progress }));
  assert.ok(told.length > 2, `${told.length} times`);
  const known = told.filter(({ of }) => of !== undefined);
  assert.ok(
    known.length > told.length / 2 && known.every(({ of }) => of === value.bytes),
    JSON.stringify(told),
  );
  assert.deepEqual(told.at(-1), { bytes: value.bytes, of: value.bytes });
  assert.deepEqual(told.map(({ bytes }) => bytes), told.map(({ bytes }) => bytes).sort((x, y) => x - y));
});

test("what is only its host's does not come", async () => {
  const { net, hosts: [a, b] } = await hosts("a", "b");
  const file = await shareFile(a!.store, 3);
  const [mine] = await a!.store.put([new Uint8Array([1])]);
  await net.outcome(b!.fetcher.fetch([file.id]));
  await assert.rejects(net.outcome(b!.fetcher.fetch([mine!])), { kind: "notFound" });
});

test("what is here is not asked for; nothing missing asks nobody", async () => {
  const { net, hosts: [a, b] } = await hosts("a", "b");
  const file = await shareFile(a!.store, 50);
  const ids = await idsOf(a!.store, file.id);
  await b!.store.put(await a!.store.get(ids.slice(0, 20)));
  await net.outcome(b!.fetcher.fetch([file.id]));
  assert.deepEqual(new Set(a!.asked.keys()), new Set(ids.slice(20)));
  a!.asked.clear();
  const { value, ms } = await net.outcome(b!.fetcher.fetch([file.id, file.id]));
  assert.deepEqual([value.objects, a!.asked.size], [0, 0]);
  assert.ok(ms < 10, `${ms}`);
});

test("two fetches of one root share the work, and both are told", async () => {
  const { net, hosts: [a, b] } = await hosts("a", "b");
  const file = await shareFile(a!.store, 300);
  const other = await shareFile(a!.store, 400);
  const ids = await idsOf(a!.store, other.id);
  const [first, second] = (await net.outcome(
    Promise.all([b!.fetcher.fetch([file.id]), b!.fetcher.fetch([other.id, file.id])]),
  )).value;
  await assertHas(b!, ids);
  assert.deepEqual(new Set(a!.asked.values()), new Set([1]));
  assert.deepEqual([first!.objects, second!.objects], [301, 402]);
});

test("what one fetch gives up, another that wants it too still gets", async () => {
  const { net, hosts: [a, b] } = await hosts("a", "b");
  const file = await shareFile(a!.store, 300, 100_000);
  const stop = new AbortController();
  const broken = assert.rejects(b!.fetcher.fetch([file.id], { signal: stop.signal }), { kind: "gone" });
  const whole = b!.fetcher.fetch([file.id], { progress: () => stop.abort() });
  await net.outcome(Promise.all([broken, whole]));
  await assertHas(b!, await idsOf(a!.store, file.id));
  assert.equal(net.clock.pending, 0);
});

test("a peer that has only a part is asked what it has, and for little else", async () => {
  const { net, hosts: [a, b, c] } = await hosts("a", "b", "c");
  const file = await shareFile(c!.store, 300, 10_000);
  const ids = await idsOf(c!.store, file.id);
  await a!.store.putShared(new Map(ids.slice(0, 150).map((id) => [id, c!.store.objects.get(id)!])));
  await net.outcome(b!.fetcher.fetch([file.id]));
  await assertHas(b!, ids);
  const inVain = [...a!.asked.keys()].filter((id) => !ids.slice(0, 150).includes(id));
  assert.ok(inVain.length <= 105, `asked for ${inVain.length} that it does not have`);
});

test("three hosts that fetch from one trade what they have: it sends little more than one copy", async () => {
  const net = new TestNet(["a", "b", "c", "d"]);
  const [a, ...others] = await Promise.all(
    net.names.map((name) => net.host(name, { tamper: uplink(net.clock, 20_000) })),
  );
  const file = await shareFile(a!.store, 250, 100_000);
  const ids = await idsOf(a!.store, file.id);
  const { ms } = await net.outcome(Promise.all(others.map((host) => host.fetcher.fetch([file.id]))));
  for (const host of others) await assertHas(host, ids);
  const sent = [...a!.asked.values()].reduce((sum, count) => sum + count, 0);
  assert.ok(sent < 1.6 * ids.length, `it was asked for ${sent} objects of ${ids.length}`);
  const aloneMs = 250 * 100_000 / 20_000;
  assert.ok(ms < 1.8 * aloneMs, `${ms} ms for three; one copy takes ${aloneMs}`);
});
