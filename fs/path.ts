// path: names and paths as bytes, for the kernel and for people. It touches no disk.

/** The bytes of a path; text is UTF-8. */
export function pathBytes(path: Uint8Array | string): Uint8Array {
  return typeof path === "string" ? new TextEncoder().encode(path) : path;
}

/** The names between the slashes, without empty ones and without ".". */
export function components(path: Uint8Array): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = 0; at <= path.length;) {
    const slash = path.indexOf(0x2f, at);
    const end = slash < 0 ? path.length : slash;
    const name = path.subarray(at, end);
    if (name.length > 0 && !(name.length === 1 && name[0] === 0x2e)) out.push(name);
    at = end + 1;
  }
  return out;
}

/** A path for people: printable UTF-8 as it is, everything else, and the backslash, escaped. Never more than one line. */
export function showPath(path: Uint8Array | string): string {
  const bytes = pathBytes(path);
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.replace(
      /[\p{C}\p{Zl}\p{Zp}\\]/gu,
      (c) => c === "\\" ? "\\\\" : `\\u{${c.codePointAt(0)!.toString(16)}}`,
    );
  } catch (e) {
    if (!(e instanceof TypeError)) throw e;
    return Array.from(
      bytes,
      (b) => b === 0x5c ? "\\\\" : b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : hexEscape(b),
    ).join("");
  }
}

function hexEscape(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}
