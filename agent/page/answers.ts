// Answers: the shapes of what the agent's API answers, as far as the page shows it. answers_test.ts holds them against a real
// host. Not how it is asked for (api.ts).
import { any, count, flag, list, maybe, type Of, or, record, text } from "./shape.ts";

/** A problem, RFC 9457, with what isconf knows beside it. */
export const problemShape = record({
  title: or(text, ""),
  kind: or(text, ""),
  detail: or(text, ""),
  hint: or(text, ""),
  exit: or(maybe(count), null),
});

const hostLine = record({
  name: text,
  branch: text,
  at: count,
  of: count,
  state: text,
  why: text,
  sinceMs: count,
  saidMs: count,
  reached: flag,
});
export type HostLine = Of<typeof hostLine>;

const proof = record({
  kind: text,
  name: text,
  branch: text,
  seq: count,
  term: count,
  text: text,
  open: flag,
  foundMs: count,
});

export const status = record({
  host: text,
  hostId: text,
  domain: maybe(text),
  branch: maybe(text),
  doing: maybe(text),
  diverged: maybe(text),
  at: count,
  of: count,
  state: text,
  stopped: maybe(record({ seq: count, why: text, status: maybe(count), reason: maybe(text) })),
  lock: maybe(record({ holder: text, host: text, message: text, sinceMs: count, term: count })),
  wip: count,
  keepers: list(text),
  branches: list(record({ name: text, entries: count, from: maybe(text) })),
  owners: list(text),
  fork: maybe(record({ seq: count, foundMs: count })),
  proofs: list(proof),
  ahead: maybe(text),
  stale: maybe(record({ sinceMs: count })),
  quorum: maybe(record({ need: count, reached: count, of: count })),
  differing: record({ entries: count, last: count }),
  network: record({ addresses: list(text), why: text, isDhtSuspect: flag }),
  hosts: list(hostLine),
});
export type Status = Of<typeof status>;

export const hosts = record({
  hosts: list(record({ name: text, id: text, fingerprint: text, state: text, keeper: flag })),
  waiting: list(record({ name: text, id: text, fingerprint: text, branch: text, askedMs: count })),
});
export type Hosts = Of<typeof hosts>;

const logFields = {
  seq: count,
  id: text,
  branch: text,
  timeMs: count,
  author: text,
  origin: text,
  message: text,
  ops: list(text),
  here: text,
  proofs: list(text),
};
export const log = record({ branch: text, entries: list(record(logFields)) });
export type LogEntry = Of<typeof log>["entries"][number];

export const shown = record({
  ...logFields,
  epoch: count,
  term: count,
  details: list(any),
  status: maybe(count),
  startedMs: maybe(count),
  endedMs: maybe(count),
  differs: maybe(count),
  differences: list(record({ path: text, what: list(text) })),
  output: text,
});

export const effects = record({
  effects: record({
    paths: list(record({
      path: text,
      kind: text,
      mode: or(maybe(text), null),
      uid: or(maybe(count), null),
      gid: or(maybe(count), null),
      size: or(maybe(count), null),
    })),
    unseen: list(text),
  }),
});

const executionFields = {
  n: count,
  verb: text,
  seq: maybe(count),
  user: text,
  as: text,
  argv: list(text),
  state: text,
  status: maybe(count),
  startedMs: count,
  endedMs: maybe(count),
  why: maybe(text),
};
export const executions = record({ executions: list(record(executionFields)) });
export const execution = record({
  execution: record({ ...executionFields, cwd: text, person: text, rule: text, output: text }),
});
export type Execution = Of<typeof executions>["executions"][number];

export const filesVerified = record({
  files: record({
    branch: text,
    at: count,
    paths: count,
    drifted: list(record({ path: text, what: list(text), seq: maybe(count) })),
    skipped: list(count),
  }),
});

export const shelf = record({
  rows: list(record({
    id: text,
    kind: text,
    size: count,
    label: text,
    uid: count,
    pinned: flag,
    addedMs: count,
  })),
});

export const names = record({
  names: list(record({
    name: text,
    id: text,
    kind: text,
    size: count,
    copies: count,
    seq: count,
    who: text,
    host: text,
    timeMs: count,
    state: text,
  })),
});

export const copies = record({ id: text, hosts: list(record({ host: text, has: text, keeps: flag })) });

/** Who is asking, and which verbs they may have: by the policy of this host, and by what their token is for. */
export const me = record({ uid: count, user: text, verbs: list(text) });
export type Me = Of<typeof me>;

/** What an event of `/v1/events` is, CloudEvents 1.0. */
export const cloudEvent = record({
  id: text,
  source: text,
  type: text,
  host: or(text, ""),
  subject: or(maybe(text), null),
  time: or(maybe(text), null),
  data: or(maybe(any), null),
});
export type CloudEvent = Of<typeof cloudEvent>;

/** One line of an act that tells how far it is. */
export const progressLine = record({
  event: text,
  text: or(maybe(text), null),
  result: or(maybe(any), null),
  fault: or(maybe(any), null),
});

export const boot = record({
  last: count,
  notes: list(record({ mac: text, step: text, timeMs: count, percent: maybe(count), text: text })),
});
export type BootNote = Of<typeof boot>["notes"][number];
