// Outbox: what becomes of frames when the stream goes under their feet.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Stream } from "@libp2p/interface";
import { pause } from "./clock.ts";
import { Outbox } from "./transport_libp2p_outbox.ts";

/** A stream that says it can be written to, and throws, as libp2p's does when its connection is just being closed. */
function going() {
  const calls: number[] = [];
  const stream = {
    writeStatus: "writable",
    writeBufferLength: 0,
    addEventListener: () => {},
    send: ({ length }: Uint8Array) => {
      calls.push(length);
      throw new Error("Cannot write to a stream that is closing");
    },
  };
  return { calls, stream: stream as unknown as Stream };
}

test("a connection that goes while something is sent ends nothing but the stream", async () => {
  const { calls, stream } = going();
  const outbox = new Outbox(stream);
  assert.equal(outbox.put(0, new Uint8Array(100)), true, "gathered, to be sent in a moment");
  await pause(); // what is thrown there would end the process
  assert.equal(calls.length, 1);
  assert.equal(outbox.put(0, new Uint8Array(100_000)), false);
  assert.equal(calls.length, 3, "its head and itself");
});
