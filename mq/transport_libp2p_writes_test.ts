// Writes: what leaves in one piece, and what is not copied for it.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectionEncrypter, MessageStream } from "@libp2p/interface";
import { concat } from "./bytes.ts";
import { inOnePiece } from "./transport_libp2p_writes.ts";

/** What libp2p sends: parts, which `subarray` makes one of. */
class Parts {
  readonly parts: Uint8Array[];
  constructor(...parts: Uint8Array[]) {
    this.parts = parts;
  }
  get byteLength(): number {
    return this.subarray().length;
  }
  subarray(): Uint8Array {
    return concat(...this.parts);
  }
}

test("the parts of a short message are one piece, whoever dialled; long ones are left as they are", () => {
  const sent: unknown[] = [];
  const encrypter = inOnePiece(() =>
    ({
      secureInbound: (connection: MessageStream) => connection,
      secureOutbound: (connection: MessageStream) => connection,
    }) as unknown as ConnectionEncrypter
  )(undefined);
  const short = new Parts(Uint8Array.of(0, 3), Uint8Array.of(7, 8, 9));
  const long = new Parts(Uint8Array.of(0, 3), new Uint8Array(65_000));
  for (const secure of [encrypter.secureInbound, encrypter.secureOutbound] as unknown[]) {
    const connection = { send: (data: unknown) => sent.push(data) } as unknown as MessageStream;
    const secured = (secure as (connection: MessageStream) => MessageStream)(connection);
    secured.send(short as never);
    secured.send(long as never);
    assert.deepEqual(sent.splice(0), [Uint8Array.of(0, 3, 7, 8, 9), long]);
  }
});
