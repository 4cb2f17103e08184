// Memory booter: a Booter whose loaders, scripts and files are all in memory: for a small site, for a try-out and for the tests.
// It knows no machine from another, but for those that are given something of their own.
import { type Arch, type Booter, type BootFile, type FileStep, type Loader, type Machine } from "./booter.ts";
import { sha256, toHex } from "../../mq/mod.ts";
import type { Place } from "./place.ts";

export interface MemoryBooterParts {
  /** What firmware loads first, by what it can run: PXE and HTTP alike. Firmware that has none here is left alone. */
  loaders: Partial<Record<Arch, { name: string; bytes: Uint8Array }>>;
  /** What iPXE does, or undefined for a machine that is none of ours. */
  script(machine: Machine): string | undefined;
  /** Everything else, by name. */
  files?: Record<string, { bytes: Uint8Array; step?: FileStep }>;
  /** Which machines there are; without it all. */
  isKnown?(mac: string): boolean;
}

/** A file of these bytes. */
export function memoryFile(bytes: Uint8Array, step?: FileStep): BootFile {
  return {
    bytes: bytes.length,
    id: toHex(sha256(bytes)).slice(0, 32),
    read: (from, to) => Promise.resolve(bytes.subarray(from, to)),
    ...(step !== undefined && { step }),
  };
}

export class MemoryBooter implements Booter {
  readonly #parts: MemoryBooterParts;
  readonly #loaders = new Map<Arch, Loader>();
  readonly #files = new Map<string, BootFile>();

  constructor(parts: MemoryBooterParts) {
    this.#parts = parts;
    for (const [name, { bytes, step }] of Object.entries(parts.files ?? {})) {
      this.#files.set(name, memoryFile(bytes, step));
    }
    for (const [arch, { name, bytes }] of Object.entries(parts.loaders)) {
      const file = memoryFile(bytes, "loader");
      this.#files.set(name, file);
      this.#loaders.set(arch as Arch, { name, file });
    }
  }

  loaderFor({ mac, arch }: Machine): Promise<Loader | undefined> {
    return Promise.resolve(this.#isKnown(mac) ? this.#loaders.get(arch) : undefined);
  }

  scriptFor(machine: Machine): Promise<string | undefined> {
    return Promise.resolve(this.#isKnown(machine.mac) ? this.#parts.script(machine) : undefined);
  }

  fileAt({ mac, name }: Place): Promise<BootFile | undefined> {
    return Promise.resolve(mac === undefined || this.#isKnown(mac) ? this.#files.get(name) : undefined);
  }

  #isKnown(mac: string): boolean {
    return this.#parts.isKnown?.(mac) ?? true;
  }
}
