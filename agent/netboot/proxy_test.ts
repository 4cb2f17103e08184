// proxy: who gets an answer beside the site's DHCP server, what it says, and who gets none.
import assert from "node:assert/strict";
import { test } from "node:test";
import { concat, toHex, VirtualClock } from "../../mq/mod.ts";
import type { Loader, Machine } from "./booter.ts";
import { decodeDhcp, latin1Text, OPTION, type Packet, TYPE, typeOf } from "./dhcp.ts";
import {
  BIOS_DISCOVER,
  bytesFrom,
  HTTP_DISCOVER,
  IPXE_DISCOVER,
  mutations,
  OVERLOADED_OFFER,
  PLAIN_DISCOVER,
  UEFI_DISCOVER,
  UEFI_REQUEST_4011,
} from "./golden_fixture.ts";
import { memoryFile } from "./memory_booter.ts";
import { machineIn } from "./machine.ts";
import { type BootServer, type End, proxyQuestion, proxyReply, type Reply } from "./proxy.ts";

const SERVER: BootServer = { address: "10.0.0.1", httpPort: 8080, relays: ["10.9.0.1"] };
const LOADER: Loader = { name: "first.bin", file: memoryFile(new Uint8Array(8), "loader") };
const FROM: End = { address: "0.0.0.0", port: 68 };

const packetOf = (bytes: Uint8Array) => decodeDhcp(bytes) as Packet;

/** What is answered to these bytes, if anything. */
function answer(bytes: Uint8Array, port = 67, from = FROM): { reply: Reply; packet: Packet } | undefined {
  const packet = decodeDhcp(bytes);
  const machine = packet && proxyQuestion(packet, port, SERVER);
  if (packet === undefined || machine === undefined) return undefined;
  const reply = proxyReply(packet, port, from, machine, LOADER, SERVER);
  return { reply, packet: packetOf(reply.bytes) };
}

/** The same request with the bytes of some options other, or without them. */
function changed(bytes: Uint8Array, options: Record<number, string | undefined>): Uint8Array {
  const lines = [...packetOf(bytes).options].filter(([code]) => !(code in options)).map(([code, value]) =>
    toHex(new Uint8Array([code, value.length])) + toHex(value)
  );
  for (const [code, hex] of Object.entries(options)) {
    if (hex === undefined) continue;
    lines.push(toHex(new Uint8Array([Number(code), hex.length / 2])) + hex);
  }
  const pairs = `${lines.join("")}ff`.replace(/../g, "$& ");
  return concat(bytes.subarray(0, 240), bytesFrom(pairs));
}

/** The same request by way of a relay. */
function relayed(bytes: Uint8Array, by: number[]): Uint8Array {
  const out = bytes.slice();
  out.set(by, 24);
  return out;
}

test("firmware is told a file over TFTP and no discovery, byte for byte", () => {
  const { reply } = answer(BIOS_DISCOVER)!;
  assert.deepEqual(reply.to, { address: "255.255.255.255", port: 68 });
  assert.equal(
    toHex(reply.bytes),
    toHex(bytesFrom(`
    02 01 06 00           an answer, Ethernet, six bytes, no hops
    01 02 03 04           transaction
    00 00                 seconds
    80 00                 flags, as they came
    00*8                  ciaddr, yiaddr: it gives no address
    0a 00 00 01           siaddr: where TFTP is
    00*4                  giaddr
    52 54 00 12 34 56     hardware address
    00*10
    00*64                 sname
    35 32 2d 35 34 2d 30 30 2d 31 32 2d 33 34 2d 35 36 2f 66 69 72 73 74 2e 62 69 6e  file: 52-54-00-12-34-56/first.bin
    00*101
    63 82 53 63           the cookie
    35 01 02              53: OFFER
    36 04 0a 00 00 01     54: the server
    3c 09 50 58 45 43 6c 69 65 6e 74  60: PXEClient
    2b 04 06 01 08 ff     43: no discovery, take the file
    43 1b 35 32 2d 35 34 2d 30 30 2d 31 32 2d 33 34 2d 35 36 2f 66 69 72 73 74 2e 62 69 6e  67: the same file
    61 11 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff 00  97: as it came
    ff`)),
  );
});

