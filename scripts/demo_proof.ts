// Demo proof: what a path is on several hosts, fact by fact, and the table that shows where they agree. Not how the hosts
// came to be (demo_tour.ts).
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { styleText } from "node:util";

/** Everything about one path that must be alike on all hosts; `mtime` is empty where a command made it. */
export interface Fact {
  path: string;
  kind: string;
  mode: string;
  owner: string;
  mtime: string;
  links: string;
  /** SHA-256 of a file, target of a link, or the text itself of what is no path. */
  content: string;
}

export interface Touched {
  path: string;
  /** Snapped paths carry their time; those that commands made on each host have their own. */
  snapped: boolean;
}

/** The facts of these paths and everything below them, as seen through `seen`. */
export function factsOf(touched: Touched[], seen: (file: string) => string): Fact[] {
  const names = new Map<bigint, string>();
  return touched.flatMap(({ path: top, snapped }) =>
    [...below(top, seen)].map((file) => factOf(file, seen(file), snapped, names))
  );
}

function* below(file: string, seen: (file: string) => string): Iterable<string> {
  yield file;
  const st = fs.lstatSync(seen(file), { throwIfNoEntry: false });
  if (st?.isDirectory() !== true) return;
  for (const name of fs.readdirSync(seen(file)).sort()) yield* below(path.join(file, name), seen);
}

function factOf(file: string, seen: string, snapped: boolean, names: Map<bigint, string>): Fact {
  const st = fs.lstatSync(seen, { bigint: true, throwIfNoEntry: false });
  const fact = { path: file, kind: "missing", mode: "", owner: "", mtime: "", links: "", content: "" };
  if (st === undefined) return fact;
  const first = names.get(st.ino) ?? file;
  if (!st.isDirectory()) names.set(st.ino, first);
  return {
    path: file,
    kind: st.isDirectory() ? "dir" : st.isSymbolicLink() ? "link" : st.isFile() ? holes(st) : "other",
    mode: (st.mode & 0o7777n).toString(8).padStart(4, "0"),
    owner: `${st.uid}:${st.gid}`,
    mtime: snapped ? String(st.mtimeNs) : "",
    links: st.isDirectory() ? "" : `${st.nlink} ${first}`,
    content: st.isSymbolicLink()
      ? `-> ${fs.readlinkSync(seen)}`
      : st.isFile()
      ? createHash("sha256").update(fs.readFileSync(seen)).digest("hex")
      : "",
  };
}

const holes = (st: fs.BigIntStats) => st.blocks * 512n + 4096n < st.size ? "sparse" : "file";

/** What is said about something that is no path: a line of a database, the state of a package. */
export function saying(what: string, text: string): Fact {
  return { path: what, kind: "text", mode: "", owner: "", mtime: "", links: "", content: text };
}

export interface Row {
  path: string;
  fact: Fact;
  /** The names of the facts that differ somewhere; "missing" where a host lacks the path. */
  differs: string[];
}

/** The lists of all hosts side by side, each path once. */
export function sideBySide(...lists: Fact[][]): Row[] {
  const byPath = lists.map((list) => new Map(list.map((fact) => [fact.path, fact])));
  const paths = new Set(lists.flat().map((fact) => fact.path));
  return [...paths].map((path): Row => {
    const facts = byPath.map((list) => list.get(path));
    const [fact] = facts.filter((one) => one !== undefined) as [Fact];
    const names = Object.keys(fact) as (keyof Fact)[];
    const differs = facts.includes(undefined)
      ? ["missing"]
      : names.filter((name) => facts.some((one) => one?.[name] !== fact[name]));
    return { path, fact, differs };
  });
}

/** Prints the table and returns how many rows differ. */
export function printProof(rows: Row[]): number {
  const table = rows.map(({ path: file, fact, differs }) => [
    file.replace(/[^\x20-\x7e]/g, "?"),
    fact.kind,
    fact.mode,
    fact.owner,
    /^[0-9a-f]{64}$/.test(fact.content) ? fact.content.slice(0, 16) : fact.content.slice(0, 40),
    fact.mtime === ""
      ? ""
      : `${new Date(Number(BigInt(fact.mtime) / 1_000_000n)).toISOString().slice(0, 19)}Z`,
    differs.length === 0 ? "same" : `DIFFERS: ${differs.join(", ")}`,
  ]);
  const head = ["path", "kind", "mode", "owner", "content", "modified", "everywhere"];
  const widths = head.map((h, i) => Math.max(h.length, ...table.map((row) => (row[i] as string).length)));
  const line = (row: string[]) => row.map((cell, i) => cell.padEnd(widths[i] as number)).join("  ").trimEnd();
  process.stdout.write(`${styleText("bold", line(head))}\n`);
  for (const row of table) {
    const last = row.at(-1) as string;
    const text = line(row.slice(0, -1));
    const pad = widths.slice(0, -1).reduce((sum, w) => sum + w + 2, 0);
    process.stdout.write(`${text.padEnd(pad)}${styleText(last === "same" ? "green" : "red", last)}\n`);
  }
  return rows.filter((row) => row.differs.length > 0).length;
}
