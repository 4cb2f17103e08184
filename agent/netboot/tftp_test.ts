// tftp: packets, what wishes come to, and a transfer block by block under a clock that stands still.
import assert from "node:assert/strict";
import { test } from "node:test";
import { concat, Fault, toHex, VirtualClock } from "../../mq/mod.ts";
import type { BootFile } from "./booter.ts";
import { bytesFrom, mutations } from "./golden_fixture.ts";
import {
  tftpBlockBytesMax,
  tftpFirstTries,
  tftpTransferMs,
  tftpTries,
  tftpWindowBlocksMax,
} from "./limits.ts";
import { memoryFile } from "./memory_booter.ts";
import {
  decodeTftpAnswer,
  decodeTftpRequest,
  encodeTftpData,
  encodeTftpError,
  encodeTftpOack,
  termsOf,
  TFTP,
  TFTP_ERROR,
} from "./tftp.ts";
import { Transfer } from "./tftp_transfer.ts";

/** OVMF asks so. */
const REQUEST = bytesFrom(`
  00 01                 a request to read
  61 2e 65 66 69 00     a.efi
  6f 63 74 65 74 00     octet
  74 73 69 7a 65 00 30 00                    tsize 0
  62 6c 6b 73 69 7a 65 00 31 34 36 38 00     blksize 1468
  77 69 6e 64 6f 77 73 69 7a 65 00 34 00     windowsize 4`);

const request = (...words: string[]) =>
  concat(new Uint8Array([0, 1]), new TextEncoder().encode(words.map((word) => `${word}\0`).join("")));
const ack = (block: number) => new Uint8Array([0, 4, block >> 8, block & 0xff]);

test("requests, answers and blocks have their bytes", () => {
  const read = decodeTftpRequest(REQUEST)!;
  assert.deepEqual({ ...read, options: [...read.options] }, {
    op: "read",
    name: "a.efi",
    mode: "octet",
    options: [["tsize", "0"], ["blksize", "1468"], ["windowsize", "4"]],
  });
  assert.equal(decodeTftpRequest(request("a", "OCTET", "BLKSIZE", "8"))!.mode, "octet");
  assert.equal(toHex(encodeTftpData(0x1ff00, new Uint8Array([7, 8]))), "0003ff000708");
  assert.equal(toHex(encodeTftpError(5, "no")), "000500056e6f00");
  assert.equal(toHex(encodeTftpOack([["tsize", "10"]])), "00067473697a6500313000");
  assert.deepEqual(decodeTftpAnswer(ack(0x1234)), { op: "ack", block: 0x1234 });
  assert.deepEqual(decodeTftpAnswer(encodeTftpError(8, "no")), { op: "error", code: 8, text: "no" });
});

test("what is no request is none", () => {
  const wrong: [string, Uint8Array][] = [
    ["nothing", new Uint8Array(0)],
    ["no NUL at the end", request("a", "octet").subarray(0, -1)],
    ["no mode", request("a")],
    ["no name", request("", "octet")],
    ["an option without value", request("a", "octet", "blksize")],
    ["an option twice", request("a", "octet", "blksize", "8", "BLKSIZE", "9")],
    ["an option without name", request("a", "octet", "", "8")],
    ["not ASCII", request("ä", "octet")],
    ["too long", request("a".repeat(600), "octet")],
    ["a block", encodeTftpData(1, new Uint8Array(9))],
    ["a request of another kind", request("a", "octet").with(1, 7)],
    ["a long number of the kind", request("a", "octet").with(0, 1)],
  ];
  for (const [what, bytes] of wrong) assert.equal(decodeTftpRequest(bytes), undefined, what);
  for (
    const bytes of [ack(1).subarray(0, 3), concat(ack(1), ack(1)), REQUEST, new Uint8Array([1, 4, 0, 0])]
  ) {
    assert.equal(decodeTftpAnswer(bytes), undefined);
  }
});

test("wishes are brought down or passed over", () => {
  const agreed = (options: Record<string, string>) => termsOf(new Map(Object.entries(options)), 1000).agreed;
  assert.deepEqual(agreed({ blksize: "65464", windowsize: "65535", tsize: "0", timeout: "3" }), [
    ["blksize", String(tftpBlockBytesMax)],
    ["windowsize", String(tftpWindowBlocksMax)],
    ["tsize", "1000"],
    ["timeout", "3"],
  ]);
  const wishes: Record<string, string>[] = [
    { blksize: "7" },
    { blksize: "65465" },
    { blksize: "-8" },
    { blksize: "1e3" },
    { windowsize: "0" },
    { timeout: "0" },
    { timeout: "255" },
    { tsize: "5" },
    { multicast: "" },
  ];
  for (const wish of wishes) assert.deepEqual(agreed(wish), [], JSON.stringify(wish));
  assert.equal(termsOf(new Map([["blksize", "1428"]]), 0).blockBytes, 1428);
});

interface Client {
  transfer: Transfer;
  /** What was sent: block numbers, or other kinds of packets by name. */
  sent: (number | string)[];
  got(): Uint8Array;
  how: ("done" | "asked" | Fault)[];
}

