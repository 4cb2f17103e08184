// strip: drops what the loader never reads (symbol table, debug information) from an ELF64 executable.
// Not binutils' strip: it only cuts a tail off, and refuses a file whose loaded sections are not in front.
// It is here so that Node and npm alone build the same bytes everywhere, for both architectures.

const SHDR_BYTES = 64, SHF_ALLOC = 2, SHT_NOBITS = 8, SHT_STRTAB = 3;

/** A copy of `image` without the sections that are not loaded. */
export function strip(image: Uint8Array): Uint8Array {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const headers = Number(view.getBigUint64(40, true)), count = view.getUint16(60, true);
  const section = (i: number) => {
    const at = headers + i * SHDR_BYTES;
    return {
      at,
      name: view.getUint32(at, true),
      type: view.getUint32(at + 4, true),
      loaded: (view.getUint32(at + 8, true) & SHF_ALLOC) !== 0,
      offset: Number(view.getBigUint64(at + 24, true)),
      bytes: Number(view.getBigUint64(at + 32, true)),
    };
  };
  const all = Array.from({ length: count }, (_, i) => section(i));
  const kept = all.filter((s, i) => i === 0 || s.loaded);
  const names = all[view.getUint16(62, true)];
  const end = Math.max(...kept.map((s) => s.type === SHT_NOBITS ? s.offset : s.offset + s.bytes));
  const inFront = all.every((s, i) => kept.includes(s) ? i < kept.length : s.offset >= end || s.bytes === 0);
  if (count === 0 || !names || names.loaded || !inFront) {
    throw new Error("The executable cannot be stripped: its loaded sections are not in front (readelf -S).");
  }

  // Layout: the loaded bytes, the section names as they were, the kept headers and one for the names.
  const namesAt = end, headersAt = Math.ceil((end + names.bytes) / 8) * 8;
  const out = new Uint8Array(headersAt + (kept.length + 1) * SHDR_BYTES);
  out.set(image.subarray(0, end));
  out.set(image.subarray(names.offset, names.offset + names.bytes), namesAt);
  for (const [i, s] of kept.entries()) {
    out.set(image.subarray(s.at, s.at + SHDR_BYTES), headersAt + i * SHDR_BYTES);
  }
  const edit = new DataView(out.buffer), own = headersAt + kept.length * SHDR_BYTES;
  edit.setUint32(own, names.name, true);
  edit.setUint32(own + 4, SHT_STRTAB, true);
  edit.setBigUint64(own + 24, BigInt(namesAt), true);
  edit.setBigUint64(own + 32, BigInt(names.bytes), true);
  edit.setBigUint64(own + 48, 1n, true);
  edit.setBigUint64(40, BigInt(headersAt), true);
  edit.setUint16(60, kept.length + 1, true);
  edit.setUint16(62, kept.length, true);
  return out;
}
