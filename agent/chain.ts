// Chain: a hash over each thing that the record of commands says, and over the one before it, so that a row which was changed, put in or
// taken away shows. Each user's commands are a line of their own, and what they were refused another, because each is cut at its
// beginning only. Who rewrites all of it shows where its values were told before (audit.ts). Not the record (executions.ts).
import type { Reader, Tx } from "../fs/mod.ts";
import { bytesEqual, type Cbor, encode, sha256, toHex } from "../mq/mod.ts";
import { executionsPerUidMax, refusalsPerUidMax } from "./limits.ts";

/** What a link says of a row: that it began, was refused, has ended, or became an entry. */
export type LinkEvent = "begun" | "refused" | "ended" | "entry";

/** A row of the record, as it is kept. */
interface Row extends Record<string, string | number | Uint8Array | null> {
  n: number;
  uid: number;
  state: string;
  entry: Uint8Array | null;
}

interface Link {
  i: number;
  n: number;
  line: string;
  event: string;
  before: Uint8Array;
  chain: Uint8Array;
}

/** What the record has been found to be. */
export interface Checked {
  /** Commands and refusals that were checked. */
  count: number;
  /** Of them: older than the chain. */
  older: number;
  /** What is wrong, each in words; the beginning of that. */
  wrong: string[];
}

const GIVEN = "verb uid user source person as_user file argv cwd rule started_ms".split(" ");
const END = ["state", "status", "ended_ms", "why", "output"];
const OF = ["entry", "seq"];
const COLUMNS = ["n", ...GIVEN, ...END, ...OF, "kept"].join(", ");
const NOTHING = new Uint8Array(32);
/** How much that is wrong is said. */
const wrongMax = 20;

const lineOf = ({ uid, state }: Row): string => state === "refused" ? `${uid} refused` : `${uid}`;

/**
 * Adds to the chain what a row says now; called in the transaction that made it say so. A row that is gone, or older than the
 * chain, says nothing.
 */
export function addLink(tx: Tx, n: number, event: LinkEvent): void {
  const row = tx.get<Row>(`SELECT ${COLUMNS} FROM execution WHERE n = ?`, n);
  const isFirst = event === "begun" || event === "refused";
  if (row === undefined || (!isFirst && linkOf(tx, n, "first") === 0)) return;
  const line = lineOf(row);
  const last = tx.get<{ chain: Uint8Array }>(
    "SELECT chain FROM execution_link WHERE line = ? ORDER BY i DESC LIMIT 1",
    line,
  );
  const before = last?.chain ?? NOTHING;
  const isReplay = event === "begun" && row.entry !== null;
  tx.run(
    "INSERT INTO execution_link (n, line, event, before, chain) VALUES (?, ?, ?, ?, ?)",
    ...[n, line, event, before, chained(before, line, row, event, isReplay)],
  );
}

/** The number of the first, or last, link of a row; 0: it has none. */
export function linkOf(tx: Tx, n: number, which: "first" | "last"): number {
  const order = which === "first" ? "i" : "i DESC";
  return tx.get<{ i: number }>(`SELECT i FROM execution_link WHERE n = ? ORDER BY ${order} LIMIT 1`, n)?.i ??
    0;
}

/** Takes the links of a row away that is taken off the record because it is old. */
export function dropLinks(tx: Tx, n: number): void {
  tx.run("DELETE FROM execution_link WHERE n = ?", n);
}

/** The value of the newest link of a row, in hex: what others are told of it. */
export function chainOf(r: Reader, n: number): string {
  const found = r.get<{ chain: Uint8Array }>(
    "SELECT chain FROM execution_link WHERE n = ? ORDER BY i DESC LIMIT 1",
    n,
  );
  return found === undefined ? "" : toHex(found.chain);
}

/** Whether some link has that value. */
export function hasChain(r: Reader, chain: Uint8Array): boolean {
  return r.get("SELECT i FROM execution_link WHERE chain = ?", chain) !== undefined;
}

function chained(
  before: Uint8Array,
  line: string,
  row: Row,
  event: LinkEvent,
  isReplay: boolean,
): Uint8Array {
  const said = {
    begun: isReplay ? [...GIVEN, ...OF] : GIVEN,
    refused: [...GIVEN, ...END],
    ended: END,
    entry: OF,
  }[event];
  const values = said.map((name) => row[name] as Cbor);
  return sha256(encode([before, line, row.n, event, values]));
}

