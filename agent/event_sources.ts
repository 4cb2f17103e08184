// Event sources: what has happened since somebody last looked, read from the tables in which it stands: entries, what was
// applied, locks, reports, proofs, names, hosts that wait. Marks say up to where each was looked at. Not who is told (events.ts).
import type { Reader } from "../fs/mod.ts";
import { toHex } from "../mq/mod.ts";
import type { EVENT_TYPES } from "./event.ts";
import { readEntry } from "./entry.ts";
import { type Host, hostId, hostName } from "./host.ts";
import { eventBackfillMax, eventOpsMax, eventsLookMax } from "./limits_api.ts";
import { CONTROL } from "./names.ts";
import { readName } from "./name_records.ts";
import { opText } from "./optext.ts";
import { HERE } from "./report.ts";
import { ownReport, proofLine } from "./status.ts";
import { nameOf } from "./trust.ts";

/** Up to where each source was looked at, by its name. */
export type Marks = Map<string, string>;

/** Something that has happened: what, on which host and branch, and more about it. */
export interface NewEvent {
  type: typeof EVENT_TYPES[number];
  host: string;
  branch: string;
  /** What of that branch or host: an entry's number, a person, a name. */
  subject: string;
  data: unknown;
}

/** All that is new, the oldest first, at most about `eventsLookMax`; the marks are moved behind it. */
export function newEvents(host: Host, marks: Marks): NewEvent[] {
  const events: NewEvent[] = [];
  if (host.journal.policy() === undefined) return events;
  for (const source of [entries, applied, locks, hosts, waiting, names, proofs]) {
    if (events.length < eventsLookMax) events.push(...source(host, marks));
  }
  return events;
}

function entries(host: Host, marks: Marks): NewEvent[] {
  const policy = host.journal.needPolicy("watch");
  return [CONTROL, ...policy.branches.keys()].flatMap((branch) => {
    const head = host.journal.head(branch).seq;
    const told = Number(marks.get(`entry/${branch}`) ?? head - eventBackfillMax);
    const from = Math.max(1, told + 1);
    const to = Math.min(head, from - 1 + eventsLookMax);
    marks.set(`entry/${branch}`, String(Math.max(to, 0)));
    if (to < from) return [];
    return [...host.journal.range(branch, from, to)].map(({ entry: bytes }): NewEvent => {
      const { entry, id, kid } = readEntry(bytes);
      const origin = nameOf(policy, toHex(entry.origin));
      const ops = entry.ops.slice(0, eventOpsMax).map(opText);
      const { seq, message, ops: all } = entry;
      const author = nameOf(policy, kid);
      const data = { branch, seq, id: toHex(id), author, origin, message, ops, opsInAll: all.length };
      return { type: "isconf.entry", host: origin, branch, subject: String(seq), data };
    });
  });
}

function applied(host: Host, marks: Marks): NewEvent[] {
  const last = host.history.last();
  if (last === undefined) return [];
  const mark = marks.get("applied")?.split("/");
  const told = Number(mark?.[0] ?? last.seq - eventBackfillMax);
  const from = Math.max(1, Math.min(told, last.seq)), to = Math.min(last.seq, from + eventsLookMax);
  const branch = ownReport(host)?.branch ?? "";
  const events: NewEvent[] = [];
  for (const row of host.history.range(from, to)) {
    const now = `${row.seq}/${row.state}/${row.endedMs}`;
    if (now === marks.get("applied")) continue;
    marks.set("applied", now);
    const { seq, state, status, reason, differs } = row;
    const data = { branch, seq, state: HERE[state], status, reason, differs };
    events.push({ type: "isconf.applied", host: hostName(host), branch, subject: String(seq), data });
  }
  return events;
}

function locks(host: Host, marks: Marks): NewEvent[] {
  return [...host.journal.needPolicy("watch").branches.keys()].flatMap((branch): NewEvent[] => {
    const held = host.keeper.holder(branch);
    const now = held === undefined ? "" : `${held.term}/${held.held}/${held.message}`;
    if (!isNew(marks, `lock/${branch}`, now) || held === undefined) return [];
    const { term, held: isHeld, hostName: where, holderName: holder, message } = held;
    const type = isHeld ? "isconf.lock" : "isconf.unlock";
    const data = { branch, term, holder, ...(isHeld && { message }) };
    return [{ type, host: where, branch, subject: holder, data }];
  });
}

function hosts(host: Host, marks: Marks): NewEvent[] {
  const policy = host.journal.needPolicy("watch");
  const self = ownReport(host);
  const own = self === undefined ? [] : [{ host: hostId(host), ...self }];
  return [...own, ...host.reports.news()].flatMap(({ host: id, branch, at, of, state, why }) => {
    const words = { branch, at, of, state, why };
    if (!isNew(marks, `host/${id}`, JSON.stringify(words))) return [];
    const name = nameOf(policy, id);
    const data = { host: name, ...words };
    return [{ type: "isconf.host" as const, host: name, branch, subject: name, data }];
  });
}

function waiting(host: Host, marks: Marks): NewEvent[] {
  const rows = host.db.read((r: Reader) =>
    r.all<{ host: string; name: string; branch: string }>("SELECT host, name, branch FROM joiner")
  );
  return rows.flatMap(({ host: id, name, branch }): NewEvent[] => {
    if (!isNew(marks, `enrol/${id}`, name)) return [];
    return [{ type: "isconf.enrol", host: hostName(host), branch, subject: name, data: { name, branch } }];
  });
}

function names(host: Host, marks: Marks): NewEvent[] {
  const policy = host.journal.needPolicy("watch");
  const rows = host.db.read((r: Reader) =>
    r.all<{ n: number; bytes: Uint8Array }>(
      `SELECT rowid AS n, bytes FROM name_record WHERE rowid > ? ORDER BY rowid LIMIT ${eventsLookMax}`,
      Number(marks.get("name") ?? 0),
    )
  );
  return rows.map(({ n, bytes }): NewEvent => {
    marks.set("name", String(n));
    const { author, words } = readName(bytes);
    const { name, seq, kind, size, copies } = words;
    const data = { name, seq, id: toHex(words.id), kind, size, copies, author: nameOf(policy, author) };
    return { type: "isconf.name", host: nameOf(policy, toHex(words.host)), branch: "", subject: name, data };
  });
}

function proofs(host: Host, marks: Marks): NewEvent[] {
  const policy = host.journal.needPolicy("watch");
  return host.journal.forks.all().flatMap((row): NewEvent[] => {
    const { text, kind, name, branch, seq, term, open } = proofLine(policy, row);
    if (!isNew(marks, `proof/${toHex(row.id)}`, String(open))) return [];
    const data = { kind, name, branch, seq, term, text, open };
    return [{ type: "isconf.proof", host: hostName(host), branch, subject: name, data }];
  });
}

function isNew(marks: Marks, name: string, now: string): boolean {
  if (marks.get(name) === now) return false;
  marks.set(name, now);
  return true;
}
