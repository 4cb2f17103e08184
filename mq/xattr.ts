// Extended attributes, by the calls of libc.ts: names and values as bytes. Not which of them matter (fs/).
import { type Arg, call, cstr, type PathLike } from "./libc.ts";

/** XATTR_SIZE_MAX and XATTR_LIST_MAX (linux/limits.h). */
const xattrBytesMax = 65536;
/** Where the longest answers land; each is copied out before the next call. */
let scratch: Uint8Array | undefined;

type Xattr = "listxattr" | "getxattr" | "setxattr" | "removexattr";

/** One call on the attributes of an open file (a number) or of a path, which is never followed. */
function xattr(name: Xattr, file: PathLike | number, ...rest: Arg[]): number {
  return typeof file === "number" ? call(`f${name}`, file, ...rest) : call(`l${name}`, cstr(file), ...rest);
}

/** The names of all extended attributes. A number is an open file, a path is never followed. */
export function listXattr(file: PathLike | number): Uint8Array[] {
  const buf = (scratch ??= new Uint8Array(xattrBytesMax));
  const end = xattr("listxattr", file, buf, BigInt(buf.length));
  const names: Uint8Array[] = [];
  for (let at = 0; at < end;) {
    const zero = buf.indexOf(0, at);
    names.push(buf.slice(at, zero));
    at = zero + 1;
  }
  return names;
}

/** The value of one extended attribute; ENODATA when it is not there. */
export function getXattr(file: PathLike | number, name: PathLike): Uint8Array {
  const buf = (scratch ??= new Uint8Array(xattrBytesMax));
  return buf.slice(0, xattr("getxattr", file, cstr(name), buf, BigInt(buf.length)));
}

/** Creates or replaces one extended attribute. */
export function setXattr(file: PathLike | number, name: PathLike, value: Uint8Array): void {
  xattr("setxattr", file, cstr(name), value.length > 0 ? value : new Uint8Array(1), BigInt(value.length), 0);
}

/** Removes one extended attribute; ENODATA when it is not there. */
export function removeXattr(file: PathLike | number, name: PathLike): void {
  xattr("removexattr", file, cstr(name));
}
