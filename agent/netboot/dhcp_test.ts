// dhcp: golden packets with a readable twin, and everything that is no packet.
import assert from "node:assert/strict";
import { test } from "node:test";
import { concat, Fault, toHex, VirtualClock } from "../../mq/mod.ts";
import {
  addressIn,
  decodeDhcp,
  encodeDhcp,
  latin1Text,
  OPTION,
  type Packet,
  replyTo,
  TYPE,
  typeOf,
} from "./dhcp.ts";
import {
  BIOS_DISCOVER,
  bytesFrom,
  mutations,
  OVERLOADED_OFFER,
  PLAIN_DISCOVER,
  UEFI_REQUEST_4011,
} from "./golden_fixture.ts";
import { dhcpPacketBytesMax, dhcpPacketBytesMin } from "./limits.ts";

const OPTIONS_AT = 240;
const HEAD = BIOS_DISCOVER.subarray(0, OPTIONS_AT);
const END = "ff";

/** A request with these options, as readable hex. */
const withOptions = (lines: string) => concat(HEAD, bytesFrom(lines));

test("a request of firmware is read, field by field", () => {
  const packet = decodeDhcp(BIOS_DISCOVER);
  assert.ok(packet);
  const { options, ...fields } = packet;
  assert.deepEqual(fields, {
    op: 1,
    mac: "52:54:00:12:34:56",
    hops: 0,
    xid: 0x01020304,
    secs: 4,
    flags: 0x8000,
    ciaddr: "0.0.0.0",
    yiaddr: "0.0.0.0",
    siaddr: "0.0.0.0",
    giaddr: "0.0.0.0",
    sname: "",
    file: "",
  });
  assert.deepEqual([...options.keys()], [53, 55, 57, 93, 94, 97, 60]);
  assert.equal(typeOf(packet), TYPE.discover);
  assert.equal(latin1Text(options.get(OPTION.vendorClass)!), "PXEClient:Arch:00000:UNDI:002001");
  assert.equal(decodeDhcp(UEFI_REQUEST_4011)?.ciaddr, "10.0.0.50");
});

test("an answer is written byte for byte", () => {
  const asked = decodeDhcp(UEFI_REQUEST_4011) as Packet;
  const written = encodeDhcp(replyTo(asked, {
    yiaddr: "10.0.0.50",
    siaddr: "10.0.0.1",
    file: "a.efi",
    options: new Map([[OPTION.type, new Uint8Array([TYPE.ack])], [
      OPTION.server,
      new Uint8Array([10, 0, 0, 1]),
    ]]),
  }));
  const golden = bytesFrom(`
    02 01 06 00           an answer, Ethernet, six bytes, no hops
    00 00 00 07           transaction
    00 00 00 00           seconds, flags
    00*4                  ciaddr
    0a 00 00 32           yiaddr: 10.0.0.50
    0a 00 00 01           siaddr: 10.0.0.1
    00*4                  giaddr
    52 54 00 12 34 56     hardware address
    00*10
    00*64                 sname
    61 2e 65 66 69        file: a.efi
    00*123
    63 82 53 63           the cookie
    35 01 05              53: ACK
    36 04 0a 00 00 01     54: the server
    ff
    00*50                 up to 300 bytes`);
  assert.equal(toHex(written), toHex(golden));
  assert.equal(written.length, dhcpPacketBytesMin);
});

test("options in file and sname are read once and in order; a long option comes back whole", () => {
  const packet = decodeDhcp(OVERLOADED_OFFER);
  assert.equal(latin1Text(packet!.options.get(OPTION.bootFile)!), "abcdef");
  assert.equal(addressIn(packet!, OPTION.router), "10.0.0.1");
  assert.deepEqual([packet!.file, packet!.sname], ["", ""]);
  assert.deepEqual([packet!.yiaddr, packet!.siaddr], ["10.0.0.50", "10.0.0.1"]);
  const asked = decodeDhcp(PLAIN_DISCOVER) as Packet;
  const long = new Uint8Array(600).map((_, i) => i);
  const back = decodeDhcp(encodeDhcp(replyTo(asked, { options: new Map([[OPTION.message, long]]) })));
  assert.deepEqual(back?.options.get(OPTION.message), long);
});

test("option 52 that names itself again, twice, or nothing is no packet", () => {
  const inFile = OVERLOADED_OFFER.slice();
  inFile.set([52, 1, 3, 255], 108);
  assert.equal(decodeDhcp(inFile), undefined);
  for (const overload of ["34 01 00", "34 01 04", "34 02 01 01", "34 00", "34 01 01 34 01 02"]) {
    assert.equal(decodeDhcp(withOptions(`35 01 01 ${overload} ff`)), undefined, overload);
  }
  assert.equal(decodeDhcp(withOptions("35 01 01 34 01 01 ff")), undefined, "file has no end");
});

