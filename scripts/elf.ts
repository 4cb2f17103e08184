// elf: takes a shared library out of an ELF64 executable by giving it the one function that it wants from there.
// Not a linker and not general: it edits what the dynamic loader reads, in place, and refuses anything else.
//
// What changes, all of it in the caller's bytes:
//   code      written into the zero bytes between the end of the executable segment and the next segment
//   segment   that segment's file and memory size grow over the code
//   symbol    becomes defined (SHN_ABS, at the code) and hidden, so that the loader binds the relocations of it
//             to this very executable without any look-up; the relocations themselves stay as they are
//   version   the symbol's version becomes "global", the library's record leaves the list of needed versions
//   needed    the library's DT_NEEDED entry leaves the dynamic table
//
// Formats: System V gABI chapters 4 and 5, and "Symbol Versioning" of the Linux Standard Base.

const PT_LOAD = 1, PT_DYNAMIC = 2, PF_X = 1;
const DT_NULL = 0, DT_NEEDED = 1, DT_STRTAB = 5, DT_SYMTAB = 6, DT_SYMENT = 11;
const DT_VERSYM = 0x6ffffff0, DT_VERNEED = 0x6ffffffe, DT_VERNEEDNUM = 0x6fffffff;
const SHT_DYNSYM = 11, SHT_VERNEED = 0x6ffffffe;
const SHN_UNDEF = 0, SHN_ABS = 0xfff1;
const GLOBAL_FUNC = 0x12, STV_HIDDEN = 2, VER_NDX_GLOBAL = 1;
const EHDR_BYTES = 64,
  PHDR_BYTES = 56,
  SHDR_BYTES = 64,
  SYM_BYTES = 24,
  DYN_BYTES = 16,
  CODE_ALIGN_BYTES = 16;

/** e_machine of the architectures that isconf is built for. */
export const MACHINE = { x64: 62, arm64: 183 } as const;

/** What {@link absorb} is to do: for `machine`, put `code` in place of `symbol` of `library`. */
export interface Absorb {
  machine: number;
  library: string;
  symbol: string;
  code: Uint8Array;
}

/**
 * Rids the non-PIE executable `image` of its dependency on `job.library`, in place.
 * Throws before the first change when the file is not as expected, in particular when it wants anything more
 * of the library than `job.symbol`.
 */
export function absorb(image: Uint8Array, job: Absorb): void {
  const elf = new Elf(image, job.machine);
  const gap = elf.codeGap(job.code.length);
  const need = elf.versionNeed(job.library);
  const symbol = elf.onlySymbol(need, job.library, job.symbol);
  const needed = elf.neededEntry(job.library);

  image.set(job.code, gap.offset);
  elf.setU64(gap.header + 32, gap.segmentBytes);
  elf.setU64(gap.header + 40, gap.segmentBytes);
  elf.view.setUint8(symbol.at + 5, STV_HIDDEN);
  elf.view.setUint16(symbol.at + 6, SHN_ABS, true);
  elf.setU64(symbol.at + 8, gap.address);
  elf.setU64(symbol.at + 16, job.code.length);
  elf.view.setUint16(symbol.version, VER_NDX_GLOBAL, true);
  elf.unlinkVersionNeed(need);
  image.copyWithin(needed, needed + DYN_BYTES, elf.dynamicEnd);
}

/** Names of the shared libraries that the executable asks the loader for. */
export function neededLibraries(image: Uint8Array): string[] {
  const elf = new Elf(image);
  return elf.dynamic.filter((d) => d.tag === DT_NEEDED).map((d) => elf.string(d.value));
}

interface Segment {
  header: number;
  type: number;
  flags: number;
  offset: number;
  address: number;
  fileBytes: number;
  memoryBytes: number;
}

interface VersionNeed {
  at: number;
  previous?: number;
  indices: Set<number>;
}

/** Offsets and tables of one ELF64 file. */
class Elf {
  readonly view: DataView;
  readonly segments: Segment[] = [];
  readonly dynamic: { at: number; tag: number; value: number }[] = [];
  /** Offset behind the closing DT_NULL entry. */
  readonly dynamicEnd: number;
  readonly #image: Uint8Array;

