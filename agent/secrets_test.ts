// secrets: read by the hosts of a branch and by nobody else, and nowhere in the clear.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { putFile, readFile, readManifest } from "../fs/mod.ts";
import { faultOf, makeDomain, type TestHost, until } from "../tests/world.ts";
import { keyId } from "../mq/mod.ts";
import { hostPair } from "./host.ts";
import { CONTROL } from "./names.ts";
import { openSecret, putSecret } from "./secrets.ts";

const PLAIN = "the password is hunter2, and nothing else in this world says so. ".repeat(40);

async function* bytes(text: string): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(new TextEncoder().encode(text));
}

const put = (host: TestHost, text = PLAIN) => putSecret(host.call(), bytes(text), { label: "secret" });

async function open(host: TestHost, id: string, uid?: number): Promise<string> {
  await host.agent.host.store.fetch([id]);
  const pieces: Uint8Array[] = [];
  for await (const piece of await openSecret(host.call(uid), id)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

const grant = (host: TestHost, to: string) =>
  host.acts.roles.grant(host.call(), { person: to, role: "secret", branch: "main" });

/** Every file below a directory that has these bytes in it. */
function filesWith(dir: string, what: string): string[] {
  return fs.readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => fs.readFileSync(file).includes(what));
}

test("the hosts of the branch open it, others do not, and nothing of it is anywhere in the clear", async (t) => {
  const hosts = await makeDomain(t, ["hosta", "hostb", "hostc"]) as [TestHost, TestHost, TestHost];
  const [a, b, c] = hosts;
  await until("they are connected", () => hosts.every((h) => h.agent.host.mesh.peers().length === 2));
  assert.equal((await faultOf(() => put(a))).kind, "refused", "nobody may read it");
  await grant(a, "hosta");
  await grant(a, "hostb");
  const { id, size } = await put(a);
  assert.ok(size > PLAIN.length);
  for (const host of [a, b]) assert.equal(await open(host, id), PLAIN);
  assert.equal((await faultOf(() => open(c, id))).kind, "denied");
  assert.equal((await faultOf(() => open(b, id, 4321))).kind, "denied");
  for (const host of hosts) {
    await host.stop();
    assert.deepEqual(filesWith(host.dir, "hunter2"), []);
    assert.deepEqual(host.logged.filter((line) => line.includes("hunter2")), []);
  }
});

test("sealed twice it is two things without a chunk in common, and lengths tell little", async (t) => {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  await grant(a, "hosta");
  const large = PLAIN.repeat(200);
  const [one, two] = [await put(a, large), await put(a, large)];
  const chunks = async (id: string) =>
    (await readManifest(a.agent.host.store, id)).parts.map(([chunk]) => chunk);
  const [first, second] = [await chunks(one.id), new Set(await chunks(two.id))];
  assert.ok(first.length > 2 && first.every((chunk) => !second.has(chunk)));
  assert.equal((await put(a, "x")).size, (await put(a, "x".repeat(100))).size);
});

test("what is no secret is said to be none; an evicted host gets no later ones", async (t) => {
  const hosts = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  const [a, b] = hosts;
  await until("they are connected", () => hosts.every((h) => h.agent.host.mesh.peers().length === 1));
  await grant(a, "hosta");
  await grant(a, "hostb");
  const before = await put(a);
  await b.agent.host.store.fetch([before.id]);
  await a.acts.roles.evict(a.call(), { host: "hostb", reason: "stolen" });
  const after = await put(a);
  const sealed: Uint8Array[] = [];
  for await (const piece of readFile(a.agent.host.store, after.id)) sealed.push(piece);
  const stanzas = Buffer.concat(sealed).toString("latin1").split("-> X25519").length - 1;
  assert.equal(stanzas, 1);
  const { id } = await putFile(a.agent.host.store, bytes(PLAIN));
  assert.equal((await faultOf(() => open(a, id))).kind, "corrupt");
});

test("a host with a new key opens what was sealed for the old one, also when the rotation was cut off", async (t) => {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  await grant(a, "hosta");
  const before = await put(a);
  for (let turn = 0; turn < 2; turn++) {
    const keys = path.join(a.home.state, "keys");
    // As after a crash between the two steps: the past key has its name already.
    const old = keyId(hostPair(a.agent.host).publicKey);
    fs.linkSync(path.join(keys, "host.key"), path.join(keys, `host.past-${old}.key`));
    await a.acts.roles.rotate(a.call(), "host");
    const after = await put(a);
    for (const { id } of [before, after]) assert.equal(await open(a, id), PLAIN);
    await a.restart();
    for (const { id } of [before, after]) assert.equal(await open(a, id), PLAIN);
    assert.notEqual(keyId(hostPair(a.agent.host).publicKey), old);
  }
  assert.equal(a.agent.host.keys.past("host").length, 2);
  for (const file of fs.readdirSync(path.join(a.home.state, "keys"))) {
    assert.equal(fs.statSync(path.join(a.home.state, "keys", file)).mode & 0o777, 0o600);
  }
});

test("a host that has heard of no quorum of keepers for long opens no secret: it may have been evicted", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await grant(a, "hostb");
  const { journal, heads } = b.agent.host;
  await until("b knows", () => journal.head(CONTROL).seq === a.agent.host.journal.head(CONTROL).seq);
  const { id } = await put(b);
  assert.equal(await open(b, id), PLAIN);
  await a.stop();
  await until("a is gone", () => b.agent.host.mesh.peers().length === 0);
  assert.equal(await open(b, id), PLAIN, "it has heard from a just now");
  const state = heads.state.bind(heads);
  heads.state = (branch) => ({ ...state(branch), isStale: true });
  const fault = await faultOf(() => open(b, id));
  assert.equal(fault.kind, "noQuorum");
  assert.match(fault.message, /no quorum of keepers was heard since .* may have been evicted/);
  heads.state = (branch) => ({ ...state(branch), control: journal.head(CONTROL).seq + 1 });
  assert.equal((await faultOf(() => open(b, id))).kind, "noQuorum", "there is something that it has not got");
});
