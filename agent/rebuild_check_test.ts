// rebuild_check: what of two trees of files is told as different, and what is not. The twin itself is in tests/machines/rebuild_test.ts.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { capture, MemoryStore } from "../fs/mod.ts";
import { differencesOf } from "./rebuild_check.ts";

test("contents, modes and names are compared; times, what starts a twin, and what is excepted are not", async (t) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-twin-"));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const store = new MemoryStore();
  const tree = async (name: string, files: Record<string, string>, modes: Record<string, number> = {}) => {
    for (const [file, text] of Object.entries(files)) {
      const at = path.join(dir, name, file);
      fs.mkdirSync(path.dirname(at), { recursive: true });
      fs.writeFileSync(at, text);
      fs.chmodSync(at, modes[file] ?? 0o644);
    }
    return (await capture(store, path.join(dir, name))).id;
  };
  const same = { "etc/same": "1", "var/lib/systemd/x": "1", "var/lib/systemdx": "1" };
  for (const name of ["own", "twin"]) {
    for (const [file, last] of [["holes", 1], ["other-holes", name === "own" ? 1 : 2]] as const) {
      const at = path.join(dir, name, file);
      fs.mkdirSync(path.dirname(at), { recursive: true });
      const bytes = new Uint8Array(1 << 20);
      bytes[bytes.length - 1] = last;
      if (name === "twin") fs.writeFileSync(at, bytes);
      else {
        fs.writeFileSync(at, "");
        fs.truncateSync(at, bytes.length - 1);
        fs.appendFileSync(at, bytes.subarray(-1));
      }
      fs.chmodSync(at, 0o644);
    }
  }
  const own = await tree("own", { ...same, "srv/own": "1", "srv/both": "1", "srv/mode": "1" });
  fs.utimesSync(path.join(dir, "own/etc/same"), 1, 1);
  const old = await tree("own", {});
  const unit = "etc/systemd/system/isconf-install.service";
  const twin = await tree(
    "twin",
    {
      ...same,
      "var/lib/systemd/x": "2",
      "srv/both": "2",
      "srv/mode": "1",
      "srv/new\nline": "1",
      init: "",
      [unit]: "",
      "init.d": "",
      "boot/x": "",
      "etc/machine-id": "1",
      "var/log/a": "1",
    },
    { "srv/mode": 0o600 },
  );
  const told = async (own: string, except: string[] = []) => {
    const { differences: lines, isMore } = await differencesOf(store, own, twin, except);
    assert.equal(isMore, false);
    return lines.map(({ path, change, what }) => [change, path, ...what].join(" "));
  };
  const srv = [
    "changed /srv/both content",
    "changed /srv/mode mode",
    "added /srv/new\\u{a}line",
    "removed /srv/own",
  ];
  assert.deepEqual(
    (await told(own)).sort(),
    [
      "added /etc/systemd",
      "added /etc/systemd/system",
      "added /init.d",
      "changed /other-holes content",
      ...srv,
      "changed /var/lib/systemd/x content",
    ].sort(),
  );
  assert.deepEqual(await told(old), await told(own), "only a time");
  const left = (await told(own, ["/var/lib/systemd", "/etc/systemd", "/srv/both"])).sort();
  assert.deepEqual(left, ["added /init.d", "changed /other-holes content", ...srv.slice(1)].sort());
});
