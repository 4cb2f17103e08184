// register: the contract, with a real etcd of three members that decides; members that are killed and come back, restored, or
// silent; certificates and passwords. Hosts in this process (world.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { EtcdCells, type EtcdSettings } from "../../agent/mod.ts";
import { systemClock } from "../../mq/mod.ts";
import { cellsContract } from "../contract/cells.ts";
import {
  allConnected,
  allSame,
  checkIn,
  makeEtcdFleet,
  registerContract,
  seqOf,
} from "../contract/register.ts";
import { faultOf, MESHED, type TestHost, until, UP } from "../world.ts";
import { Etcd, lacksEtcd } from "./members.ts";

const NAMES = ["hosta", "hostb", "hostc"];
const skip = lacksEtcd();
if (skip) console.log(`skipped: tests with an etcd: ${skip}`);

type Ctx = { after(fn: () => Promise<void>): void };

const conf = (etcd: Etcd) => `${MESHED}register = ${etcd.members.join(" ")}\n`;
const settings = (members: string[], more: Partial<EtcdSettings> = {}): EtcdSettings => ({
  members,
  ca: "",
  cert: "",
  key: "",
  user: "",
  password: "",
  ...more,
});

function cellsOf(t: Ctx, etcd: EtcdSettings): EtcdCells {
  const cells = new EtcdCells(etcd, systemClock);
  t.after(() => Promise.resolve(cells.close()));
  return cells;
}

const fleet = async (t: Ctx, etcd: Etcd) =>
  await makeEtcdFleet(t, NAMES, { conf: conf(etcd) }) as [TestHost, TestHost, TestHost];

registerContract("an etcd of three members", async (t) => await fleet(t, await Etcd.make(t)), skip);

cellsContract("cells in an etcd", async (t) => {
  const { members } = await Etcd.make(t);
  return [cellsOf(t, settings(members)), cellsOf(t, settings([...members].reverse()))];
}, skip);

test(
  "a member is killed while hosts check in: all goes on; two are: nobody locks, and it is said why; they come back",
  { skip },
  async (t) => {
    const etcd = await Etcd.make(t);
    const [a, b, c] = await fleet(t, etcd);
    await checkIn(b);
    const checking = (async () => {
      for (const host of [a, b, c, a]) await checkIn(host);
    })();
    await etcd.kill(0);
    await checking;
    await allSame([a, b, c], 5);
    await etcd.kill(1);
    const fault = await faultOf(() => c.acts.locks.lock(c.call(), "alone"));
    assert.deepEqual([fault.kind, fault.exit], ["noQuorum", 223], fault.message);
    for (const member of etcd.members) assert.ok(fault.message.includes(member), fault.message);
    for (const host of [a, b, c]) {
      const { at, of, asked } = await host.acts.apply.up(host.call(), UP);
      assert.deepEqual([at, of, asked], [5, 5, "peer"], "what is here can be applied and read");
      assert.equal((await host.acts.report.verify(host.call(), {})).entries > 5, true);
    }
    await etcd.start(0);
    await checkIn(a);
    await etcd.start(1);
    await checkIn(b);
    await allSame([a, b, c], 7);
  },
);

test(
  "an etcd that was put back to an older state decides nothing more, until it is mended",
  { skip },
  async (t) => {
    const etcd = await Etcd.make(t);
    const [a, b, c] = await fleet(t, etcd);
    await checkIn(a);
    const old = await etcd.backup("old");
    await checkIn(b);
    await allSame([a, b, c], 2);
    const newer = await etcd.backup("newer");
    await etcd.restore(old);
    for (const host of [a, b, c]) {
      const fault = await faultOf(() => host.acts.locks.lock(host.call(), "why"));
      assert.equal(fault.kind, "refused");
      assert.match(fault.message, /etcd has gone back: main ends at entry 1 there, and entry 2 is certified/);
      assert.match(fault.hint, /^etcdctl snapshot restore/);
      assert.equal(seqOf(host), 2);
    }
    await etcd.restore(newer);
    await checkIn(c);
    await allSame([a, b, c], 3);
  },
);