/** A transfer, and what it has sent. */
function begin(clock: VirtualClock, file: BootFile, options: Record<string, string> = {}): Client {
  const sent: (number | string)[] = [], how: Client["how"] = [], blocks: Uint8Array[] = [];
  const transfer = new Transfer({
    clock,
    file,
    terms: termsOf(new Map(Object.entries(options)), file.bytes),
    send(bytes) {
      const number = bytes[2]! * 256 + bytes[3]!;
      sent.push(bytes[1] === TFTP.data ? number : bytes[1] === TFTP.oack ? "oack" : `error ${number}`);
      if (bytes[1] === TFTP.data) blocks[number] = bytes.slice(4);
    },
    ended: (end) => void how.push(end),
  });
  transfer.start();
  return { transfer, sent, how, got: () => concat(...blocks.filter(Boolean)) };
}

const bytesOfLength = (n: number) => new Uint8Array(n).map((_, i) => i * 7);

test("a file goes block by block; the last is shorter than the others, and empty when they fit", async () => {
  const clock = new VirtualClock(1);
  for (const [length, blocks] of [[0, 1], [511, 1], [512, 2], [1100, 3]] as const) {
    const { transfer, sent, got, how } = begin(clock, memoryFile(bytesOfLength(length)));
    for (let block = 1; block <= blocks; block++) {
      await clock.advance(0);
      assert.equal(sent.at(-1), block);
      transfer.receive(ack(block));
    }
    assert.deepEqual(how, ["done"]);
    assert.equal(sent.length, blocks);
    assert.deepEqual(got(), bytesOfLength(length));
  }
  assert.equal(clock.pending, 0);
});

test("a doubled acknowledgement leads to nothing: there is no sorcerer's apprentice", async () => {
  const clock = new VirtualClock(1);
  const { transfer, sent } = begin(clock, memoryFile(bytesOfLength(2000)));
  await clock.advance(0);
  for (let block = 1; block <= 3; block++) {
    for (let times = 0; times < 5; times++) transfer.receive(ack(block));
    await clock.advance(0);
  }
  transfer.receive(ack(1));
  transfer.receive(ack(9));
  transfer.receive(ack(0));
  await clock.advance(0);
  assert.deepEqual(sent, [1, 2, 3, 4]);
});

test("what is not acknowledged is sent again, ever later, and not for ever", async () => {
  const clock = new VirtualClock(1);
  const nobody = begin(clock, memoryFile(bytesOfLength(2000)));
  await clock.advance(60_000);
  assert.deepEqual(nobody.sent, Array(tftpFirstTries).fill(1));
  assert.match(String(nobody.how), /nobody answers/);
  const one = begin(clock, memoryFile(bytesOfLength(2000)));
  await clock.advance(999);
  one.transfer.receive(ack(1));
  await clock.advance(0);
  assert.deepEqual(one.sent, [1, 2]);
  await clock.advance(1000);
  assert.deepEqual(one.sent, [1, 2, 2]);
  await clock.advance(1999);
  assert.deepEqual(one.sent, [1, 2, 2]);
  await clock.advance(60_000);
  assert.deepEqual(one.sent, [1, ...Array(tftpTries).fill(2)]);
  assert.equal(one.how.length, 1);
  assert.equal(clock.pending, 0);
});

test("a client that keeps coming back is given up after its time", async () => {
  const clock = new VirtualClock(1);
  const { transfer, how } = begin(clock, memoryFile(bytesOfLength(512 * 400)), { timeout: "2" });
  transfer.receive(ack(0));
  for (let block = 1; clock.now() < tftpTransferMs && block < 400; block++) {
    await clock.advance(1500);
    transfer.receive(ack(block));
  }
  await clock.advance(0);
  assert.match(String(how), /too long/);
  assert.equal(clock.pending, 0);
});

test("a client that refuses the options only asked for the size: that is no fault", async () => {
  const clock = new VirtualClock(1);
  for (const code of [TFTP_ERROR.options, TFTP_ERROR.other]) {
    const { transfer, sent, how } = begin(clock, memoryFile(bytesOfLength(2000)), { tsize: "0" });
    transfer.receive(encodeTftpError(code, "User aborted the transfer"));
    await clock.advance(10_000);
    assert.deepEqual([sent, how], [["oack"], ["asked"]]);
  }
  const later = begin(clock, memoryFile(bytesOfLength(2000)));
  await clock.advance(0);
  later.transfer.receive(ack(1));
  later.transfer.receive(encodeTftpError(TFTP_ERROR.other, "disk full"));
  assert.ok(later.how[0] instanceof Fault);
});

