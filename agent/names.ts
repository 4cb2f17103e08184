// Names of branches, hosts and users, and paths from outside: checked once, here. Not their meaning.
import { Buffer } from "node:buffer";
import { Fault } from "../mq/mod.ts";
import { inert } from "./inert.ts";
import { contentNameMax, messageBytesMax, nameBytesMax, pathBytesMax } from "./limits.ts";

export { inert };

const NAME = /^[A-Za-z0-9_][-A-Za-z0-9_.]+$/;

/** The control journal's branch, which no host is ever "on". */
export const CONTROL = "@domain";

/** Returns `text` when it may name a branch, domain or host; throws a usage fault otherwise. */
export function checkName(op: string, what: string, text: string): string {
  if (text.length > nameBytesMax || !NAME.test(text)) {
    throw new Fault(op, "usage", `${inert(text)} cannot be the name of a ${what}`, {
      hint: `isconf help: names match ${NAME.source} and have at most ${nameBytesMax} characters`,
    });
  }
  return text;
}

const PART = /^[A-Za-z0-9_][-A-Za-z0-9_.]*$/;

/** Whether `text` may be the name of a content: parts like names of branches, with a slash between them. */
export function isContentName(text: string): boolean {
  return text.length <= contentNameMax &&
    text.split("/").every((part) => part.length <= nameBytesMax && PART.test(part));
}

/** Returns `text` when it may be the name of a content, like `images/base`; throws a usage fault otherwise. */
export function checkContentName(op: string, text: string): string {
  if (isContentName(text)) return text;
  throw new Fault(op, "usage", `${inert(text.slice(0, contentNameMax))} cannot be the name of a content`, {
    hint: `isconf help ${op}: parts match ${PART.source}, with / between them; ${contentNameMax} characters`,
  });
}

/** A name of a content, and after an `@` one of its versions. Throws a usage fault. */
export function readVersion(op: string, text: string): { name: string; seq?: number } {
  const [name, seq, ...more] = text.split("@") as [string, ...string[]];
  checkContentName(op, more.length === 0 ? name : text);
  if (seq === undefined) return { name };
  if (/^[1-9][0-9]{0,14}$/.test(seq)) return { name, seq: Number(seq) };
  throw new Fault(op, "usage", `${inert(seq.slice(0, contentNameMax))} is no version of ${name}`, {
    hint: `isconf names ${name}`,
  });
}

/**
 * Whether text can be an argument, a path, a value: well-formed Unicode without NUL, and without a byte order mark in
 * front, which decoders of CBOR may drop.
 */
export function isPlainText(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed() && !text.startsWith("\ufeff");
}

/** An absolute path without `.`, `..`, empty parts or a trailing slash; throws a usage fault otherwise. */
export function checkPath(op: string, text: string): string {
  const bad = (why: string) =>
    new Fault(op, "usage", `${inert(text)} ${why}`, { hint: `isconf ${op} /an/absolute/path` });
  if (!isPlainText(text)) throw bad("is not UTF-8 text without NUL and byte order mark");
  if (Buffer.byteLength(text) > pathBytesMax) throw bad(`is longer than ${pathBytesMax} bytes`);
  if (!text.startsWith("/")) throw bad("is not an absolute path");
  if (text === "/") throw bad("is the root directory: name what you changed");
  const parts = text.slice(1).split("/");
  if (parts.some((p) => p === "" || p === "." || p === "..")) throw bad("has an empty, . or .. part");
  return text;
}

/** A message for an entry: not empty, bounded, no NUL. */
export function checkMessage(op: string, text: string): string {
  if (text.trim() === "") {
    throw new Fault(op, "needMessage", "a lock needs a message that says why", {
      hint: 'isconf lock "what you are about to change"',
    });
  }
  return checkReason(op, text);
}

/** Text that says why, for an entry: bounded, no NUL; it may be empty. */
export function checkReason(op: string, text: string): string {
  if (!isPlainText(text) || Buffer.byteLength(text) > messageBytesMax) {
    throw new Fault(op, "usage", `what says why is UTF-8 text of at most ${messageBytesMax} bytes`, {
      hint: `isconf help ${op}, then isconf ${op} with a shorter text`,
    });
  }
  return text;
}

/** One argument as a shell would need it quoted so that copy and paste is exact. */
export function quoted(arg: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(arg)) return arg;
  if (inert(arg) === arg) return `'${arg.replaceAll("'", "'\\''")}'`;
  let out = "";
  for (const c of arg) {
    if (c === "'" || c === "\\") out += `\\${c}`;
    else if (inert(c) === c) out += c;
    else for (const byte of Buffer.from(c)) out += `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return `$'${out}'`;
}

/** A whole command line, quoted. */
export function commandLine(argv: readonly string[]): string {
  return argv.map(quoted).join(" ");
}