test("a member that is silent costs its time, and no more", { skip }, async (t) => {
  const etcd = await Etcd.make(t);
  const [a, b, c] = await fleet(t, etcd);
  etcd.freeze(0, true);
  try {
    const began = performance.now();
    await checkIn(a);
    assert.ok(performance.now() - began < 20_000, `${performance.now() - began} ms`);
    await checkIn(b);
  } finally {
    etcd.freeze(0, false);
  }
  await allSame([a, b, c], 2);
});

test(
  "an etcd with TLS is spoken to with the right certificates only; a password that is wrong is said to be",
  { skip },
  async (t) => {
    const etcd = await Etcd.make(t, 1, { isSecure: true });
    const file = (name: string) => fs.readFileSync(`${etcd.dir}/${name}`, "utf8");
    const [ca, cert, key] = [file("ca.pem"), file("cert.pem"), file("key.pem")];
    const good = cellsOf(t, settings(etcd.members, { ca, cert, key }));
    assert.equal(await good.swap([["a", 0]], [["a", new Uint8Array([1])]], []), true);
    for (const wrong of [{}, { ca }, { cert, key }]) {
      const fault = await faultOf(() => cellsOf(t, settings(etcd.members, wrong)).read(["a"]));
      assert.equal(fault.kind, "noQuorum", fault.message);
      assert.ok(fault.message.includes(etcd.members[0]!), fault.message);
    }
    assert.equal((await good.read(["a"])).length, 1);
  },
);

test(
  "an etcd with users lets in who has the password, for what he may, also when his token is good no more",
  { skip },
  async (t) => {
    const etcd = await Etcd.make(t, 1);
    const ok = async (what: string, body: object) => {
      const { status, text } = await etcd.ask(what, body);
      assert.equal(status, 200, text);
    };
    const b64 = (text: string) => Buffer.from(text).toString("base64");
    await ok("/v3/auth/user/add", { name: "root", password: "r" });
    await ok("/v3/auth/role/add", { name: "root" });
    await ok("/v3/auth/user/grant", { user: "root", role: "root" });
    await ok("/v3/auth/user/add", { name: "isconf", password: "secret" });
    await ok("/v3/auth/role/add", { name: "isconf" });
    const range = { key: b64("isconf/"), range_end: b64("isconf0") };
    await ok("/v3/auth/role/grant", { name: "isconf", perm: { permType: 2, ...range } });
    await ok("/v3/auth/user/grant", { user: "isconf", role: "isconf" });
    await ok("/v3/auth/enable", {});
    const as = (user: string, password: string) => cellsOf(t, settings(etcd.members, { user, password }));
    const good = as("isconf", "secret");
    assert.equal(await good.swap([["isconf/a", 0]], [["isconf/a", new Uint8Array([1])]], []), true);
    for (
      const [cells, name] of [[as("isconf", "wrong"), "isconf/a"], [as("", ""), "isconf/a"], [
        good,
        "else",
      ]] as const
    ) {
      const fault = await faultOf(() => cells.read([name]));
      assert.equal(fault.kind, "denied", fault.message);
      assert.match(fault.hint, /^etcdctl user get/);
    }
    await etcd.kill(0);
    await etcd.start(0);
    await until("etcd answers again", () => good.read(["isconf/a"]).then(() => true, () => false));
    assert.equal(
      (await good.read(["isconf/a"])).length,
      1,
      "the old token is worth nothing, the password is",
    );
  },
);

test("keepers decide again: what etcd decided stays, and etcd is asked no more", { skip }, async (t) => {
  const etcd = await Etcd.make(t);
  const [a, b, c] = await fleet(t, etcd);
  await checkIn(b);
  await allSame([a, b, c], 1);
  const { register, quorum } = await b.acts.keepers.change(b.call(), { register: "keepers" });
  assert.deepEqual([register, quorum], ["keepers", 2]);
  await allConnected([a, b, c]);
  for (const i of [0, 1, 2]) await etcd.kill(i);
  await checkIn(c);
  await checkIn(a);
  await allSame([a, b, c], 3);
});
