// Roff: text as the source of a manual page, in the few macros of man(7) that every formatter knows. Not what a page says (man.ts).

/** Text in which nothing means anything to roff: on a line of its own, or among the words of a macro. */
export function plain(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll('"', "\\(dq")
    .replaceAll("'", "\\(aq")
    .replaceAll("`", "\\(ga")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replace(
      /[\u0080-\u{10ffff}]/gu,
      (c) => `\\[u${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`,
    );
  return /^[. ]/.test(escaped) ? `\\&${escaped}` : escaped;
}

/** A word of a macro, also with blanks in it. */
const word = (text: string): string => `"${plain(text)}"`;

/** The head of a page. */
export function title(name: string, section: number, date: string, source: string, book: string): string {
  return `.TH ${word(name.toUpperCase())} ${section} "${date}" ${word(source)} ${word(book)}`;
}

export const section = (name: string): string => `.SH ${word(name)}`;
export const subsection = (name: string): string => `.SS ${word(name)}`;
export const bold = (text: string): string => `.B ${word(text)}`;

/**
 * Text as it stands in help: an empty line ends a paragraph, and lines that are moved in stay as they are. The first paragraph
 * belongs to what stands before it.
 */
export function text(of: string): string {
  return of.split("\n\n").map((paragraph, i) => {
    const before = i === 0 ? [] : [".PP"];
    const isFixed = /^ {2}/.test(paragraph);
    if (isFixed) return example(paragraph.split("\n").map((line) => line.slice(2)));
    return [...before, ...paragraph.split("\n").map(plain)].join("\n");
  }).join("\n");
}

/** Lines that stay as they are. */
export const example = (lines: readonly string[]): string =>
  [".PP", ".RS 4", ".EX", ...lines.map(plain), ".EE", ".RE"].join("\n");

/** Names, each with what is to be said of it. */
export const list = (rows: readonly (readonly [name: string, about: string])[]): string =>
  rows.map(([name, about]) => [".TP", bold(name), ...about.split("\n").map(plain)].join("\n")).join("\n");
