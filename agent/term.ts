// Term: what verbs print with: words for people on stderr, data on stdout, and how values are written. Not what is said (verbs/),
// and not how it comes onto a screen (screen.ts).
import type { styleText } from "node:util";
import { idChars, timeMsMax } from "./limits.ts";
import { inert } from "./names.ts";

type Style = Parameters<typeof styleText>[0];

export interface Term {
  /** Data, to stdout, one line. */
  line(text: string): void;
  /** Raw data to stdout. */
  raw(bytes: Uint8Array | string): void;
  /** Words for people, to stderr; silent with -q. */
  say(text: string): void;
  /** What went wrong, to stderr, also with -q. */
  error(text: string): void;
  /** One line that is written over by the next; empty: gone. */
  status(text: string): void;
  /** More words, only with -v. */
  more(text: string): void;
  /** Coloured when stdout is a terminal. */
  paint(style: Style, text: string): string;
  /** Rows in columns, the last one ragged; no line wider than `columnsMax`, as a terminal counts. */
  table(rows: string[][], columnsMax?: number): void;
  /** What a screen holds: the terminal's size, else the usual number of rows and lines of any length. */
  size(): { rows: number; columns: number };
}

/** A value as JSON on one line that can do nothing to a terminal: what is not plain is written as an escape. */
export function inertJson(value: unknown): string {
  const escape = (c: string) =>
    c.split("").map((u) => `\\u${u.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu,
    escape,
  );
}

/** A moment as people read it, in UTC, to the second. */
export function moment(ms: number): string {
  if (!(Math.abs(ms) <= timeMsMax)) return "at no time"; // an entry may say what it likes
  return new Date(ms).toISOString().replace("T", " ").slice(0, 19);
}

/** The beginning of an id, by which people name it. */
export function shortId(id: string): string {
  return id.slice(0, idChars);
}

/** Output of a command, shown as lines that can do nothing to a terminal. */
export function outputLines(text: string): string[] {
  return text.replace(/\n$/, "").split("\n").map(inert);
}
