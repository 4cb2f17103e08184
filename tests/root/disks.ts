// disks: disks of test hosts: files behind loop devices. Not a test.
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { lacksFleet } from "../fleet/fleet.ts";
import { type Host, type Owner, until } from "../hosts.ts";
import { must } from "../programs.ts";

const MIB = 2 ** 20;

/** Why there can be no disks, or one of these programs is not there; false when all is. */
export function lacksDisks(...programs: string[]): string | false {
  const lack = lacksFleet("losetup", "mknod", ...programs);
  if (lack) return lack;
  const { status, stderr } = spawnSync("losetup", ["--find"]);
  return status === 0 ? false : `needs loop devices: ${String(stderr).trim()}`;
}

/** A disk of a host, gone as soon as the host is and nobody has it open: the device, and the file behind it. */
export async function addDisk(t: Owner, host: Host, mib: number): Promise<{ disk: string; file: string }> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-disk-"));
  t.after(() => Promise.resolve(fs.rmSync(dir, { recursive: true, force: true })));
  const file = `${dir}/disk`;
  fs.writeFileSync(file, "");
  fs.truncateSync(file, mib * MIB);
  const disk = must("losetup", "--find", "--show", "--partscan", file).trim();
  try {
    const numbers = fs.readFileSync(`/sys/class/block/${path.basename(disk)}/dev`, "utf8").trim().split(":");
    await host.must(["mknod", disk, "b", ...numbers]);
    const open = host.spawn(["sh", "-c", 'exec <"$1"; echo open; exec sleep 900', "sh", disk], {
      timeoutMs: 1_000_000,
    });
    await until("the disk is open", () => open.said() === "open\n");
  } finally {
    must("losetup", "--detach", disk); // it goes with who has it open
  }
  return { disk, file };
}
