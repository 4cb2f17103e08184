// cgroup: what a command has started before it was taken into its cgroup is taken in, too, and killed with it. Not where the agent gets
// its own from (tests/root/run_test.ts).
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { lacks } from "../tests/programs.ts";
import { until } from "../tests/world.ts";
import { Cgroups } from "./cgroup.ts";

const skip = lacks({ root: true, programs: ["mount", "umount"] });
if (skip) console.log(`skipped: what a command has started before it is taken in: ${skip}`);

const pidsIn = (dir: string) =>
  fs.readFileSync(`${dir}/cgroup.procs`, "utf8").trim().split("\n").filter(Boolean).map(Number).sort();

test(
  "who was started between the start and the taking in is taken in as well; who was there before is not, and both as often as one likes",
  { skip },
  async (t) => {
    const point = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-cgroup-"));
    assert.equal(spawnSync("mount", ["-t", "cgroup2", "none", point]).status, 0);
    const from = path.join(point, `isconf-test-${process.pid}`);
    t.after(async () => {
      for (
        const dir of fs.existsSync(from)
          ? [...fs.readdirSync(from).filter((n) => n.startsWith("command-")).map((n) => `${from}/${n}`), from]
          : []
      ) {
        fs.writeFileSync(`${dir}/cgroup.kill`, "1");
        await until("it is empty", () => pidsIn(dir).length === 0);
        fs.rmdirSync(dir);
      }
      spawnSync("umount", [point]);
      fs.rmdirSync(point);
    });
    fs.mkdirSync(from);
    /** How many sleep there: a shell between two commands, or one that is about to end, counts for nothing. */
    const asleep = () =>
      pidsIn(from).filter((pid) => {
        try {
          return fs.readFileSync(`/proc/${pid}/comm`, "utf8") === "sleep\n";
        } catch {
          return false;
        }
      }).length;
    /** Starts a shell in the agent's cgroup, and returns it when that many more sleep there. */
    const start = async (script: string, sleepers: number) => {
      const before = asleep();
      const child = spawn("sh", ["-c", `read go; ${script}`], { stdio: ["pipe", "ignore", "ignore"] });
      fs.writeFileSync(`${from}/cgroup.procs`, String(child.pid));
      child.stdin!.end("go\n");
      await until("they run", () => asleep() === before + sleepers);
      return child;
    };
    const other = await start("exec sleep 300", 1);
    const cgroups = new Cgroups(from);
    for (let i = 0; i < 2; i++) {
      const command = cgroups.make();
      const child = await start("setsid sleep 300 & (setsid sleep 300 &); sleep 300; :", 3);
      command.take(child.pid!);
      const [name] = fs.readdirSync(from).filter((one) => one.startsWith("command-"));
      assert.equal(pidsIn(`${from}/${name}`).length, 4, "all that the command has started");
      assert.deepEqual(pidsIn(from), [other.pid], "and nobody else");
      const gone = once(child, "exit");
      command.kill();
      await gone;
      await until("all of them are dead", () => pidsIn(`${from}/${name}`).length === 0);
      command.end();
      assert.equal(fs.existsSync(`${from}/${name}`), false);
    }
  },
);