test("iPXE is told the script of its machine, firmware that speaks HTTP a URL, each by its own kind of answer", () => {
  const ipxe = answer(IPXE_DISCOVER)!.packet;
  assert.equal(ipxe.file, "http://10.0.0.1:8080/boot/52-54-00-12-34-56/bios.ipxe");
  assert.equal(latin1Text(ipxe.options.get(OPTION.vendorClass)!), "PXEClient");
  assert.equal(ipxe.siaddr, "10.0.0.1");
  const http = answer(HTTP_DISCOVER)!.packet;
  assert.equal(
    latin1Text(http.options.get(OPTION.bootFile)!),
    "http://10.0.0.1:8080/boot/52-54-00-12-34-56/first.bin",
  );
  assert.equal(latin1Text(http.options.get(OPTION.vendorClass)!), "HTTPClient");
  assert.equal(http.options.has(OPTION.vendor), false);
});

test("no answer has an address, a lease, a mask or a router in it", () => {
  const answers = [
    answer(BIOS_DISCOVER)!,
    answer(IPXE_DISCOVER)!,
    answer(HTTP_DISCOVER)!,
    answer(UEFI_DISCOVER)!,
    answer(UEFI_REQUEST_4011, 4011, { address: "10.0.0.50", port: 4011 })!,
  ];
  for (const { packet } of answers) {
    assert.equal(packet.yiaddr, "0.0.0.0");
    for (const code of [OPTION.mask, OPTION.router, OPTION.dns, OPTION.leaseSeconds]) {
      assert.equal(packet.options.has(code), false);
    }
  }
});

test("who asks on port 4011 gets an ACK at the port from which it asked", () => {
  const from = { address: "10.0.0.50", port: 4011 };
  const { reply, packet } = answer(UEFI_REQUEST_4011, 4011, from)!;
  assert.deepEqual(reply.to, from);
  assert.equal(typeOf(packet), TYPE.ack);
  assert.deepEqual([packet.ciaddr, packet.siaddr, packet.file], [
    "10.0.0.50",
    "10.0.0.1",
    "52-54-00-12-34-56/first.bin",
  ]);
  assert.equal(answer(UEFI_REQUEST_4011, 67), undefined, "a REQUEST on port 67 is for the site's server");
  assert.equal(answer(BIOS_DISCOVER, 4011), undefined);
  assert.equal(
    answer(changed(UEFI_REQUEST_4011, { 54: "0a000002" }), 4011, from),
    undefined,
    "another server's",
  );
  assert.ok(answer(changed(UEFI_REQUEST_4011, { 54: "0a000001" }), 4011, from));
});

test("nobody else gets an answer", () => {
  const none: [string, Uint8Array][] = [
    ["a computer that wants an address", PLAIN_DISCOVER],
    ["a server's packet", OVERLOADED_OFFER],
    ["an answer that looks like a request", BIOS_DISCOVER.with(0, 2)],
    ["another vendor class", changed(BIOS_DISCOVER, { 60: toHex(new TextEncoder().encode("PXEClientele")) })],
    ["no architecture", changed(BIOS_DISCOVER, { 93: undefined })],
    ["half an architecture", changed(BIOS_DISCOVER, { 93: "00" })],
    ["an architecture that boots nothing here", changed(BIOS_DISCOVER, { 93: "0006" })],
    ["no UNDI", changed(BIOS_DISCOVER, { 94: "020201" })],
    ["two bytes of UNDI", changed(BIOS_DISCOVER, { 94: "0102" })],
    ["a UUID of another kind", changed(BIOS_DISCOVER, { 97: `01${"11".repeat(16)}` })],
    ["half a UUID", changed(BIOS_DISCOVER, { 97: "0011223344" })],
    ["no type", changed(BIOS_DISCOVER, { 53: undefined })],
    ["a type of two bytes", changed(BIOS_DISCOVER, { 53: "0101" })],
    ["a REQUEST", changed(BIOS_DISCOVER, { 53: "03" })],
    ["a server that is not ours", changed(BIOS_DISCOVER, { 54: "0a000009" })],
    ["half a server", changed(BIOS_DISCOVER, { 54: "0a00" })],
  ];
  for (const [what, bytes] of none) assert.equal(answer(bytes), undefined, what);
});