  constructor(image: Uint8Array, machine?: number) {
    this.#image = image;
    this.view = new DataView(image.buffer, image.byteOffset, image.byteLength);
    const elf64LittleEndian = image.length > EHDR_BYTES && this.view.getUint32(0) === 0x7f454c46 &&
      image[4] === 2 && image[5] === 1;
    expect(elf64LittleEndian, "it is not a little-endian ELF64 file");
    const found = this.view.getUint16(18, true);
    expect(machine === undefined || machine === found, `it is for machine ${found}, not ${machine}`);
    for (let i = 0; i < this.view.getUint16(56, true); i++) {
      const header = this.u64(32) + i * PHDR_BYTES;
      this.segments.push({
        header,
        type: this.view.getUint32(header, true),
        flags: this.view.getUint32(header + 4, true),
        offset: this.u64(header + 8),
        address: this.u64(header + 16),
        fileBytes: this.u64(header + 32),
        memoryBytes: this.u64(header + 40),
      });
    }
    let at = this.segments.find((s) => s.type === PT_DYNAMIC)?.offset ?? 0;
    expect(at > 0, "it has no dynamic table");
    for (;; at += DYN_BYTES) {
      const tag = this.u64(at);
      this.dynamic.push({ at, tag, value: this.u64(at + 8) });
      if (tag === DT_NULL) break;
    }
    this.dynamicEnd = at + DYN_BYTES;
  }

  /** The zero bytes behind the executable segment, with room for `bytes`. */
  codeGap(bytes: number): { header: number; offset: number; address: number; segmentBytes: number } {
    expect(
      this.view.getUint16(16, true) === 2,
      "it is position-independent, so that addresses are not final",
    );
    const loads = this.segments.filter((s) => s.type === PT_LOAD);
    const i = loads.findIndex((s) => s.flags & PF_X);
    const code = loads[i], next = loads[i + 1];
    if (!code || !next || loads.filter((s) => s.flags & PF_X).length !== 1) {
      throw new ElfError("it has not exactly one executable segment with another one behind");
    }
    expect(
      code.fileBytes === code.memoryBytes,
      "its executable segment is larger in memory than in the file",
    );
    const start = Math.ceil((code.offset + code.fileBytes) / CODE_ALIGN_BYTES) * CODE_ALIGN_BYTES;
    const address = code.address + start - code.offset;
    const free = start + bytes <= next.offset && address + bytes <= next.address &&
      this.#image.subarray(start, start + bytes).every((byte) => byte === 0);
    expect(free, `it has no ${bytes} free bytes behind its executable segment`);
    return { header: code.header, offset: start, address, segmentBytes: start + bytes - code.offset };
  }

  /** Offset of the library's DT_NEEDED entry. */
  neededEntry(library: string): number {
    const found = this.dynamic.filter((d) => d.tag === DT_NEEDED && this.string(d.value) === library);
    if (found.length !== 1 || !found[0]) {
      throw new ElfError(`it names ${library} ${found.length} times, not once`);
    }
    return found[0].at;
  }

  /** The record of the versions that are needed from `library`, with their indices. */
  versionNeed(library: string): VersionNeed {
    let previous: number | undefined;
    let at = this.offset(this.value(DT_VERNEED));
    for (let left = this.value(DT_VERNEEDNUM); left > 0; left--) {
      if (this.string(this.view.getUint32(at + 4, true)) === library) {
        const indices = new Set<number>();
        let aux = at + this.view.getUint32(at + 8, true);
        for (let n = this.view.getUint16(at + 2, true); n > 0; n--) {
          indices.add(this.view.getUint16(aux + 6, true));
          aux += this.view.getUint32(aux + 12, true);
        }
        expect(this.value(DT_VERNEEDNUM) > 1, `it needs versions of ${library} only`);
        return { at, previous, indices };
      }
      previous = at;
      at += this.view.getUint32(at + 12, true);
    }
    throw new ElfError(`it needs no version of ${library}`);
  }

