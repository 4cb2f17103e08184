// vm guest: a kernel of Debian's with an initrd of one program, for tests that run machines. Not a test.
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

const CACHE = process.env.ISCONF_TEST_CACHE ?? "/var/tmp/isconf-test-cache";

/** Where scripts/ci_setup.sh puts a kernel, and where an installed one lies. */
const ROOTS = [`${CACHE}/kernel`, ""];

export interface Guest {
  kernel: string;
  initrd: string;
}

/** The newest kernel for clouds under one of the roots, with its modules. */
function kernelIn(root: string): { kernel: string; modules: string } | undefined {
  if (!fs.existsSync(`${root}/boot`)) return undefined;
  const names = fs.readdirSync(`${root}/boot`).filter((name) => /^vmlinuz-.*-cloud-amd64$/.test(name)).sort();
  const version = names.at(-1)?.slice("vmlinuz-".length);
  if (version === undefined) return undefined;
  return { kernel: `${root}/boot/vmlinuz-${version}`, modules: `${root}/lib/modules/${version}/kernel` };
}

/** Why there can be no guest here; false when there can. */
export function lacksKernel(): string | false {
  return ROOTS.some((root) => kernelIn(root) !== undefined) ? false : `needs a kernel: scripts/ci_setup.sh`;
}

/** Puts a kernel and an initrd into a directory, for anybody to read. */
export function makeGuest(dir: string): Guest {
  const { kernel, modules } = ROOTS.flatMap((root) => kernelIn(root) ?? [])[0]!;
  const init = path.join(dir, "init");
  const source = fileURLToPath(new URL("./vm_guest.c", import.meta.url));
  execFileSync("gcc", ["-static", "-Os", "-s", "-o", init, source], { timeout: 60_000 });
  const files: [name: string, mode: number, bytes: Uint8Array][] = [
    ["init", 0o100755, fs.readFileSync(init)],
    ["button.ko", 0o100644, fs.readFileSync(`${modules}/drivers/acpi/button.ko`)],
    ["evdev.ko", 0o100644, fs.readFileSync(`${modules}/drivers/input/evdev.ko`)],
  ];
  const guest = { kernel: path.join(dir, "kernel"), initrd: path.join(dir, "initrd") };
  fs.copyFileSync(kernel, guest.kernel);
  fs.writeFileSync(guest.initrd, archive(files));
  for (const file of Object.values(guest)) fs.chmodSync(file, 0o644);
  return guest;
}

/** A cpio archive in the form that kernels unpack (newc: cpio(5)), with a console for the first process. */
function archive(files: [name: string, mode: number, bytes: Uint8Array][]): Uint8Array {
  const member = (name: string, mode: number, bytes: Uint8Array, device: [number, number], i: number) => {
    const fields = [i, mode, 0, 0, 1, 0, bytes.length, 0, 0, ...device, name.length + 1, 0];
    const head = Buffer.from(`070701${fields.map((n) => n.toString(16).padStart(8, "0")).join("")}${name}\0`);
    return Buffer.concat([padded(head), padded(bytes)]);
  };
  const none = new Uint8Array();
  return Buffer.concat([
    member("dev", 0o040755, none, [0, 0], 1),
    member("dev/console", 0o020600, none, [5, 1], 2),
    ...files.map(([name, mode, bytes], i) => member(name, mode, bytes, [0, 0], i + 3)),
    member("TRAILER!!!", 0, none, [0, 0], 0),
  ]);
}

const padded = (bytes: Uint8Array) => Buffer.concat([bytes, new Uint8Array((4 - bytes.length % 4) % 4)]);
