// net_contents: a DHT that lies: when it is called suspect and when not. Not how it is searched (fs/finder_dht_test.ts) and
// not what becomes of wrong bytes (fs/fetch_fault_test.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import {
  fixedCutter,
  MemoryStore,
  openStoreDatabase,
  putFile,
  serveObjects,
  SqliteStore,
} from "../fs/mod.ts";
import { type Cbor, Fault, pause, VirtualClock } from "../mq/mod.ts";
import { dhtMissesMax } from "./limits.ts";
import { NetContents } from "./net_contents.ts";

type Answer = (from: string, value: Cbor) => Promise<Cbor> | Cbor;

/** A host that knows nobody but whom the DHT names: "liar" has nothing, "honest" has what is in `theirs`. */
function withDht(t: { after(fn: () => void): void }) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-"));
  const clock = new VirtualClock(1);
  const theirs = new MemoryStore();
  const honest = new Map<string, Answer>();
  serveObjects(
    { answer: (method: string, fn: Answer) => void honest.set(method, fn) } as never,
    theirs.shared,
  );
  const node = {
    answer: () => {},
    peers: () => [],
    tellers: () => [],
    ask: (peer: string, method: string, value: Cbor) =>
      peer === "honest"
        ? Promise.resolve(honest.get(method)?.("me", value))
        : Promise.resolve(method.endsWith("get") ? (value as Cbor[]).map(() => null) : value),
  };
  let names: string[] = [];
  const dht = {
    routingTable: { size: 1 },
    async *findProviders() {
      const providers = names.map((name) => ({ id: name, multiaddrs: [] }));
      yield await Promise.resolve({ name: "PROVIDER", providers });
    },
    provide: async function* () {},
  };
  const transport = {
    self: "me",
    service: () => dht,
    peers: () => ["liar", "honest"],
    onPeer: () => () => {},
    remember: () => {},
  };
  const db = openStoreDatabase(path.join(dir, "store.db"));
  let isSmall = false;
  const contents = new NetContents({
    clock,
    log: () => {},
    dir,
    store: new SqliteStore(db),
    network: "n",
    admits: () => true,
    isSmall: () => isSmall,
    nameOf: (peer) => peer,
  });
  contents.start(transport as never, node as never);
  t.after(() => {
    contents.stop();
    db.close();
    fs.rmSync(dir, { recursive: true });
  });
  let files = 0;
  /** Fetches a file that nobody has asked for before; whether it came. */
  const fetch = async (named: string[], small = false): Promise<boolean> => {
    [names, isSmall] = [named, small];
    const { id } = await putFile(theirs, [new Uint8Array(100).fill(++files)] as never, fixedCutter(1000));
    await theirs.share(id);
    let came: boolean | undefined;
    contents.fetch([id]).then(() => came = true, (e) => came = !(e instanceof Fault));
    while (came === undefined) {
      await clock.advance(100);
      await pause();
    }
    return came;
  };
  return { contents, fetch };
}

test("a DHT that names nobody but liars is called suspect after a few fetches, and no more once it was of help", async (t) => {
  const { contents, fetch } = withDht(t);
  for (let i = 0; i < dhtMissesMax; i++) {
    assert.equal(contents.isSuspect, false, `${i}`);
    assert.equal(await fetch(["liar"]), false);
  }
  assert.equal(contents.isSuspect, true);
  assert.equal(await fetch([]), false, "it says nothing: that is no lie, and no help");
  assert.equal(contents.isSuspect, true);
  assert.equal(await fetch(["liar", "honest"]), true);
  assert.equal(contents.isSuspect, false);
});

test("a DHT that names nobody, or that is not asked, is not suspect", async (t) => {
  const { contents, fetch } = withDht(t);
  for (let i = 1; i < dhtMissesMax; i++) assert.equal(await fetch(["liar"]), false);
  for (let i = 0; i <= dhtMissesMax; i++) assert.equal(await fetch([]), false);
  for (let i = 0; i <= dhtMissesMax; i++) assert.equal(await fetch(["liar", "honest"], true), false);
  assert.equal(contents.isSuspect, false);
});
