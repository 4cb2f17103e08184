// seam, the half that asks is compromised: everything that a net half may ask of root or tell it, as it came once in a real
// domain, and then again: replayed, out of order, as somebody else, for something else, with bits flipped, in floods, and as
// no net half says it. Root answers or refuses, and nothing changes. How it answers root: seam_hostile_test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { putFile } from "../fs/mod.ts";
import { type Cbor, decode, encode, Fault, fromHex, sleep, systemClock, toHex } from "../mq/mod.ts";
import { joinDomain, makeHost, MESHED, run, type TestHost, until } from "../tests/world.ts";
import { addOther, allOf, type Other } from "./fixture.ts";
import { hostId, personPair } from "./host.ts";
import { HOST_METHODS, NET_REQUESTS, ROOT_REQUESTS, type RootRequest, RUMOURS } from "./seam.ts";
import { filesBelow, Halves, TYPE } from "./seam_fixture.ts";

type Method = typeof HOST_METHODS[number];
type Rumour = typeof RUMOURS[number];
type Message = [request: RootRequest, value: Cbor];

interface Fleet {
  a: TestHost;
  b: TestHost;
  halves: Halves;
  /** A host of the domain that is nowhere, and one that was evicted. */
  nowhere: Other;
  evicted: Other;
  /** A root that both have. */
  root: string;
}

/** A question of each kind that a host may ask of another. A new method needs a line here. */
const QUESTIONS: Record<Method, (fleet: Fleet) => Cbor> = {
  heads: () => [["main"], 0],
  entries: () => ["main", 0],
  keeper: () => ["main", new Uint8Array(64)], // real ones come of lock and ci
  report: () => [new Uint8Array(16), null],
  reports: ({ nowhere }) => [nowhere.id],
  person: () => "root",
  copies: ({ root }) => [root],
  names: () => [new Uint8Array(32), new Uint8Array(0)],
  nameRecords: () => [new Uint8Array(32)],
  proofs: () => null,
  proof: () => [new Uint8Array(32), 0],
};
/** A rumour of each kind. A new topic needs a line here. */
const TOLD: Record<Rumour, (fleet: Fleet) => Cbor> = {
  head: ({ b }) => ["main", b.agent.host.journal.head("main").seq],
  report: ({ b }) => b.agent.host.reports.sign() ?? null,
  name: () => new Uint8Array(100), // real ones come of names that are said
  proof: () => new Uint8Array(32),
};

/** What no net half says, for each of its requests. */
const key = new Uint8Array(32).fill(7);
const ESCAPES = "\x1b]0;owned\x07\u202e\r\n";
const SHAPES: Cbor[] = [
  ...[null, true, -1, 2n ** 64n - 1n, "", ESCAPES, "kept\0", new Uint8Array(0), key, [], {}, [[]], [
    {},
    {},
    {},
  ], [key]],
  ...[[1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [ESCAPES, true], ["__proto__", true], ["", "heads", null]],
  ...[[ESCAPES, ESCAPES, ESCAPES], ["__proto__", "__proto__", null], ["x", "constructor", []], [key, key], [
    key,
    null,
    1,
  ]],
  new Map<number | string, Cbor>([[0, "x"], ["__proto__", "heads"], ["length", 3]]),
  ["x", "entries", Array.from({ length: 13 }).reduce<Cbor>((v) => [v], 1)],
];

/** Messages as a compromised half of `a` would have noted them in the life of a small domain. */
async function makeFleet(t: Parameters<typeof makeHost>[0]): Promise<{ fleet: Fleet; noted: Message[] }> {
  const halves = new Halves();
  const a = await makeHost(t, { conf: `${MESHED}http = 127.0.0.1:0\n`, openSeam: halves.openSeam });
  await a.acts.domain.init(a.call(), { host: "hosta", branch: "main" });
  const b = await makeHost(t, { conf: MESHED });
  await joinDomain(a, b, "hostb");
  const nowhere = await addOther(a, "hostc");
  const evicted = await addOther(a, "hostd");
  await a.acts.roles.evict(a.call(), { host: "hostd", reason: "stolen" });
  const person = personPair(b.agent.host, b.call().actor).publicKey;
  for (const role of ["append", "publish"]) {
    await a.acts.roles.giveRole(a.call(), { name: "root@hostb", key: person, role, branch: "main" });
  }
  await b.agent.host.replica.sync();
  const id = hostId(a.agent.host);
  await until("b knows a", () => b.agent.host.mesh.peers().includes(id));
  await b.acts.locks.lock(b.call(), "why");
  for (let i = 0; i < 3; i++) await run(b, ["/bin/true"]);
  await b.acts.checkin.ci(b.call());
  await until("a has it", () => a.agent.host.journal.head("main").seq === 3);
  await a.acts.upkeep.gc(a.call(), { dryRun: true });
  const { id: root } = await putFile(
    b.agent.host.store,
    ReadableStream.from([new TextEncoder().encode("a file")]),
  );
  await b.acts.naming.setName(b.call(), { name: "main/file", what: root });
  await until("a has the name", () => a.agent.host.names.list().length === 1);
  const fleet: Fleet = { a, b, halves, nowhere, evicted, root };
  for (const method of HOST_METHODS) {
    await b.agent.host.mesh.ask(id, method, QUESTIONS[method](fleet)).catch((e) =>
      assert.ok(e instanceof Fault)
    );
  }
  const { token } = a.agent.host.tokens.make(a.call().actor, { roles: [] });
  for (const path of ["/v1/status", "/v1/blob/main%2Ffile", "/healthz"]) {
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await fetch(`http://${a.agent.host.web.place}${path}`, { headers })).status, 200, path);
  }
  for (const topic of RUMOURS) b.agent.host.mesh.publish(topic, TOLD[topic](fleet));
  const heard = (topic: string) =>
    halves.now.heard.some(([request, value]) =>
      request === "rumour" && isTriple(value) && value[1] === topic
    );
  for (const topic of RUMOURS) await until(`a hears of ${topic}`, () => heard(topic));
  await b.stop();
  await until("b is gone", () => a.agent.host.mesh.peers().length === 0);
  return { fleet, noted: halves.now.heard.slice() };
}

