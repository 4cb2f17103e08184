// Readme: reads the tables of a folder's README.md, so that a test can compare them with the code.
// Not a Markdown parser: headings of level two, and tables whose rows start and end with a bar.
import { readFileSync } from "node:fs";

/** The rows of the first table under the heading `## {heading}`, cells trimmed, without its two head lines. */
export function readmeTable(readme: URL, heading: string): string[][] {
  const sections = readFileSync(readme, "utf8").split(/^## /m);
  const section = sections.find((s) => s.startsWith(`${heading}\n`)) ?? "";
  const lines = section.split("\n");
  const first = lines.findIndex((line) => line.startsWith("|"));
  const rows = first < 0 ? [] : lines.slice(first);
  const end = rows.findIndex((line) => !line.startsWith("|"));
  return rows.slice(2, end < 0 ? undefined : end).map((row) =>
    row.split("|").slice(1, -1).map((c) => c.trim())
  );
}
