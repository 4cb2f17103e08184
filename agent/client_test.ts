// client: what is said where no agent answers. The way of requests is in tests/cli.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { connect } from "./client.ts";

test("an agent that begins while we look for it is not one that refuses root; it is one that refuses others", async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-client-"));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const door = path.join(dir, "0.sock");
  const early = connect({ socket: door });
  fs.writeFileSync(door, "");
  await assert.rejects(early, { kind: "notRunning" });
  await assert.rejects(connect({ socket: path.join(dir, "1.sock") }), { kind: "denied" });
  fs.rmSync(door);
  await assert.rejects(connect({ socket: path.join(dir, "1.sock") }), { kind: "notRunning" });
});