test("a relay that was named gets its answer, with what it put in; another gets none", () => {
  const by = changed(relayed(BIOS_DISCOVER, [10, 9, 0, 1]), {
    82: "01020304",
    61: "01525400123456",
  });
  const { reply, packet } = answer(by)!;
  assert.deepEqual(reply.to, { address: "10.9.0.1", port: 67 });
  assert.equal(packet.giaddr, "10.9.0.1");
  assert.deepEqual([...packet.options.keys()].slice(-2), [OPTION.clientId, OPTION.relay]);
  assert.equal(answer(relayed(BIOS_DISCOVER, [10, 9, 0, 2])), undefined);
});

test("machines say what they are, iPXE with and without a length in its user class", () => {
  const machine = machineIn(packetOf(BIOS_DISCOVER)) as Machine;
  assert.deepEqual(machine, {
    mac: "52:54:00:12:34:56",
    arch: "bios",
    program: "rom",
    uuid: "44332211-6655-8877-99aa-bbccddeeff00",
  });
  const program = (bytes: Uint8Array) => (machineIn(packetOf(bytes)) as Machine).program;
  assert.equal(program(changed(BIOS_DISCOVER, { 77: "69505845" })), "ipxe");
  assert.equal(program(changed(BIOS_DISCOVER, { 77: "0469505845" })), "ipxe");
  assert.equal(program(changed(BIOS_DISCOVER, { 77: "0569505845" })), "rom");
  assert.equal(program(changed(BIOS_DISCOVER, { 175: "010100" })), "ipxe");
  assert.equal(program(HTTP_DISCOVER), "http");
  const arches = {
    "0000": "bios",
    "0007": "uefi-x64",
    "0009": "uefi-x64",
    "000b": "uefi-arm64",
    "0010": "uefi-x64",
    "0013": "uefi-arm64",
  };
  for (const [code, arch] of Object.entries(arches)) {
    const bytes = changed(UEFI_DISCOVER, { 93: code });
    assert.equal((machineIn(packetOf(bytes)) as Machine).arch, arch);
  }
  assert.equal((machineIn(packetOf(changed(BIOS_DISCOVER, { 93: "00060007" }))) as Machine).arch, "uefi-x64");
  assert.equal("uuid" in (machineIn(packetOf(changed(BIOS_DISCOVER, { 97: undefined }))) as Machine), false);
});

test("100,000 mutated packets: no answer but to a well-formed question of a client that boots", () => {
  const chance = new VirtualClock(11);
  const seeds = [
    BIOS_DISCOVER,
    IPXE_DISCOVER,
    HTTP_DISCOVER,
    UEFI_DISCOVER,
    PLAIN_DISCOVER,
    OVERLOADED_OFFER,
  ];
  let answered = 0;
  for (let n = 0; n < mutations; n++) {
    const bytes = seeds[n % seeds.length]!.slice();
    for (let times = 1 + chance.u32() % 3; times > 0; times--) {
      bytes[chance.u32() % bytes.length] = chance.u32() & 0xff;
    }
    const got = answer(bytes);
    if (got === undefined) continue;
    answered++;
    const asked = packetOf(bytes);
    assert.equal(typeOf(asked), TYPE.discover);
    assert.match(latin1Text(asked.options.get(OPTION.vendorClass)!), /^(PXE|HTTP)Client(:|$)/);
    assert.equal(got.packet.xid, asked.xid);
    assert.equal(got.packet.yiaddr, "0.0.0.0");
    assert.ok(got.reply.bytes.length <= 576);
  }
  assert.ok(answered > 0.01 * mutations && answered < 0.9 * mutations, `${answered} answers`);
});