/** Checks the record of one uid, or of everybody, from the bytes that are kept, one row at a time. */
export function checkChain(r: Reader, uid?: number): Checked {
  const checked: Checked = { count: 0, older: 0, wrong: [] };
  const bad = (text: string) => {
    if (checked.wrong.length < wrongMax) checked.wrong.push(text);
  };
  const lines = uid === undefined
    ? r.all<{ line: string }>("SELECT DISTINCT line FROM execution_link").map(({ line }) => line)
    : [`${uid}`, `${uid} refused`];
  for (const line of lines) checkLine(r, line, bad);
  checkRows(r, uid, checked, bad);
  const last = r.get<{ i: number | null }>("SELECT max(i) AS i FROM execution_link")?.i ?? 0;
  const given =
    r.get<{ seq: number }>("SELECT seq FROM sqlite_sequence WHERE name = 'execution_link'")?.seq ?? 0;
  if (last !== given) bad("the newest of what was recorded was taken away");
  return checked;
}

/** The links of one line: each follows the one before it, unless what lay between is old enough to have been taken away. */
function checkLine(r: Reader, line: string, bad: (text: string) => void): void {
  const keep = line.endsWith("refused") ? refusalsPerUidMax : executionsPerUidMax;
  let before: Uint8Array = NOTHING;
  for (const link of r.iterate<Link>("SELECT * FROM execution_link WHERE line = ? ORDER BY i", line)) {
    if (!bytesEqual(link.before, before)) {
      const { since } = r.get<{ since: number }>(
        "SELECT count(*) AS since FROM execution_link WHERE line = ? AND i >= ? AND event IN ('begun', 'refused')",
        ...[line, link.i],
      )!;
      if (since < keep) bad(`something before command ${link.n} was taken away`);
    }
    before = link.chain;
  }
  const gone = "SELECT DISTINCT n FROM execution_link WHERE line = ? AND n NOT IN (SELECT n FROM execution)";
  for (const { n } of r.iterate<{ n: number }>(gone, line)) bad(`command ${n} was taken away`);
}

/** The rows: each says what its links say that it says, and is kept for ever as what an entry last did, and no other. */
function checkRows(r: Reader, uid: number | undefined, checked: Checked, bad: (text: string) => void): void {
  const older = Number(r.get<{ value: string }>("SELECT value FROM meta WHERE name = 'record'")?.value ?? 0);
  const [where, params] = uid === undefined ? ["", []] as const : ["WHERE uid = ?", [uid]] as const;
  const sql = `SELECT ${COLUMNS}, (SELECT max(o.n) FROM execution o WHERE o.entry = execution.entry) AS newest
    FROM execution ${where} ORDER BY n`;
  for (const row of r.iterate<Row>(sql, ...params)) {
    const links = r.all<Link>("SELECT * FROM execution_link WHERE n = ? ORDER BY i", row.n);
    checked.count++;
    if (links.length === 0 && row.n <= older) checked.older++;
    else if (links.length === 0) bad(`command ${row.n} was put in`);
    else if (!isAsLinked(row, links)) bad(`command ${row.n} was changed`);
    const isKept = row.entry !== null && row.newest === row.n;
    if (row.kept !== (isKept ? 1 : 0)) bad(`command ${row.n} was changed: whether it is kept`);
  }
}

/** Whether a row says what its links say that it says, and no more. */
function isAsLinked(row: Row, links: readonly Link[]): boolean {
  const line = lineOf(row);
  const events = links.map(({ event }) => event);
  if (!/^(refused|begun( ended)?( entry)?)$/.test(events.join(" "))) return false;
  const has = (event: LinkEvent) => events.includes(event);
  const [state, ...end] = END.map((name) => row[name]);
  if (has("begun") && !has("ended") && (state !== "intent" || end.some((value) => value !== null))) {
    return false;
  }
  if (row.entry === null && (row.seq !== null || has("entry"))) return false;
  const isReplay = row.entry !== null && !has("entry");
  return links.every((link) =>
    link.line === line &&
    bytesEqual(link.chain, chained(link.before, line, row, link.event as LinkEvent, isReplay))
  );
}
