// Inert: text from people, hosts and commands made safe to show. Imports nothing: terminals and the page have it alike.
// Not what names may be (names.ts), and not quoting for a shell.

/** What can move, hide or reorder what stands around it: controls, C1, bidirectional and invisible characters, tags. */
export const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/**
 * Text that came from people, hosts or commands, made safe for one line of a terminal: control characters, C1,
 * bidirectional overrides, line separators and lone surrogates become visible escapes.
 */
export function inert(text: string): string {
  return text.toWellFormed().replace(UNSAFE, escapeOf);
}

/** One character as its visible escape. */
export function escapeOf(c: string): string {
  if (c === "\n") return "\\n";
  if (c === "\t") return "\\t";
  const code = c.codePointAt(0) as number;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}
