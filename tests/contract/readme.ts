// Readme: reads the tables of a folder's README.md, so that a test can compare them with the code.
// Not a Markdown parser: headings of level two, and tables whose rows start and end with a bar.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";

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

/** The README.md beside a file, its tables read as plain text. */
export interface Readme {
  at: URL;
  /** The cells without backticks. */
  table(heading: string): string[][];
  column(heading: string, i?: number): string[];
  /** Throws unless its table "The files" has each file of the folder once, in order, and no other; tests have none. */
  needFiles(): void;
}

/** Of `file`, which is `import.meta.url` of a test. */
export function readmeBeside(file: string): Readme {
  const here = new URL("./", file);
  const at = new URL("README.md", here);
  const table = (heading: string) =>
    readmeTable(at, heading).map((row) => row.map((cell) => cell.replaceAll("`", "")));
  const column = (heading: string, i = 0) => table(heading).map((row) => row[i] ?? "");
  const needFiles = () => {
    const files = readdirSync(here).filter((f) => f.endsWith(".ts") && !f.endsWith("_test.ts")).sort();
    assert.deepEqual(column("The files"), files);
  };
  return { at, table, column, needFiles };
}
