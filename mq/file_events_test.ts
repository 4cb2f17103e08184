// file events: what this machine's own kernel tells of a directory; skipped, with the reason printed, where it may not be asked.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import {
  AT_FDCWD,
  closeFd,
  errnoCode,
  FAN,
  listenToFiles,
  openAt,
  openHandle,
  readFileEvents,
  readlinkAt,
} from "./mod.ts";

/** Why nothing can be listened to here; false when it can. */
function lacks(): string | false {
  try {
    closeFd(listenToFiles(os.tmpdir()));
    return false;
  } catch (e) {
    return `the file system of ${os.tmpdir()} cannot be listened to: ${errnoCode(e)}`;
  }
}

const reason = lacks();
if (reason) console.log(`skipped: file events: ${reason}`);

test(
  "what is done to names of a file system is told with directory, name and process",
  { skip: reason },
  () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-events-"));
    const events = listenToFiles(dir);
    const mount = openAt(AT_FDCWD, os.tmpdir(), fs.constants.O_RDONLY);
    try {
      assert.ok(fs.existsSync(dir)); // to look is no event
      fs.writeFileSync(`${dir}/a`, "x");
      fs.renameSync(`${dir}/a`, `${dir}/b`);
      fs.chmodSync(`${dir}/b`, 0o600);
      fs.mkdirSync(`${dir}/d`);
      fs.rmSync(`${dir}/b`);
      const seen = new Map<string, number>();
      for (let some = readFileEvents(events); some.length > 0; some = readFileEvents(events)) {
        for (const { pid, dir: handle, name, mask } of some) {
          if (pid !== process.pid) continue; // others on this machine
          const fd = openHandle(mount, handle);
          const where = Buffer.from(readlinkAt(AT_FDCWD, `/proc/self/fd/${fd}`)).toString();
          closeFd(fd);
          if (where !== dir) continue;
          const key = Buffer.from(name).toString();
          seen.set(key, (seen.get(key) ?? 0) | mask);
        }
      }
      const has = (name: string, ...kinds: (keyof typeof FAN)[]) =>
        kinds.filter((kind) => ((seen.get(name) ?? 0) & FAN[kind]) === 0);
      assert.deepEqual(has("a", "create", "closeWrite", "movedFrom"), []);
      assert.deepEqual(has("b", "movedTo", "attributes", "delete"), []);
      assert.deepEqual(has("d", "create", "directory"), []);
      assert.deepEqual([...seen.keys()].sort(), ["a", "b", "d"]);
      fs.rmdirSync(`${dir}/d`);
      const [gone] = readFileEvents(events).filter(({ pid, name }) =>
        pid === process.pid && Buffer.from(name).toString() === "d"
      );
      assert.ok(gone);
      fs.rmdirSync(dir);
      assert.throws(() => openHandle(mount, gone.dir), { code: "ESTALE" });
    } finally {
      closeFd(events);
      closeFd(mount);
      fs.rmSync(dir, { recursive: true, force: true });
    }
  },
);
