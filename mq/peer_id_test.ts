// peer_id: the names are libp2p's, byte for byte, and nothing else passes for one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { publicKeyFromRaw } from "@libp2p/crypto/keys";
import { peerIdFromPublicKey } from "@libp2p/peer-id";
import { fromHex } from "./bytes.ts";
import { VirtualClock } from "./clock.ts";
import { generateKeyPair } from "./ed25519.ts";
import { isPeerId, peerIdOf } from "./peer_id.ts";

test("a key has the name that libp2p gives it", () => {
  // the Ed25519 example of the libp2p specs (peer-ids)
  const key = fromHex("1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e");
  assert.equal(peerIdOf(key), peerIdFromPublicKey(publicKeyFromRaw(key)).toString());
  const clock = new VirtualClock(1);
  for (let i = 0; i < 200; i++) {
    const { publicKey } = generateKeyPair(clock);
    const name = peerIdOf(publicKey);
    assert.equal(name, peerIdFromPublicKey(publicKeyFromRaw(publicKey)).toString());
    assert.ok(isPeerId(name));
  }
});

test("what is no name is none", () => {
  const name = peerIdOf(new Uint8Array(32));
  for (const text of ["", name + "1", name.slice(0, -1), name.replace("K", "0"), name + "\n", `a${name}`]) {
    assert.ok(!isPeerId(text), text);
  }
  assert.throws(() => peerIdOf(new Uint8Array(33)), { kind: "corrupt" });
});