  /** The symbol with a version of `need`; throws unless it is the only one and is the undefined function `name`. */
  onlySymbol(need: VersionNeed, library: string, name: string): { at: number; version: number } {
    const section = this.section(SHT_DYNSYM);
    expect(this.value(DT_SYMENT) === SYM_BYTES, "its symbols have an unknown size");
    const symbols = this.offset(this.value(DT_SYMTAB)), versions = this.offset(this.value(DT_VERSYM));
    const found: { at: number; version: number; name: string }[] = [];
    for (let i = 0; i < this.u64(section + 32) / SYM_BYTES; i++) {
      const at = symbols + i * SYM_BYTES, version = versions + i * 2;
      if (!need.indices.has(this.view.getUint16(version, true))) continue;
      found.push({ at, version, name: this.string(this.view.getUint32(at, true)) });
    }
    const names = found.map((symbol) => symbol.name).join(", ");
    const only = found[0];
    if (found.length !== 1 || only?.name !== name) {
      throw new ElfError(`it takes "${names}" from ${library}, and only ${name} can be replaced`);
    }
    const undefinedFunction = this.#image[only.at + 4] === GLOBAL_FUNC &&
      this.view.getUint16(only.at + 6, true) === SHN_UNDEF;
    expect(undefinedFunction, `its ${name} is not an undefined global function`);
    return only;
  }

  /** Takes a record out of the chain of needed versions. */
  unlinkVersionNeed({ at, previous }: VersionNeed): void {
    const step = this.view.getUint32(at + 12, true);
    if (step === 0) {
      // The last one: the one before becomes the last.
      this.view.setUint32((previous as number) + 12, 0, true);
    } else {
      // The next one moves here; its two offsets are relative to where it stands.
      const next = at + step, nextStep = this.view.getUint32(next + 12, true);
      this.#image.copyWithin(at, next, next + 16);
      this.view.setUint32(at + 8, this.view.getUint32(next + 8, true) + step, true);
      this.view.setUint32(at + 12, nextStep && nextStep + step, true);
    }
    const count = this.dynamic.find((d) => d.tag === DT_VERNEEDNUM) as { at: number; value: number };
    this.setU64(count.at + 8, count.value - 1);
    this.view.setUint32(this.section(SHT_VERNEED) + 44, count.value - 1, true);
  }

  /** Offset of the header of the one section of `type`. */
  section(type: number): number {
    for (let i = 0; i < this.view.getUint16(60, true); i++) {
      const header = this.u64(40) + i * SHDR_BYTES;
      if (this.view.getUint32(header + 4, true) === type) return header;
    }
    throw new ElfError(`it has no section of type 0x${type.toString(16)}`);
  }

  /** The value of a dynamic tag. */
  value(tag: number): number {
    const entry = this.dynamic.find((d) => d.tag === tag);
    if (!entry) throw new ElfError(`its dynamic table lacks the tag 0x${tag.toString(16)}`);
    return entry.value;
  }

  /** A string of the dynamic string table. */
  string(index: number): string {
    const start = this.offset(this.value(DT_STRTAB)) + index;
    return new TextDecoder().decode(this.#image.subarray(start, this.#image.indexOf(0, start)));
  }

  /** Where the byte that is loaded at `address` stands in the file. */
  offset(address: number): number {
    const home = this.segments.find((s) =>
      s.type === PT_LOAD && address >= s.address && address < s.address + s.fileBytes
    );
    if (!home) throw new ElfError(`the address 0x${address.toString(16)} is not in the file`);
    return home.offset + address - home.address;
  }

  u64(at: number): number {
    return Number(this.view.getBigUint64(at, true));
  }

  setU64(at: number, value: number): void {
    this.view.setBigUint64(at, BigInt(value), true);
  }
}

class ElfError extends Error {
  override readonly name = "ElfError";

  constructor(why: string) {
    super(`The executable cannot be edited: ${why}. Look at it with readelf -d -V and mend scripts/elf.ts.`);
  }
}

function expect(condition: boolean, why: string): void {
  if (!condition) throw new ElfError(why);
}
