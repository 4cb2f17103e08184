// Screen: how what is printed comes onto descriptors 1 and 2: whole, in columns, in colour where it may. Not what is said (verbs/).
import * as fs from "node:fs";
import * as tty from "node:tty";
import { stripVTControlCharacters, styleText } from "node:util";
import { eastAsianWidth } from "get-east-asian-width";
import { screenColumns, screenRows } from "./limits.ts";
import type { Globals } from "./parse.ts";
import type { Term } from "./term.ts";

export interface TermOptions {
  stdout: (chunk: Uint8Array | string) => void;
  stderr: (chunk: Uint8Array | string) => void;
  colour: boolean;
  quiet: boolean;
  verbose: boolean;
  size?: Term["size"];
}

export function makeTerm(o: TermOptions): Term {
  const term: Term = {
    line: (text) => o.stdout(`${text}\n`),
    raw: (bytes) => o.stdout(bytes),
    say: (text) => {
      if (!o.quiet) o.stderr(`${text}\n`);
    },
    error: (text) => o.stderr(`${text}\n`),
    status: (text) => o.stderr(`\r\x1b[K${text}`),
    more: (text) => {
      if (o.verbose) o.stderr(`${text}\n`);
    },
    paint: (style, text) => (o.colour ? styleText(style, text, { validateStream: false }) : text),
    size: o.size ?? (() => ({ rows: screenRows, columns: Infinity })),
    table(rows, columnsMax = Infinity) {
      const widths: number[] = [];
      for (const row of rows) {
        row.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, columnsOf(cell)));
      }
      for (const row of rows) {
        const cells = row.map((c, i) => i === row.length - 1 ? c : c + " ".repeat(widths[i]! - columnsOf(c)));
        term.line(cut(cells.join("  ").trimEnd(), columnsMax));
      }
    },
  };
  return term;
}

/**
 * How many columns of a terminal a text takes without its colours. What joins the character before it takes none: marks, format
 * characters, vowels and finals of Hangul, skin tones.
 */
export function columnsOf(text: string): number {
  const plain = stripVTControlCharacters(text);
  if (/^[ -~]*$/.test(plain)) return plain.length;
  let columns = 0;
  for (const c of plain) {
    if (!/[\p{M}\p{Cf}\u1160-\u11ff\u{1f3fb}-\u{1f3ff}]/u.test(c)) {
      columns += eastAsianWidth(c.codePointAt(0)!);
    }
  }
  return columns;
}

/** As much of a line as fits into so many columns, with its colours and an ellipsis where it was cut. */
export function cut(line: string, columnsMax: number): string {
  if (columnsOf(line) <= columnsMax) return line;
  let left = columnsMax - 1, isCut = false;
  return line.split(/(\x1b\[[0-9;]*m)/).map((part, i) => {
    if (i % 2 === 1) return part; // a colour, or its end
    if (isCut) return "";
    let out = "";
    for (const { segment } of new Intl.Segmenter().segment(part)) {
      left -= columnsOf(segment);
      if (left < 0) {
        isCut = true;
        return `${out}…`;
      }
      out += segment;
    }
    return out;
  }).join("");
}

/** What this call prints with; `stdout` takes the data, when that is not to go to descriptor 1. */
export function termFor(
  globals: Pick<Globals, "quiet" | "verbose" | "color">,
  stdout: TermOptions["stdout"] = (chunk) => writeNow(1, chunk),
): Term {
  const { quiet, verbose, color } = globals;
  const isWanted = (process.env.NO_COLOR ?? "") === "" && tty.isatty(1) && process.env.TERM !== "dumb";
  return makeTerm({
    stdout,
    stderr: (chunk) => writeNow(2, chunk),
    colour: color === "always" || (color === "auto" && isWanted),
    quiet,
    verbose,
    ...(tty.isatty(1) && { size: terminalSize }),
  });
}

function terminalSize(): { rows: number; columns: number } {
  const screen = new tty.WriteStream(1); // of its own: process.stdout would be made non-blocking
  try {
    const [columns, rows] = screen.getWindowSize();
    return { rows: rows || screenRows, columns: columns || screenColumns }; // a serial line may not know
  } finally {
    screen.destroy();
  }
}

/** Writes all of it, also into a full pipe that does not block. A reader that has gone ends us quietly. */
export function writeNow(fd: number, chunk: Uint8Array | string): void {
  const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
  for (let at = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(fd, bytes, at);
    } catch (e) {
      const code = (e as { code?: string }).code;
      if (code === "EPIPE") process.exit(141);
      if (code !== "EAGAIN") throw e;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
