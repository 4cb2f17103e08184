// seam: a compromised net half says what it likes; the root half believes hashes and nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cbor, Fault, sha256, systemClock, toHex } from "../mq/mod.ts";
import { faultOf, makeFirstHost, makeHost } from "../tests/world.ts";
import { type Ask, askSeam, REQUESTS, SeamShelf, SeamStore, serveSeam, storeAnswers } from "./seam.ts";
import { duplexPair } from "node:stream";
import { MemoryStore } from "../fs/mod.ts";

const bytes = new TextEncoder().encode("an object");
const id = toHex(sha256(bytes));
const lying = (answer: Cbor): Ask => () => Promise.resolve(answer);

test("other bytes for an id, too many, too few or none at all are refused", async () => {
  for (
    const answer of [[new TextEncoder().encode("other")], [bytes, bytes], [], null, "x", [1], {
      a: 1,
    }] as Cbor[]
  ) {
    const fault = await faultOf(() => new SeamStore(lying(answer)).get([id]));
    assert.equal(fault.kind, "corrupt", JSON.stringify(answer));
  }
  assert.deepEqual(await new SeamStore(lying([bytes])).get([id]), [bytes]);
});

test("a store that claims to have kept something else, or says that strange things are missing, is refused", async () => {
  for (const answer of [["0".repeat(64)], [], [id, id], null, ["x"]] as Cbor[]) {
    assert.equal((await faultOf(() => new SeamStore(lying(answer)).put([bytes]))).kind, "corrupt");
  }
  assert.deepEqual(
    await new SeamStore(lying(["0".repeat(64)])).missing([id]),
    [],
    "only what was asked about can be missing",
  );
});

test("a shelf that answers nonsense is refused", async () => {
  for (const answer of [null, {}, [{}], [{ id: "x", kind: "file", sha256: "", label: "" }]] as Cbor[]) {
    assert.equal((await faultOf(() => new SeamShelf(lying(answer)).list())).kind, "corrupt");
  }
});

test("requests that the table does not have, and arguments of the wrong form, are refused and the seam goes on", async () => {
  const [root, net] = duplexPair();
  const store = new MemoryStore();
  const shelf = {
    add: () => Promise.resolve(),
    list: () => Promise.resolve([]),
    find: () => Promise.resolve(undefined),
  };
  const served = serveSeam(net, systemClock, storeAnswers(store, shelf, () => {}));
  const ask = askSeam(root, systemClock);
  for (const name of ["sign", "exec", "constructor", "__proto__", ""]) {
    assert.equal((await faultOf(() => ask(name as never, null))).kind, "usage", name);
  }
  for (const request of ["missing", "get", "put"] as const) {
    for (const value of [null, "x", [1], ["x"], { a: 1 }] as Cbor[]) {
      assert.equal((await faultOf(() => ask(request, value))).kind, "corrupt", request);
    }
  }
  assert.deepEqual(await ask("put", [bytes]), [id]);
  assert.equal(REQUESTS.length, 7);
  root.end();
  await served;
});

test("garbage from the net half ends the seam with a fault for everybody who waits, and for those who come later", async () => {
  for (
    const garbage of [[9, 9, 9, 9, 9, 9, 9, 9], [1, 2, 0, 0, 255, 255, 255, 255], [
      1,
      2,
      0,
      0,
      0,
      0,
      0,
      1,
      0xff,
    ]]
  ) {
    const [root, net] = duplexPair();
    const ask = askSeam(root, systemClock);
    const waiting = faultOf(() => ask("missing", []));
    net.write(Buffer.from(garbage));
    assert.equal((await waiting).kind, "gone");
    assert.equal((await faultOf(() => ask("missing", []))).kind, "gone");
  }
});

test("when the net half is gone, verbs that need contents say so, and the journal can still be read", async (t) => {
  const host = await makeFirstHost(t);
  const dead = () =>
    Promise.reject(new Fault("seam", "gone", "the net half is not running", { hint: "isconf restart" }));
  (host.agent.host as { store: unknown }).store = new SeamStore(dead);
  host.acts.locks.lock(host.call(), "why");
  assert.equal((await faultOf(() => host.acts.work.snap(host.call(), "/etc/hostname", false))).exit, 104);
  assert.equal(host.agent.host.wip.count(), 0);
  assert.equal((await host.acts.report.verify(host.call(), {})).entries, 1);
});

test("a second agent on the same home is refused, and the first goes on", async (t) => {
  const host = await makeHost(t);
  const { startAgent, openSeamInside } = await import("./mod.ts");
  const openSeam = () => Promise.resolve(openSeamInside(`${host.dir}/other`, systemClock));
  const fault = await faultOf(() => startAgent(host.home, { clock: systemClock, openSeam, log: () => {} }));
  assert.equal(fault.exit, 1);
  assert.equal(host.acts.report.status(host.call()).state, "no domain");
});