test("lengths past the end, no end, other hardware, too short, too long: no packet", () => {
  const with1 = (at: number, value: number) => BIOS_DISCOVER.with(at, value);
  const wrong: [string, Uint8Array][] = [
    ["an option ends beyond the packet", withOptions("35 01 01 3d ff 01 02")],
    ["an option without a length", withOptions("35 01 01 3d")],
    ["no end", withOptions("35 01 01")],
    ["no end, but padding", withOptions("35 01 01 00*60")],
    ["hlen 255", with1(2, 255)],
    ["hlen 0", with1(2, 0)],
    ["hlen 16", with1(2, 16)],
    ["token ring", with1(1, 6)],
    ["op 0", with1(0, 0)],
    ["op 3", with1(0, 3)],
    ["another cookie", with1(236, 0)],
    ["a group's hardware address", with1(28, 0x53)],
    ["no hardware address", concat(HEAD.subarray(0, 28), new Uint8Array(6), BIOS_DISCOVER.subarray(34))],
    ["nothing", new Uint8Array(0)],
    ["BOOTP without options", HEAD],
    ["9,000 bytes", concat(BIOS_DISCOVER, new Uint8Array(9000 - BIOS_DISCOVER.length))],
    ["a byte too long", concat(BIOS_DISCOVER, new Uint8Array(dhcpPacketBytesMax + 1 - BIOS_DISCOVER.length))],
  ];
  for (const [what, bytes] of wrong) assert.equal(decodeDhcp(bytes), undefined, what);
  const longest = concat(BIOS_DISCOVER, new Uint8Array(dhcpPacketBytesMax - BIOS_DISCOVER.length));
  assert.ok(decodeDhcp(longest));
  assert.equal(
    decodeDhcp(withOptions(`35 01 01 3d ff 61*255 ff`))?.options.get(OPTION.clientId)?.length,
    255,
  );
  assert.equal(
    decodeDhcp(concat(withOptions(`35 01 01 ${END}`), new Uint8Array(300 - 244)))?.options.size,
    1,
  );
});

test("what does not fit into a packet is a fault", () => {
  const asked = decodeDhcp(PLAIN_DISCOVER) as Packet;
  const write = (more: Partial<Packet>) => () => encodeDhcp(replyTo(asked, more));
  const isUsage = (e: unknown) => e instanceof Fault && e.kind === "usage";
  assert.throws(write({ file: "x".repeat(128) }), isUsage);
  assert.throws(write({ file: "a b" }), isUsage);
  assert.throws(write({ sname: "x".repeat(64) }), isUsage);
  assert.throws(write({ options: new Map([[255, new Uint8Array(1)]]) }), isUsage);
  assert.throws(write({ options: new Map([[0, new Uint8Array(1)]]) }), isUsage);
  assert.throws(write({ options: new Map([[43, new Uint8Array(1200)]]) }), isUsage);
  assert.throws(write({ siaddr: "10.0.0.01" }), isUsage);
  assert.ok(write({ file: "x".repeat(127) })());
});

test("100,000 mutated packets: none crashes, and what is read is well-formed", () => {
  const chance = new VirtualClock(4);
  const seeds = [BIOS_DISCOVER, PLAIN_DISCOVER, OVERLOADED_OFFER, UEFI_REQUEST_4011];
  let read = 0;
  for (let n = 0; n < mutations; n++) {
    const bytes = mutate(seeds[n % seeds.length]!, chance);
    const packet = decodeDhcp(bytes);
    if (packet === undefined) continue;
    read++;
    assert.match(packet.mac, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
    for (const [code, value] of packet.options) {
      assert.ok(code > 0 && code < 255 && value.length < bytes.length);
    }
  }
  assert.ok(
    read > 0.1 * mutations && read < 0.95 * mutations,
    `${read} were packets: the mutations are too weak or too strong`,
  );
});

/** A few bytes changed, mostly among the options, or the packet cut, or made longer. */
function mutate(bytes: Uint8Array, chance: VirtualClock): Uint8Array {
  const out = bytes.slice();
  const below = (n: number) => chance.u32() % n;
  for (let times = 1 + below(4); times > 0; times--) {
    const at = below(4) === 0 ? below(out.length) : OPTIONS_AT + below(out.length - OPTIONS_AT);
    out[at] = below(3) === 0 ? 255 : below(256);
  }
  if (below(8) === 0) return out.slice(0, below(out.length));
  return below(8) === 0 ? concat(out, chance.random(below(64))) : out;
}
