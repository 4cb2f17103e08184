// initramfs: the smallest thing that a kernel can start: archives in the form that it unpacks, and a program for x86-64 that says a line and turns the
// machine off. Made here, so that nothing has to be built or installed for it. Not an installer.
import { Buffer } from "node:buffer";
import { writeCpio } from "../../fs/mod.ts";

/** Linux, x86-64: write(1, line); reboot(power off); pause for ever. */
export function sayAndTurnOff(line: string): Uint8Array {
  const text = Buffer.from(`${line}\n`);
  const u32 = (n: number) => [n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >>> 24) & 255];
  const code = [
    ...[0xb8, ...u32(1)], //                    mov eax, 1       write
    ...[0xbf, ...u32(1)], //                    mov edi, 1
    ...[0x48, 0x8d, 0x35, ...u32(0)], //        lea rsi, [rip + text], filled in below
    ...[0xba, ...u32(text.length)], //          mov edx, length
    ...[0x0f, 0x05], //                         syscall
    ...[0xb8, ...u32(169)], //                  mov eax, 169     reboot
    ...[0xbf, ...u32(0xfee1dead)], //           mov edi, LINUX_REBOOT_MAGIC1
    ...[0xbe, ...u32(672274793)], //            mov esi, LINUX_REBOOT_MAGIC2
    ...[0xba, ...u32(0x4321fedc)], //           mov edx, LINUX_REBOOT_CMD_POWER_OFF
    ...[0x0f, 0x05], //                         syscall
    ...[0xb8, ...u32(34), 0x0f, 0x05], //       mov eax, 34      pause
    ...[0xeb, 0xf7], //                         jmp to that
  ];
  const leaAt = 10, leaBytes = 7;
  code.splice(leaAt + 3, 4, ...u32(code.length - leaAt - leaBytes));
  const HEAD = 64 + 56, AT = 0x400000;
  const file = Buffer.alloc(HEAD + code.length + text.length);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // ELF of 64 bits, little-endian
  file.writeUInt16LE(2, 16); // a program
  file.writeUInt16LE(62, 18); // for x86-64
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(AT + HEAD), 24); // where it begins
  file.writeBigUInt64LE(64n, 32); // the program header
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  file.writeUInt32LE(1, 64); // all of it is loaded,
  file.writeUInt32LE(5, 68); // to be read and run
  file.writeBigUInt64LE(BigInt(AT), 80);
  file.writeBigUInt64LE(BigInt(AT), 88);
  file.writeBigUInt64LE(BigInt(file.length), 96);
  file.writeBigUInt64LE(BigInt(file.length), 104);
  file.writeBigUInt64LE(0x1000n, 112);
  file.set(code, HEAD);
  file.set(text, HEAD + code.length);
  return file;
}

/** One name of an archive, all of them root's. */
export interface Named {
  name: string;
  mode: number;
  bytes?: Uint8Array;
  /** Of a device: its numbers. */
  device?: [major: number, minor: number];
}

/** An archive as the kernel unpacks it. */
export async function cpio(entries: Named[]): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const whole = entries.map(({ name, bytes = new Uint8Array(0), ...rest }) => ({
    path: Buffer.from(name),
    uid: 0,
    gid: 0,
    mtime: 0,
    size: bytes.length,
    content: [bytes],
    ...rest,
  }));
  for await (const piece of writeCpio(whole)) pieces.push(piece);
  return Buffer.concat(pieces);
}
