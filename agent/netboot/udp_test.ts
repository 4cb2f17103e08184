// udp: what was sent before closing arrives; a port that is taken is a fault that names it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../tests/holder.ts";
import { Fault } from "../../mq/mod.ts";
import { openUdp } from "./udp.ts";

const HERE = { address: "127.0.0.1", port: 0 };

test("what was sent before closing is sent; after it nothing is", async () => {
  const heard: string[] = [];
  const lost = (message: string) => assert.fail(message);
  const ear = await openUdp(HERE, {
    heard: (bytes) => void heard.push(new TextDecoder().decode(bytes)),
    lost,
  });
  const mouth = await openUdp(HERE, { heard() {}, lost });
  mouth.send(new Uint8Array([1]), { address: HERE.address, port: 0 }); // nobody can be there, and it is no reason to end
  mouth.send(new TextEncoder().encode("last words"), ear.end);
  await mouth.close();
  mouth.send(new Uint8Array([1]), ear.end);
  await mouth.close();
  await until("they are heard", () => heard.length > 0, 15_000);
  assert.deepEqual(heard, ["last words"]);
  await ear.close();
});

test("a port that is taken is a fault that names it", async () => {
  const quiet = { heard() {}, lost() {} };
  const first = await openUdp(HERE, quiet);
  await assert.rejects(openUdp(first.end, quiet), (e) => {
    assert.ok(e instanceof Fault && e.kind === "environment");
    assert.match(e.message, new RegExp(`port ${first.end.port} of 127\\.0\\.0\\.1`));
    return true;
  });
  await first.close();
});
