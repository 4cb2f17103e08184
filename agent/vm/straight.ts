// Straight: whether a script is nothing but one simple command after the other, so that reading it is knowing what it does. Stricter
// than a shell: what it does not know it refuses. Not whether the commands are good ones.
import { Buffer } from "node:buffer";
import { Fault } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import { scriptBytesMax } from "./limits.ts";

/** One command: the number of its first line, from 1, and its words as the program gets them. */
export interface Command {
  line: number;
  words: string[];
}

/** Characters that mean themselves to each shell, wherever they stand in a word. */
const PLAIN = "[A-Za-z0-9_@%+=:,./-]+";

/** A word: plain pieces, quoted pieces, and quotes by themselves, as `quoted` writes them. */
const WORD = new RegExp(`^(?:${PLAIN}|'[^']*'|\\\\')+`);
const PIECE = new RegExp(`${PLAIN}|'[^']*'|\\\\'`, "g");

/** What may begin a command: a program by its whole path, so that no word of the shell's own can. */
const PROGRAM = /^\/[A-Za-z0-9_@%+:,./-]+$/;

/** The one word of the shell's own that may: without it a machine without procps could stop nothing. It starts nothing. */
const BUILTIN = "kill";

/**
 * The commands of a script: of lines that are empty, comments, or one simple command, which goes on behind ` \` on lines with two
 * spaces before them.
 * @throws {Fault} refused, naming the line, when it is anything else
 */
export function straight(text: string): Command[] {
  if (Buffer.byteLength(text) > scriptBytesMax) throw crooked(1, `longer than ${scriptBytesMax} bytes`);
  if (!text.endsWith("\n")) throw crooked(1, "without an end of its last line");
  const out: Command[] = [];
  let open: Command | undefined;
  for (const [i, line] of text.slice(0, -1).split("\n").entries()) {
    const at = i + 1;
    if (inert(line) !== line) throw crooked(at, "with characters that hide something");
    if (open === undefined && (line === "" || line.startsWith("#"))) continue;
    const goesOn = line.endsWith(" \\");
    const body = goesOn ? line.slice(0, -2) : line;
    if (open !== undefined && !body.startsWith("  ")) {
      throw crooked(at, "that does not go on with two spaces");
    }
    const words = wordsOf(at, open === undefined ? body : body.slice(2));
    if (open === undefined) out.push(open = { line: at, words: begun(at, body, words) });
    else open.words.push(...words);
    if (!goesOn) open = undefined;
  }
  if (open !== undefined) throw crooked(open.line, "whose end is missing");
  return out;
}

/** The words of a line as the program gets them. */
function wordsOf(at: number, line: string): string[] {
  const out: string[] = [];
  for (let rest = line;;) {
    const [word] = WORD.exec(rest) ?? [];
    if (word === undefined) {
      throw crooked(at, `with ${inert(rest.slice(0, 20)) || "nothing"} where a plain or quoted word belongs`);
    }
    out.push(
      word.replace(
        PIECE,
        (piece) => piece === "\\'" ? "'" : piece.startsWith("'") ? piece.slice(1, -1) : piece,
      ),
    );
    rest = rest.slice(word.length);
    if (rest === "") return out;
    if (!rest.startsWith(" ")) throw crooked(at, `with ${inert(rest[0]!)} behind a word`);
    rest = rest.slice(1);
  }
}

/** The words of a command, the first of which is a program as it stands there: not quoted, no assignment. */
function begun(at: number, line: string, words: string[]): string[] {
  const [first = ""] = words;
  if (line.startsWith(first) && (PROGRAM.test(first) || first === BUILTIN)) return words;
  throw crooked(at, `that begins with ${inert(first.slice(0, 40))} and not with the whole path of a program`);
}

function crooked(line: number, why: string): Fault {
  return new Fault(
    "vm",
    "refused",
    `the script is not straight, and was not run: line ${line} is one ${why}`,
    {
      hint: "isconf vm support, and tell who keeps the template",
    },
  );
}
