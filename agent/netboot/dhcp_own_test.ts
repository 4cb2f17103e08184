// dhcp_own: what clients of a network without another DHCP server are answered, and that made clients keep no real one from booting.
import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../mq/mod.ts";
import type { Loader } from "./booter.ts";
import {
  addressIn,
  BROADCAST,
  decodeDhcp,
  encodeDhcp,
  latin1,
  latin1Text,
  OPTION,
  type Packet,
  TYPE,
  typeOf,
} from "./dhcp.ts";
import { OwnDhcp } from "./dhcp_own.ts";
import {
  BIOS_DISCOVER,
  HTTP_DISCOVER,
  IPXE_DISCOVER,
  mutations,
  OVERLOADED_OFFER,
  PLAIN_DISCOVER,
} from "./golden_fixture.ts";
import { ip4Bytes } from "./address.ts";
import { Leases } from "./leases.ts";
import { memoryFile } from "./memory_booter.ts";
import { MemoryLeases } from "./memory_leases.ts";
import type { End, Reply } from "./proxy.ts";

const SERVER = { address: "10.0.0.1", httpPort: 8080, relays: ["10.9.0.1"] };
const NETWORK = {
  mask: "255.255.255.0",
  router: "10.0.0.254",
  dns: ["10.0.0.2", "10.0.0.3"],
  leaseSeconds: 600,
};
const LOADER: Loader = { name: "first.bin", file: memoryFile(new Uint8Array(8), "loader") };
const NOWHERE: End = { address: "0.0.0.0", port: 68 };
const MAC = "52:54:00:12:34:56";

const packetOf = (bytes: Uint8Array) => decodeDhcp(bytes) as Packet;

async function begin(to = "10.0.0.109") {
  const clock = new VirtualClock(1);
  const rivals: string[] = [];
  const leases = await Leases.open(
    clock,
    { from: "10.0.0.100", to, leaseSeconds: 600, except: [] },
    new MemoryLeases(),
  );
  const own = new OwnDhcp({
    clock,
    server: SERVER,
    network: NETWORK,
    leases,
    loaderFor: ({ arch }) => Promise.resolve(arch === "bios" ? LOADER : undefined),
    rival: (address) => void rivals.push(address),
  });
  const ask = async (packet: Packet, from = NOWHERE) => {
    const reply = await own.answer(packet, from);
    return reply && { reply, packet: packetOf(reply.bytes) };
  };
  return { clock, leases, own, ask, rivals };
}

/** A request like another with other options and fields. */
function like(
  packet: Packet,
  type: number,
  options: Record<number, Uint8Array> = {},
  fields: Partial<Packet> = {},
): Packet {
  const merged = new Map(packet.options).set(OPTION.type, new Uint8Array([type]));
  for (const [code, value] of Object.entries(options)) merged.set(Number(code), value);
  return { ...packet, options: merged, ...fields };
}

const PLAIN = packetOf(PLAIN_DISCOVER);
const US = { [OPTION.server]: ip4Bytes(SERVER.address) };
const wants = (address: string) => ({ [OPTION.wantedAddress]: ip4Bytes(address) });

test("a computer gets an address with everything it needs, and nothing to boot", async () => {
  const { ask } = await begin();
  const offer = (await ask(PLAIN))!;
  assert.deepEqual(offer.reply.to, { address: "255.255.255.255", port: 68 });
  const address = offer.packet.yiaddr;
  assert.match(address, /^10\.0\.0\.10[0-9]$/);
  assert.deepEqual([offer.packet.siaddr, offer.packet.file], ["0.0.0.0", ""]);
  const ack = (await ask(like(PLAIN, TYPE.request, { ...US, ...wants(address) })))!.packet;
  assert.deepEqual([typeOf(ack), ack.yiaddr], [TYPE.ack, address]);
  assert.equal(addressIn(ack, OPTION.mask), "255.255.255.0");
  assert.equal(addressIn(ack, OPTION.router), "10.0.0.254");
  assert.equal(addressIn(ack, OPTION.broadcast), "10.0.0.255");
  assert.equal(addressIn(ack, OPTION.leaseSeconds), "0.0.2.88");
  assert.deepEqual([...ack.options.get(OPTION.dns)!], [10, 0, 0, 2, 10, 0, 0, 3]);
  assert.deepEqual(ack.options.get(OPTION.clientId), PLAIN.options.get(OPTION.clientId));
  assert.equal(ack.options.has(OPTION.vendorClass), false);
});

