// seam: a compromised net half says what it likes; the root half believes hashes and nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Cbor,
  Fault,
  faultTextMax,
  pause,
  sha256,
  systemClock,
  toHex,
  VirtualClock,
} from "../mq/mod.ts";
import { faultOf, makeFirstHost, makeHost } from "../tests/world.ts";
import type { Surroundings } from "./daemon.ts";
import { rebuildPollMs, rebuildPollsMax, seamOpenBytesMax, seamOpenMax } from "./limits.ts";
import { openNet, openSeamInside } from "./net.ts";
import {
  type Answers,
  type Ask,
  NET_REQUESTS,
  type NetRequest,
  openSeam,
  ROOT_REQUESTS,
  type RootRequest,
} from "./seam.ts";
import { SeamShelf, SeamStore } from "./seam_store.ts";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { duplexPair } from "node:stream";

const NOTHING = Object.fromEntries(
  ROOT_REQUESTS.map((name) => [name, () => Promise.reject(new Error(`${name} is not answered here`))]),
) as unknown as Answers<RootRequest>;

const bytes = new TextEncoder().encode("an object");
const id = toHex(sha256(bytes));
const lying = (answer: Cbor): Ask<NetRequest> => () => Promise.resolve(answer);

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

test("a store that is made anew is waited for, but not for ever; the half that was told to go answers nothing", async (t) => {
  const gone = new Fault("seam", "gone", "the net half is gone", { hint: "isconf restart" });
  const clock = new VirtualClock(1);
  const rebuild = async (answersFrom: number) => {
    let asked = 0;
    const ask: Ask<NetRequest> = () => ++asked < answersFrom ? Promise.reject(gone) : Promise.resolve([]);
    const done = new SeamStore(ask).rebuild(clock).then(() => "back", ({ kind }: Fault) => kind);
    for (let i = 0; i <= rebuildPollsMax; i++) {
      await pause();
      await clock.advance(rebuildPollMs);
    }
    return [await done, asked];
  };
  assert.deepEqual(await rebuild(5), ["back", 5]);
  assert.deepEqual(await rebuild(Infinity), ["gone", 1 + rebuildPollsMax]);

  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-seam-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const { ask, close } = openSeamInside(dir, systemClock, NOTHING);
  assert.equal((await faultOf(() => ask("rebuild", null, Infinity))).kind, "gone");
  assert.equal((await faultOf(() => ask("missing", []))).kind, "gone");
  await close();
});

test("a shelf that answers nonsense is refused", async () => {
  const row = { id, kind: "file", sha256: "", label: "" };
  for (
    const answer of [[{ ...row, kind: 7 }], null, {}, [{}], [{
      id: "x",
      kind: "file",
      sha256: "",
      label: "",
    }]] as Cbor[]
  ) {
    assert.equal((await faultOf(() => new SeamShelf(lying(answer)).list())).kind, "corrupt");
  }
});

test("requests that the table does not have, and arguments of the wrong form, are refused and the seam goes on", async (t) => {
  const [root, inner] = duplexPair();
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-"));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const net = openNet(dir, {
    clock: systemClock,
    ask: () => Promise.reject(new Error("root is not asked")),
    stop: () => {},
    log: () => {},
  });
  const { ended } = openSeam(inner, systemClock, net.answers, "root");
  const { ask } = openSeam<RootRequest, NetRequest>(root, systemClock, NOTHING, "net");
  for (const name of ["sign", "exec", "constructor", "__proto__", ""]) {
    assert.equal((await faultOf(() => ask(name as never, null))).kind, "usage", name);
  }
  for (const request of ["missing", "get", "put"] as const) {
    for (const value of [null, "x", [1], ["x"], { a: 1 }] as Cbor[]) {
      assert.equal((await faultOf(() => ask(request, value))).kind, "corrupt", request);
    }
  }
  assert.deepEqual(await ask("put", [bytes]), [id]);
  assert.deepEqual([...NET_REQUESTS].sort(), Object.keys(net.answers).sort());
  assert.equal(ROOT_REQUESTS.length, 9);
  root.end();
  await ended;
  await net.close();
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
    const { ask } = openSeam<RootRequest, NetRequest>(root, systemClock, NOTHING, "the net half");
    const waiting = faultOf(() => ask("missing", []));
    net.write(Buffer.from(garbage));
    assert.equal((await waiting).kind, "gone");
    assert.equal((await faultOf(() => ask("missing", []))).kind, "gone");
    assert.ok(root.destroyed);
  }
});

test("a half that is asked more than it can hold says so, and tells what went wrong in bounded words", async () => {
  const [root, inner] = duplexPair();
  const text = "\ud800" + "x".repeat(1_000_000);
  const never = new Promise<Cbor>(() => {});
  const answers = {
    ...NOTHING,
    peer: () => never,
    meet: () => Promise.reject(new Fault("meet", "refused", text, { hint: `isconf ${text}` })),
  };
  openSeam(inner, systemClock, answers, "net");
  const { ask } = openSeam<RootRequest, RootRequest>(root, new VirtualClock(1), NOTHING, "root");
  const { message, hint } = await faultOf(() => ask("meet", null));
  assert.ok([message, hint].every((said) => said.length <= faultTextMax && said.isWellFormed()));
  for (let i = 0; i < seamOpenMax; i++) void ask("peer", null);
  assert.match((await faultOf(() => ask("peer", null))).message, /more than 1024 requests at once/);
});

test("a half that sends more than it can have under way is told so, however long the messages are", async () => {
  const [root, inner] = duplexPair();
  let begun = 0;
  const answers = { ...NOTHING, peer: () => new Promise<Cbor>(() => void begun++) };
  openSeam(root, systemClock, answers, "net");
  const { ask } = openSeam<NetRequest, RootRequest>(
    inner,
    systemClock,
    {} as Answers<NetRequest>,
    "root",
  );
  const long = new Uint8Array(8 * 1024 * 1024);
  const said: Promise<unknown>[] = [];
  for (let i = 0; i < 15; i++) {
    said.push(ask("peer", long, 20_000).catch((e: Fault) => e));
    await pause();
  }
  const refused = await Promise.all(said.slice(7)); // each is a little longer than what it carries
  for (const fault of refused) {
    assert.match((fault as Fault).message, /more than 67108864 bytes of requests at once/);
  }
  assert.ok(begun * long.length <= seamOpenBytesMax, `${begun} are held`);
});

test("when the net half is gone, verbs that need contents say so, and the journal can still be read", async (t) => {
  const host = await makeFirstHost(t);
  const dead = () =>
    Promise.reject(new Fault("seam", "gone", "the net half is not running", { hint: "isconf restart" }));
  (host.agent.host as { store: unknown }).store = new SeamStore(dead);
  await host.acts.locks.lock(host.call(), "why");
  assert.equal((await faultOf(() => host.acts.work.snap(host.call(), "/etc/hostname", false))).exit, 104);
  assert.equal(host.agent.host.wip.count(), 0);
  assert.equal((await host.acts.report.verify(host.call(), {})).entries, 1);
});

test("a second agent on the same home is refused, and the first goes on", async (t) => {
  const host = await makeHost(t);
  const { startAgent, openSeamInside } = await import("./mod.ts");
  const openSeam: Surroundings["openSeam"] = (_, answers) =>
    Promise.resolve(openSeamInside(`${host.dir}/other`, systemClock, answers));
  const fault = await faultOf(() => startAgent(host.home, { clock: systemClock, openSeam, log: () => {} }));
  assert.equal(fault.exit, 1);
  assert.equal(host.acts.status.standing(host.agent.host).state, "no domain");
});
