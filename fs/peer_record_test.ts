// peer_record: what counts as a record of a peer, and which of several counts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encode, generateKeyPair, type PeerId, peerIdOf, sign1, VirtualClock } from "../mq/mod.ts";
import { peerAddressesMax, peerRecordBytesMax } from "./limits.ts";
import { peerRecordKey, PeerRecords, readPeerRecord, writePeerRecord } from "./peer_record.ts";

const clock = new VirtualClock(1);
const pair = generateKeyPair(clock), other = generateKeyPair(clock);
const peer = peerIdOf(pair.publicKey);
const key = peerRecordKey(peer);
const record = (seq: number, address = "10.0.0.1:4726") =>
  writePeerRecord("net", pair, { addresses: [address], seq });

function records(admits: (peer: PeerId) => boolean = () => true): PeerRecords {
  const newest = new Map<PeerId, number>();
  return new PeerRecords("net", admits, newest);
}

test("a record says what it was made from", () => {
  assert.deepEqual(readPeerRecord("net", key, record(7)), { peer, addresses: ["10.0.0.1:4726"], seq: 7 });
  assert.equal(new TextDecoder().decode(key), `/isconf-peer/${peer}`);
});

test("older than seen before: refused; the same and newer: accepted; one that is refused changes nothing", () => {
  const { validate } = bound(records());
  validate(key, record(5));
  validate(key, record(5));
  assert.throws(() => validate(key, record(4)), { kind: "refused" });
  validate(key, record(6));
  assert.throws(() => validate(key, record(5)), { kind: "refused" });
  const forged = writePeerRecord("net", other, { addresses: [], seq: 100 });
  assert.throws(() => validate(key, forged), { kind: "corrupt" });
  validate(key, record(7));
});

test("of a peer that is not let in, of another network, of another peer, changed, too large, of another form", () => {
  const admitted = new Set<PeerId>();
  const { validate } = bound(records((who) => admitted.has(who)));
  assert.throws(() => validate(key, record(1)), { kind: "denied" });
  admitted.add(peer);
  const corrupt = { kind: "corrupt" };
  assert.throws(() => readPeerRecord("other", key, record(1)), corrupt);
  assert.throws(() => validate(peerRecordKey(peerIdOf(other.publicKey)), record(1)), corrupt);
  const good = record(1);
  for (let i = 0; i < good.length; i++) {
    const changed = good.slice();
    changed[i]! ^= 1;
    assert.throws(() => validate(key, changed), corrupt, `byte ${i}`);
  }
  assert.throws(() => validate(key, good.subarray(1)), corrupt);
  assert.throws(() => validate(key, new Uint8Array(peerRecordBytesMax + 1)), corrupt);
  const context = { type: "isconf/peer/1", domain: new TextEncoder().encode("net"), branch: "" };
  const signed = (said: Parameters<typeof encode>[0]) =>
    encode([pair.publicKey, sign1(pair, context, encode(said))]);
  const many = new Array(peerAddressesMax + 1).fill("1.2.3.4:5");
  for (const said of [[[], -1], [[1], 1], [[], 1, 1], [["x".repeat(65)], 1], [many, 1], "x", {}]) {
    assert.throws(() => validate(key, signed(said)), corrupt);
  }
  for (const bad of ["", "/isconf-peer/", `/isconf-peer/${peer}/x`, `/pk/${peer}`, "/isconf-peer/x"]) {
    assert.throws(() => validate(new TextEncoder().encode(bad), good), corrupt, bad);
  }
  validate(key, good);
  assert.throws(() => writePeerRecord("net", pair, { addresses: many, seq: 1 }), { kind: "usage" });
});

test("of several the newest that is one is taken, of equals always the same", () => {
  const { select } = bound(records());
  const forged = writePeerRecord("net", other, { addresses: [], seq: 100 });
  assert.equal(select(key, [record(1), record(3), forged, record(2)]), 1);
  const equals = [record(3, "10.0.0.1:1"), record(3, "10.0.0.2:1")];
  const taken = equals[select(key, equals)];
  assert.equal([...equals].reverse()[select(key, [...equals].reverse())], taken);
});

function bound(made: PeerRecords) {
  return { validate: made.validate.bind(made), select: made.select.bind(made) };
}