test("firmware gets an address and what to load in one answer, iPXE its script; what cannot boot here an address alone", async () => {
  const { ask } = await begin();
  const rom = (await ask(packetOf(BIOS_DISCOVER)))!.packet;
  assert.deepEqual([rom.siaddr, rom.file], ["10.0.0.1", "52-54-00-12-34-56/first.bin"]);
  assert.equal(latin1Text(rom.options.get(OPTION.vendorClass)!), "PXEClient");
  assert.ok(rom.options.has(OPTION.vendor) && rom.options.has(OPTION.machineId));
  const ipxe = (await ask(packetOf(IPXE_DISCOVER)))!.packet;
  assert.equal(ipxe.yiaddr, rom.yiaddr, "the same machine, the same address");
  assert.match(ipxe.file, /^http:\/\/10\.0\.0\.1:8080\/boot\/.*\/bios\.ipxe$/);
  const http = (await ask(packetOf(HTTP_DISCOVER)))!.packet;
  assert.deepEqual([http.yiaddr, http.file], [rom.yiaddr, ""]);
});

test("no to what is another's, and to what is of another network; to everybody", async () => {
  const { ask } = await begin();
  const mine = await ask(like(PLAIN, TYPE.request, { ...US, ...wants("10.0.0.105") }));
  assert.equal(typeOf(mine!.packet), TYPE.ack);
  const other = { mac: "02:00:00:00:00:09", flags: 0 };
  for (const address of ["10.0.0.105", "10.0.0.99", "192.168.7.7"]) {
    const no = (await ask(like(PLAIN, TYPE.request, wants(address), other)))!;
    assert.equal(typeOf(no.packet), TYPE.nak, address);
    assert.deepEqual([no.packet.yiaddr, no.reply.to.address], ["0.0.0.0", "255.255.255.255"]);
  }
  const staying = (await ask(like(PLAIN, TYPE.request, {}, { ...other, ciaddr: "10.0.0.105" })))!;
  assert.deepEqual([typeOf(staying.packet), staying.reply.to.address], [TYPE.nak, "255.255.255.255"]);
});

test("who stays is answered alone, and counts as seen to work when it asked from there", async () => {
  const { ask, leases, clock } = await begin("10.0.0.100");
  await ask(like(PLAIN, TYPE.request, wants("10.0.0.100")));
  const ask2 = like(PLAIN, TYPE.request, {}, { ciaddr: "10.0.0.100" });
  const ack = (await ask(ask2, { address: "10.0.0.100", port: 68 }))!;
  assert.deepEqual(ack.reply.to, { address: "10.0.0.100", port: 68 });
  await clock.advance(60_000);
  assert.equal(leases.offer("02:00:00:00:00:09", undefined, true), undefined);
  const loud = (await ask({ ...ask2, flags: BROADCAST }, { address: "10.0.0.100", port: 68 }))!;
  assert.equal(loud.reply.to.address, "255.255.255.255");
});

test("decline, release and inform do what they say, and what is for another server nothing", async () => {
  const { ask, leases, rivals } = await begin("10.0.0.100");
  await ask(like(PLAIN, TYPE.request, wants("10.0.0.100")));
  const another = { [OPTION.server]: ip4Bytes("10.0.0.7") };
  assert.equal(await ask(like(PLAIN, TYPE.release, another, { ciaddr: "10.0.0.100" })), undefined);
  assert.equal(await ask(like(PLAIN, TYPE.request, { ...another, ...wants("10.0.0.100") })), undefined);
  assert.deepEqual(rivals, ["10.0.0.7"]);
  assert.ok(leases.has(MAC));
  const inform =
    (await ask(like(PLAIN, TYPE.inform, {}, { ciaddr: "10.0.0.200" }), { address: "10.0.0.200", port: 68 }))!;
  const spoofed =
    (await ask(like(PLAIN, TYPE.inform, {}, { ciaddr: "10.0.0.201" }), { address: "10.0.0.200", port: 68 }))!;
  assert.equal(spoofed.reply.to.address, "255.255.255.255", "who did not ask is sent nothing alone");
  assert.deepEqual([typeOf(inform.packet), inform.packet.yiaddr, inform.reply.to.address], [
    TYPE.ack,
    "0.0.0.0",
    "10.0.0.200",
  ]);
  assert.equal(inform.packet.options.has(OPTION.leaseSeconds), false);
  await ask(like(PLAIN, TYPE.decline, { ...US, ...wants("10.0.0.100") }));
  assert.equal(leases.has(MAC), false);
  assert.equal(
    typeOf((await ask(like(PLAIN, TYPE.request, wants("10.0.0.100"))))!.packet),
    TYPE.nak,
    "it was declined",
  );
});

test("what comes through a relay, is no request, or says nonsense gets no answer and no address", async () => {
  const { ask, leases } = await begin();
  const silent: Packet[] = [
    { ...PLAIN, giaddr: "10.9.0.1" },
    packetOf(OVERLOADED_OFFER),
    { ...PLAIN, op: 2 },
    like(PLAIN, TYPE.offer),
    like(PLAIN, TYPE.ack),
    like(PLAIN, TYPE.request),
    like(PLAIN, TYPE.request, { [OPTION.wantedAddress]: new Uint8Array([10, 0, 0]) }),
    like(PLAIN, TYPE.inform),
    { ...PLAIN, options: new Map([...PLAIN.options].filter(([code]) => code !== OPTION.type)) },
    like(packetOf(BIOS_DISCOVER), TYPE.discover, { [OPTION.arch]: new Uint8Array([0]) }),
    like(PLAIN, TYPE.discover, { [OPTION.server]: new Uint8Array([10]) }),
  ];
  for (const packet of silent) assert.equal(await ask(packet), undefined, String(typeOf(packet)));
  assert.equal(leases.size, 0);
});