/** What others must not be able to change, and what this host says of itself. */
const stateOf = ({ a }: Fleet) =>
  [allOf(a), filesBelow(a.dir), JSON.stringify(a.acts.status.standing(a.agent.host))].join("\n");

/** Root's answer, or its fault: nothing else may come of a message. */
async function outcome(fleet: Fleet, request: string, value: Cbor): Promise<string> {
  // Who is not connected is not listened to at all: whatever else was said, this one is, if root lets it in.
  if (request === "rumour" && isTriple(value)) {
    void fleet.halves.now.ask("peer", [value[0], true]).catch(() => {});
  }
  const said = fleet.halves.now.ask(request, value).then(() => "answered", (e) => {
    assert.ok(e instanceof Fault);
    assert.doesNotMatch(e.message, /^unexpected|cut this half off/, `${request}: ${e.message}`);
    return e.kind;
  });
  return await Promise.race([said, sleep(systemClock, 20_000).then(() => "no answer")]);
}

/** Has messages arrive, some at a time, and looks that each comes to an end. */
async function play(
  fleet: Fleet,
  messages: Iterable<[request: string, value: Cbor]>,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const some: Promise<void>[] = [];
  for (const [request, value] of messages) {
    some.push(
      outcome(fleet, request, value).then((said) => {
        assert.notEqual(said, "no answer", `${request} ${toHex(encode(value)).slice(0, 400)}`);
        counts.set(said, (counts.get(said) ?? 0) + 1);
      }),
    );
    if (some.length >= 100) await Promise.all(some.splice(0));
  }
  await Promise.all(some);
  return counts;
}

/** Waits until root has nothing more to do about what it was told. */
async function settled({ a, halves }: Fleet): Promise<void> {
  for (let asked = -1; asked !== total(halves);) {
    asked = total(halves);
    await sleep(systemClock, 100);
    await a.agent.host.store.missing([]);
  }
}
const total = ({ now }: Halves) =>
  [...now.asked].filter(([row]) => row !== "missing").reduce((n, [, m]) => n + m, 0);

const isTriple = (value: Cbor): value is [Cbor, Cbor, Cbor] => Array.isArray(value) && value.length === 3;
const isPair = (value: Cbor): value is [Cbor, Cbor] => Array.isArray(value) && value.length === 2;

/** Numbers by chance, the same each time. */
function* chances(): Generator<number, never> {
  for (let n = 1;;) yield n = (n * 48_271) % 0x7fff_ffff;
}

/** A message with one bit flipped, where that is still CBOR. */
function* flipped([request, value]: Message, times: number, chance: Iterator<number>): Generator<Message> {
  const bytes = encode(value);
  for (let i = 0; i < times; i++) {
    const copy = bytes.slice();
    const at = chance.next().value % copy.length;
    copy[at] = copy[at]! ^ (1 << chance.next().value % 8);
    try {
      yield [request, decode(copy, { bytesMax: 64 * 1024 * 1024 })];
    } catch {
      // the seam itself ends at that: seam_hostile_test.ts
    }
  }
}

