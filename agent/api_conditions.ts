// API conditions: what the headers of a request ask of a representation: preconditions and ranges (RFC 9110, 13 and 14),
// and digests of contents (RFC 9530). Pure functions: nothing is read and nothing answered here.
import { fromHex, toHex } from "../mq/mod.ts";

/** What is to be answered: all of it, a part from `from` up to `to`, or no content at all. */
export type Wanted = { status: 200 | 304 | 412 | 416 } | { status: 206; from: number; to: number };

/**
 * What a GET or HEAD wants of a representation of `size` bytes with this strong `etag`, in the order of RFC 9110, 13.2.2.
 * There are no dates to compare with, so that conditions on one never hold.
 */
export function wanted(
  header: (name: string) => string | undefined,
  etag: string,
  size: number,
): Wanted {
  const ifMatch = header("if-match");
  if (ifMatch !== undefined && !names(ifMatch, etag, "strong")) return { status: 412 };
  const ifNone = header("if-none-match");
  if (ifNone !== undefined && names(ifNone, etag, "weak")) return { status: 304 };
  const ifRange = header("if-range");
  if (ifRange !== undefined && ifRange.trim() !== etag) return { status: 200 };
  return range(header("range") ?? "", size);
}

/** Whether a list of entity tags names this strong one (RFC 9110, 8.8.3 and 13.1). */
function names(list: string, etag: string, comparison: "strong" | "weak"): boolean {
  if (list.trim() === "*") return true;
  const tags = [...list.matchAll(/(W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g)];
  return tags.some(([, weak, tag]) => tag === etag && (comparison === "weak" || weak === undefined));
}

/** The one range that is asked for; of several, and of none that can be understood, the whole (RFC 9110, 14.2). */
function range(header: string, size: number): Wanted {
  const specs = /^\s*bytes\s*=(.*)$/i.exec(header)?.[1]?.split(",").map((s) => s.trim()).filter((s) =>
    s !== ""
  );
  const [, first = "", last = ""] = (specs?.length === 1 && /^([0-9]*)-([0-9]*)$/.exec(specs[0]!)) || [];
  if (first === "" && last === "") return { status: 200 };
  if (first === "") {
    if (Number(last) === 0) return { status: 416 };
    if (size === 0) return { status: 200 }; // no Content-Range can say "the last bytes of nothing"
    return { status: 206, from: Math.max(0, size - Number(last)), to: size };
  }
  if (last !== "" && Number(last) < Number(first)) return { status: 200 };
  if (Number(first) >= size) return { status: 416 };
  return { status: 206, from: Number(first), to: last === "" ? size : Math.min(size, Number(last) + 1) };
}

/** A SHA-256 as the value of Repr-Digest (RFC 9530, 2 and 3; byte sequences: RFC 9651, 3.3.5). */
export function digestField(sha256: string): string {
  return `sha-256=:${Buffer.from(fromHex(sha256)).toString("base64")}:`;
}

/**
 * The SHA-256 that a Content-Digest or Repr-Digest names, in hex; undefined when it names only others, which need not be
 * known, and "" when it names one that is none.
 */
export function digestIn(field: string): string | undefined {
  const named = field.split(",").map((s) => s.trim()).findLast((member) =>
    /^sha-256(?![a-z0-9_.*-])/.test(member)
  );
  if (named === undefined) return undefined;
  const text = /^sha-256=:([A-Za-z0-9+/]{43}=?):(?:;.*)?$/.exec(named)?.[1];
  return text === undefined ? "" : toHex(Buffer.from(text, "base64"));
}