/** A client that asks and takes, as a whole; what it got. */
async function boots(
  ask: (p: Packet) => Promise<{ packet: Packet; reply: Reply } | undefined>,
  seed: Packet,
): Promise<string | undefined> {
  const offer = await ask(like(seed, TYPE.discover));
  if (offer === undefined) return undefined;
  const ack = await ask(like(seed, TYPE.request, { ...US, ...wants(offer.packet.yiaddr) }));
  return ack && typeOf(ack.packet) === TYPE.ack ? ack.packet.yiaddr : undefined;
}

for (const kind of ["only ask", "take what they are offered", "say that they boot and take it"]) {
  test(`65,000 made clients that ${kind}: memory is bounded, who has a lease keeps it, and a real client boots`, async () => {
    const { ask, clock, leases } = await begin("10.0.0.199");
    const before = like(PLAIN, TYPE.discover, {}, { mac: "02:aa:00:00:00:01" });
    const has = (await boots(ask, before))!;
    leases.prove(has);
    const seed = kind.startsWith("say") ? packetOf(IPXE_DISCOVER) : PLAIN;
    const real = like(packetOf(BIOS_DISCOVER), TYPE.discover, {}, { mac: "52:54:00:99:99:99" });
    let sizeMax = 0, offered: string | undefined, address: string | undefined;
    for (let n = 0; n < 65_000; n++) {
      const made = like(seed, TYPE.discover, {}, {
        mac: `06:00:00:${[n >> 16, n >> 8, n].map((b) => (b & 255).toString(16).padStart(2, "0")).join(":")}`,
      });
      if (kind === "only ask") await ask(made);
      else await boots(ask, made);
      sizeMax = Math.max(sizeMax, leases.size);
      if (n % 10 === 0) await clock.advance(1); // 10,000 a second
      // In the middle of it, with a hundred of the others between its question and its taking.
      if (n % 10_000 === 5_000 && address === undefined) offered = (await ask(real))?.packet.yiaddr;
      if (n % 10_000 === 5_100 && offered !== undefined) {
        const ack = await ask(like(real, TYPE.request, { ...US, ...wants(offered) }));
        if (ack !== undefined && typeOf(ack.packet) === TYPE.ack) address = offered;
        offered = undefined;
      }
      if (n % 5_000 === 0) {
        const staying = like(before, TYPE.request, {}, { ciaddr: has });
        assert.equal(
          typeOf((await ask(staying, { address: has, port: 68 }))!.packet),
          TYPE.ack,
          "who has a lease",
        );
      }
    }
    assert.ok(sizeMax <= 100, `${sizeMax} leases in a range of 100`);
    if (!kind.startsWith("say")) assert.ok(address !== undefined, "a real client got nothing meanwhile");
    for (let tries = 0; tries < 4 && address === undefined; tries++) {
      address = await boots(ask, real);
      await clock.advance(2000 * (tries + 1));
    }
    assert.ok(address !== undefined, "a real client gets nothing");
  });
}

test("100,000 mutated packets: no crash, no answer to garbage, no address outside of the range", async () => {
  const { ask, clock, leases } = await begin();
  const chance = new VirtualClock(5);
  const wanted = encodeDhcp(like(PLAIN, TYPE.request, wants("10.0.0.100")));
  const seeds = [BIOS_DISCOVER, IPXE_DISCOVER, PLAIN_DISCOVER, OVERLOADED_OFFER, wanted];
  let answered = 0;
  for (let n = 0; n < mutations; n++) {
    const bytes = seeds[n % seeds.length]!.slice();
    for (let times = 1 + chance.u32() % 3; times > 0; times--) {
      bytes[chance.u32() % bytes.length] = chance.u32() & 0xff;
    }
    const packet = decodeDhcp(bytes);
    const got = packet && await ask(packet);
    if (n % 20 === 0) await clock.advance(50);
    if (got === undefined) continue;
    answered++;
    const type = typeOf(got.packet);
    assert.equal(got.packet.xid, packet!.xid);
    assert.ok(type === TYPE.offer || type === TYPE.ack || type === TYPE.nak);
    if (type === TYPE.offer) assert.match(got.packet.yiaddr, /^10\.0\.0\.10[0-9]$/);
  }
  assert.ok(answered > 0.01 * mutations, `${answered} answers`);
  assert.ok(leases.size <= 10);
});

test("a vendor class that is none of ours is a computer like any other", async () => {
  const { ask } = await begin();
  const msft = like(PLAIN, TYPE.discover, { [OPTION.vendorClass]: latin1("MSFT 5.0") });
  assert.equal((await ask(msft))!.packet.file, "");
});
