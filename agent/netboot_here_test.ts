// netboot_here: what a machine would get is said without what lets it in. The servers themselves are in tests/netboot.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { makeFirstHost } from "../tests/world.ts";
import { writeToken } from "./token.ts";

const MAC = "52:54:00:12:34:56";

test("a profile is shown to who may read, its token only when that lets nobody in", async (t) => {
  const { home, acts, call } = await makeFirstHost(t);
  const dir = `${home.config}/netboot.d`;
  fs.mkdirSync(dir);
  const token = (secret: Uint8Array) => {
    const key = new Uint8Array(32).fill(1);
    return writeToken({ domain: key, id: "00", secret, addresses: ["192.0.2.1:4726"], net: key });
  };
  const shown = (word: string, more: string) => {
    fs.writeFileSync(`${dir}/x.profile`, `for = any\nkernel = a\njoin = ${word}\n${more}`, { mode: 0o644 });
    return acts.netboot.bootFor(call(), { mac: MAC });
  };
  const open = token(new Uint8Array(0)), secret = token(new Uint8Array(32).fill(2));
  assert.equal(shown(open, "").join, open);
  const hidden = shown(secret, "trust = low\n");
  assert.ok(!JSON.stringify(hidden).includes(secret) && hidden.join !== "", hidden.join);
});
