// Json: JSON from outside, read strictly: UTF-8 without a byte order mark, and no name twice in an object, of which others would take
// the first and JavaScript takes the last. Not what it may say (verb.ts).

/** The value that the bytes are. Throws an error, whatever is wrong with them. */
export function readJson(bytes: Uint8Array): unknown {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const value: unknown = JSON.parse(text);
  needNamesOnce(text);
  return value;
}

/** Throws when an object in this JSON, which must be right otherwise, has a name twice. */
function needNamesOnce(text: string): void {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const c = text[at];
    if (c === "{") open.push(new Set());
    else if (c === "}") open.pop();
    else if (c === '"') {
      const from = at;
      for (at++; text[at] !== '"'; at++) if (text[at] === "\\") at++;
      if (!isName(text, at + 1)) continue;
      const written = text.slice(from, at + 1);
      const name = written.includes("\\") ? JSON.parse(written) as string : written.slice(1, -1); // there are many ways to write one
      if (open.at(-1)?.has(name)) throw new SyntaxError("a name stands twice in an object");
      open.at(-1)?.add(name);
    }
  }
}

/** Whether a colon comes next, so that the text before it was a name. */
function isName(text: string, at: number): boolean {
  while (/[ \t\n\r]/.test(text[at] ?? "")) at++;
  return text[at] === ":";
}
