// Booter: the one interface between "which machine is this" and "which bytes does it get". The servers of this folder speak protocols and decide
// nothing of that; what stands behind it knows no packets. Not a store: memory_booter.ts is one such thing.
import { Fault } from "../../mq/mod.ts";
import type { Place } from "./place.ts";

/** What a machine's firmware can run. */
export const ARCHES = ["bios", "uefi-x64", "uefi-arm64"] as const;
export type Arch = typeof ARCHES[number];

/** Who asks: the firmware by PXE, iPXE, or the firmware by HTTP. */
export type Program = "rom" | "ipxe" | "http";

/** A machine as it describes itself. Nothing of this is proven: whoever is on the wire can say it. */
export interface Machine {
  /** Lower case, with colons. */
  mac: string;
  arch: Arch;
  program: Program;
  /** What option 97 says, as `dmidecode -s system-uuid` shows it on the machine; some firmware has only noughts. */
  uuid?: string;
}

/** What a file is for, as far as anybody wants to follow it. */
export type FileStep = "loader" | "kernel" | "initrd" | "image";

/** Bytes that do not change while they are read. */
export interface BootFile {
  bytes: number;
  /** The bytes from `from` up to, not including, `to`; `0 <= from <= to <= bytes`. A piece is good until the next is asked for. */
  read(from: number, to: number): AsyncIterable<Uint8Array> | Promise<Uint8Array>;
  /** A name for exactly these bytes (letters, digits, `-` and `_`): what an ETag is made of. */
  id?: string;
  /** Only what is a `loader` is handed out over TFTP. */
  step?: FileStep;
}

/** What a machine is to load first, and under which name it asks for that (place.ts). */
export interface Loader {
  name: string;
  file: BootFile;
}

/** Each answer may be undefined: this machine, or this name, is none of ours. Throwing is taken for the same, and logged. */
export interface Booter {
  /** What firmware loads first. */
  loaderFor(machine: Machine): Promise<Loader | undefined>;
  /** What iPXE does. */
  scriptFor(machine: Machine): Promise<string | undefined>;
  /** Any file, loaders too. */
  fileAt(place: Place): Promise<BootFile | undefined>;
}

/** The bytes of a part of a file, in pieces, exactly as many as there are to be. Throws a corrupt fault when they are not. */
export async function* piecesOf(file: BootFile, from: number, to: number): AsyncIterable<Uint8Array> {
  const got = file.read(from, to);
  let left = to - from;
  for await (const piece of got instanceof Promise ? [await got] : got) {
    left -= piece.length;
    if (left < 0) break;
    yield piece;
  }
  if (left !== 0) {
    throw new Fault("netboot", "corrupt", "a file for booting is not as long as it was said to be", {
      hint: "isconf fsck",
    });
  }
}

/** A part of a file as one piece. */
export async function bytesOf(file: BootFile, from = 0, to = file.bytes): Promise<Uint8Array> {
  const bytes = new Uint8Array(to - from);
  let at = 0;
  for await (const piece of piecesOf(file, from, to)) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/**
 * The same file with noughts up to the next multiple of `step` bytes. Each initrd needs it: on UEFI they are put one behind the other in memory, and
 * the kernel does not find an archive that begins between two multiples of 4.
 */
export function padded(file: BootFile, step = 4): BootFile {
  const more = (step - file.bytes % step) % step;
  if (more === 0) return file;
  return {
    ...file,
    bytes: file.bytes + more,
    ...(file.id !== undefined && { id: `${file.id}-p${more}` }),
    async *read(from, to) {
      if (from < file.bytes) yield* piecesOf(file, from, Math.min(to, file.bytes));
      if (to > file.bytes) yield new Uint8Array(to - Math.max(from, file.bytes));
    },
  };
}