test("options are offered until block 0 is acknowledged; then a window goes out, and what was lost of it again", async () => {
  const clock = new VirtualClock(1);
  const { transfer, sent, got, how } = begin(clock, memoryFile(bytesOfLength(90)), {
    blksize: "8",
    windowsize: "4",
  });
  await clock.advance(1000);
  transfer.receive(ack(1));
  await clock.advance(0);
  assert.deepEqual(sent, ["oack", "oack"]);
  transfer.receive(ack(0));
  await clock.advance(0);
  assert.deepEqual(sent.splice(0), ["oack", "oack", 1, 2, 3, 4]);
  transfer.receive(ack(0));
  transfer.receive(ack(2)); // blocks 3 and 4 were lost
  await clock.advance(0);
  assert.deepEqual(sent.splice(0), [3, 4, 5, 6]);
  transfer.receive(ack(6));
  await clock.advance(0);
  assert.deepEqual(sent.splice(0), [7, 8, 9, 10]);
  transfer.receive(ack(10));
  await clock.advance(0);
  assert.deepEqual(sent.splice(0), [11, 12]);
  transfer.receive(ack(12));
  assert.deepEqual(how, ["done"]);
  assert.deepEqual(got(), bytesOfLength(90));
});

test("with one packet in ten lost both ways, and one in ten doubled, a file comes whole, whatever the window", async () => {
  for (const windowsize of ["1", "2", "4", "16"]) {
    const clock = new VirtualClock(Number(windowsize));
    const file = memoryFile(bytesOfLength(40_000));
    const wire: Uint8Array[] = [];
    const how: unknown[] = [];
    const transfer = new Transfer({
      clock,
      file,
      terms: termsOf(new Map(Object.entries({ blksize: "512", windowsize })), file.bytes),
      send: (bytes) => void wire.push(bytes),
      ended: (end) => void how.push(end),
    });
    const isLost = () => clock.u32() % 10 === 0;
    const answer = (bytes: Uint8Array) => {
      for (let times = clock.u32() % 10 === 0 ? 2 : 1; times > 0; times--) {
        if (!isLost()) transfer.receive(bytes);
      }
    };
    transfer.start();
    const got: Uint8Array[] = [];
    let sent = 0;
    for (let turns = 0; how.length === 0 && turns < 5_000; turns++) {
      await clock.advance(100);
      const packets = wire.splice(0);
      sent += packets.length;
      let wants = false;
      for (const packet of packets.filter(() => !isLost())) {
        wants = true;
        if (packet[1] === TFTP.data && packet[2]! * 256 + packet[3]! === got.length + 1) {
          got.push(packet.slice(4));
        }
      }
      if (wants) answer(ack(got.length));
    }
    const last = how[0];
    // The last acknowledgement may be lost for good: then the client has everything, and the server gives up.
    assert.ok(last === "done" || got.length === 79, String(last));
    assert.deepEqual(concat(...got), bytesOfLength(40_000));
    assert.ok(sent < 79 * 3, `${sent} packets for 79 blocks`);
  }
});

test("numbers of blocks wrap after 65535", async () => {
  const clock = new VirtualClock(1);
  const file: BootFile = {
    bytes: 8 * 65_600 + 3,
    read: (from, to) => Promise.resolve(new Uint8Array(to - from).fill(from / 8 / 16384)),
  };
  const { transfer, sent, how } = begin(clock, file, { blksize: "8", windowsize: "16" });
  transfer.receive(ack(0));
  for (let block = 0; how.length === 0 && block < 70_000;) {
    await clock.advance(0);
    block = Math.min(block + 16, 65_601);
    transfer.receive(ack(block & 0xffff));
  }
  assert.deepEqual(how, ["done"]);
  assert.equal(sent.length, 1 + 65_601);
  assert.deepEqual(sent.slice(65_535, 65_538), [65_535, 0, 1]);
});

test("a file that cannot be read ends it with an error to the client", async () => {
  const clock = new VirtualClock(1);
  const fault = new Fault("store", "corrupt", "not what it was", { hint: "isconf fsck" });
  const { sent, how } = begin(clock, { bytes: 9, read: () => Promise.reject(fault) });
  await clock.advance(0);
  assert.deepEqual([sent, how], [["error 0"], [fault]]);
  assert.equal(clock.pending, 0);
});

test("100,000 mutated packets: none crashes, and nothing is read out of garbage", () => {
  const chance = new VirtualClock(8);
  let read = 0;
  for (let n = 0; n < mutations; n++) {
    const bytes = REQUEST.slice(0, chance.u32() % 4 === 0 ? chance.u32() % REQUEST.length : undefined);
    for (let times = chance.u32() % 4; times > 0 && bytes.length > 0; times--) {
      bytes[chance.u32() % bytes.length] = chance.u32() % 3 === 0 ? 0 : chance.u32() & 0xff;
    }
    decodeTftpAnswer(bytes);
    const got = decodeTftpRequest(bytes);
    if (got === undefined) continue;
    read++;
    assert.match(got.name, /^[\x01-\x7e]+$/);
    const { blockBytes, windowBlocks } = termsOf(got.options, 5);
    assert.ok(blockBytes >= 8 && blockBytes <= tftpBlockBytesMax && windowBlocks <= tftpWindowBlocksMax);
  }
  assert.ok(read > 0.1 * mutations && read < 0.95 * mutations, `${read} were requests`);
});
