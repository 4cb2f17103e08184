// Probe: whether the processor can run a guest by itself. That /dev/kvm is there, and opens, says little: inside of another machine it
// may not work, or not come back. So one instruction is run with it, with a deadline. Not what a machine is made of.
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { probeMs } from "./limits.ts";
import { type Place, scriptEnv } from "./place.ts";
import { memoryFile } from "./script.ts";

export type Accelerator = "kvm" | "tcg";

/** What the exit port ends QEMU with, when 0x10 is written to it: twice that and one. */
const PROVEN = 0x21;
const FIRMWARE_BYTES = 65536;
/** mov al, 0x10; out 0xf4, al; hlt: at the place where a processor begins. */
const CODE = [0xb0, 0x10, 0xe6, 0xf4, 0xf4];

/** KVM where it works, else QEMU's own translation, which is slower and works everywhere. */
export async function accelerator(place: Place, qemu: string, device = "/dev/kvm"): Promise<Accelerator> {
  try {
    fs.accessSync(device, fs.constants.R_OK | fs.constants.W_OK);
  } catch {
    return "tcg"; // not there, or not for this user: both are usual
  }
  return await runs(place, qemu, "kvm") ? "kvm" : "tcg";
}

/** Whether an accelerator runs an instruction of a guest before the deadline. */
export async function runs(place: Place, qemu: string, name: Accelerator): Promise<boolean> {
  const firmware = memoryFile("firmware");
  try {
    const image = new Uint8Array(FIRMWARE_BYTES).fill(0xf4);
    image.set(CODE, FIRMWARE_BYTES - 16);
    fs.writeSync(firmware, image);
    const words = ["-accel", name, "-machine", "pc", "-nodefaults", "-no-user-config", "-display", "none"];
    const more = ["-m", "16", "-bios", "/proc/self/fd/3", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"];
    const child = spawn(qemu, [...words, ...more], {
      cwd: "/",
      env: scriptEnv(place),
      stdio: ["ignore", "ignore", "ignore", firmware],
    });
    return await new Promise((resolve) => {
      const cancel = place.clock.after(probeMs, () => child.kill("SIGKILL"));
      const end = (is: boolean) => (cancel(), resolve(is));
      child.once("error", () => end(false));
      child.once("exit", (code) => end(code === PROVEN));
    });
  } finally {
    fs.closeSync(firmware);
  }
}