test("every message that net sends root, forged, replayed, out of order, for others, flipped and in floods: nothing changes", async (t) => {
  const { fleet, noted } = await makeFleet(t);
  const { a, halves, nowhere, evicted } = fleet;
  // The tables are those of the code: a row that no message was noted of fails.
  const kinds = new Set(
    noted.map(([request, value]) => isTriple(value) ? `${request} ${value[1]}` : request),
  );
  const wanted = ROOT_REQUESTS.flatMap((request) => {
    const names = request === "answer" ? HOST_METHODS : request === "rumour" ? RUMOURS : undefined;
    return names === undefined ? [request] : names.map((name) => `${request} ${name}`);
  });
  assert.deepEqual([...kinds].sort(), [...wanted].sort());

  await settled(fleet);
  const before = stateOf(fleet);
  const { entries } = await a.acts.report.verify(a.call(), {});
  const bId = noted.flatMap(([request, value]) =>
    request === "peer" && isPair(value) ? [value[0] as string] : []
  )[0]!;
  // What root asks of those who are not there is answered with whatever there is.
  const values = noted.map(([, value]) => isTriple(value) ? value[2] : value);
  let turn = 0;
  halves.lies.set("ask", (half, id) => half.say(TYPE.answer, [id, values[turn++ % values.length] as Cbor]));
  const phases: { [what: string]: () => Iterable<[string, Cbor]> } = {
    "as they came": () => noted,
    "with everybody connected": () =>
      [bId, nowhere.id, evicted.id, "", ESCAPES].map((host) => ["peer", [host, true]]),
    "once more, backwards": () => noted.toReversed(),
    "as somebody else": function* () {
      for (
        const host of [nowhere.id, evicted.id, hostId(a.agent.host), "0".repeat(64), "", ESCAPES, "__proto__"]
      ) {
        for (const [request, value] of noted) {
          if (isTriple(value)) yield [request, [host, value[1], value[2]]];
          else if (request === "peer" && isPair(value)) yield [request, [host, value[1]]];
          else if (isPair(value)) {
            yield [request, [
              fromHex(host.padEnd(64, "0").replace(/[^0-9a-f]/g, "0").slice(0, 64)),
              value[1],
            ]];
          }
        }
      }
    },
    "for something else": function* () {
      for (const value of values) {
        for (const method of HOST_METHODS) yield ["answer", [bId, method, value]];
        for (const topic of RUMOURS) yield ["rumour", [bId, topic, value]];
        for (const request of ROOT_REQUESTS) yield [request, value];
      }
    },
    "flipped": function* () {
      const chance = chances();
      for (const message of noted) yield* flipped(message, 10, chance);
    },
    "of the wrong form": function* () {
      for (const request of ROOT_REQUESTS) for (const value of SHAPES) yield [request, value];
      for (const value of SHAPES) {
        for (const method of [...HOST_METHODS, "exec", "sign", "constructor"]) {
          yield ["answer", [bId, method, value]];
        }
        for (const topic of [...RUMOURS, "exec", "__proto__"]) yield ["rumour", [bId, topic, value]];
      }
    },
    "that there are none of": function* () {
      const names = [
        ...NET_REQUESTS,
        ...HOST_METHODS,
        ...RUMOURS,
        "exec",
        "sign",
        "constructor",
        "__proto__",
        "",
      ];
      for (const name of names.filter((one) => !(ROOT_REQUESTS as readonly string[]).includes(one))) {
        yield [name, null];
      }
    },
  };
  for (const [what, messages] of Object.entries(phases)) {
    const counts = await play(fleet, messages());
    await settled(fleet);
    assert.equal(stateOf(fleet), before, `messages ${what}: ${JSON.stringify([...counts])}`);
  }
  await play(fleet, [["peer", [bId, true]]]);

  // Floods: 5,000 of each at once, of which nobody waits for an answer; what root asks because of them has an end too.
  halves.lies.set("ask", () => {}); // so that what root asks piles up
  const rss = process.memoryUsage().rss;
  for (const kind of kinds) {
    const [request, value] = noted.find(([request, value]) =>
      kind === (isTriple(value) ? `${request} ${value[1]}` : request)
    )!;
    const asked = total(halves);
    for (let i = 0; i < 5000; i++) {
      const varied: Cbor = kind === "peer"
        ? [bId, i % 2 === 1]
        : kind === "rumour proof"
        ? [bId, "proof", Uint8Array.from({ length: 32 }, (_, at) => i >> at)]
        : kind === "rumour head"
        ? [bId, "head", ["main", 100 + i]]
        : value;
      halves.now.say(TYPE.ask, [-1 - i, request, varied]);
      if (i % 100 === 0) await sleep(systemClock, 0);
    }
    await until(
      `others are answered after a flood of ${kind}`,
      async () => await outcome(fleet, "roots", "kept") === "answered",
    );
    await settled(fleet);
    // A question may be worth one in return, to the half that asks; what is only told is not.
    const most = ["answer", "http"].includes(request) ? 5100 : 1000;
    assert.ok(total(halves) - asked < most, `${kind}: root has asked ${total(halves) - asked} times`);
    assert.equal(stateOf(fleet), before, `a flood of ${kind}`);
  }
  const grown = (process.memoryUsage().rss - rss) / 2 ** 20;
  assert.ok(grown < 512, `root has grown by ${grown} MiB`);
  assert.equal((await a.acts.report.verify(a.call(), {})).entries, entries);
});
