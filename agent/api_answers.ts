// API answers: what was answered to a request with a key is answered again to the same request with that key, so that whoever lost the
// answer may ask once more (Idempotency-Key, draft-ietf-httpapi-idempotency-key-header). Kept for a day. Not what is run.
import type { Tx } from "../fs/mod.ts";
import { bytesEqual, Fault, sha256 } from "../mq/mod.ts";
import type { Call } from "./host.ts";
import { answerBytesMax, answerKeptMs, answerKeyMax, answersPerUidMax } from "./limits_api.ts";

interface Row {
  request: Uint8Array;
  status: number | null;
  body: Uint8Array | null;
}

/** Nothing was done when it ends with one of these, even where it had begun: the same may be asked with the same key. */
const BEFORE: readonly string[] = ["usage", "denied", "unconfirmed"];
const OK = 200;

/** What runs under a key now, of all hosts in this process. */
const running = new WeakMap<object, Set<string>>();

/**
 * Runs `work`, which says when it begins, or returns, or throws, what it came to when it was asked for with this key before. What has not
 * begun took no key.
 * @throws {Fault} usage, for what is no key, or for a key that another request had; refused, while it runs; uncertain, when it was
 * begun and its end is not known
 */
export async function onceFor(
  { host, actor }: Call,
  header: string,
  asked: [verb: string, args: unknown],
  work: (begins: () => void) => Promise<unknown>,
): Promise<{ result: unknown; isReplayed: boolean }> {
  const [op] = asked, { db, clock } = host, { uid } = actor;
  const key = /^"(.*)"$/.exec(header)?.[1] ?? header;
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > answerKeyMax) {
    throw usage(op, `a key has 1 to ${answerKeyMax} characters that are printed`);
  }
  const request = sha256(new TextEncoder().encode(JSON.stringify(asked)));
  let now = running.get(db);
  if (now === undefined) running.set(db, now = new Set());
  const name = `${uid} ${key}`;
  const before = db.write((tx): Row | undefined => {
    tx.run("DELETE FROM answer WHERE at_ms < ?", clock.wall() - answerKeptMs);
    const row = tx.get<Row>("SELECT request, status, body FROM answer WHERE uid = ? AND key = ?", uid, key);
    if (row !== undefined) return row;
    tx.run(
      `DELETE FROM answer WHERE uid = ? AND status IS NOT NULL AND at_ms <=
         (SELECT at_ms FROM answer WHERE uid = ? AND status IS NOT NULL ORDER BY at_ms DESC LIMIT 1 OFFSET ?)`,
      uid,
      uid,
      answersPerUidMax - 1,
    );
    tx.run("INSERT INTO answer VALUES (?, ?, ?, NULL, NULL, ?)", uid, key, request, clock.wall());
    return undefined;
  });
  if (before !== undefined) return again(op, before, request, now.has(name));
  now.add(name);
  let isBegun = false;
  /** What cannot be kept is not known to whoever asks again. */
  const note = (write: (tx: Tx) => void) => {
    try {
      db.write(write);
    } catch (e) {
      host.log(`the answer to ${op} could not be kept: ${Fault.from(op, e).message}`);
    }
  };
  /** What it came to, durably; what is too long is not said again. */
  const keep = (status: number, value: unknown) => {
    const body = new TextEncoder().encode(JSON.stringify(value));
    const kept = body.length <= answerBytesMax ? body : null;
    const sql = "UPDATE answer SET status = ?, body = ? WHERE uid = ? AND key = ?";
    note((tx) => tx.run(sql, status, kept, uid, key));
  };
  try {
    const result = await work(() => isBegun = true);
    keep(OK, result);
    return { result, isReplayed: false };
  } catch (e) {
    const fault = Fault.from(op, e);
    if (isBegun && !BEFORE.includes(fault.kind)) keep(fault.http, fault);
    else note((tx) => tx.run("DELETE FROM answer WHERE uid = ? AND key = ?", uid, key));
    throw e;
  } finally {
    now.delete(name);
  }
}

function again(op: string, { request, status, body }: Row, asked: Uint8Array, isRunning: boolean) {
  if (!bytesEqual(request, asked)) throw usage(op, "another request had that key: each has its own");
  if (status === null && isRunning) {
    throw new Fault(op, "refused", "a request with that key is being done: its answer is not there yet", {
      hint: "isconf status",
    });
  }
  if (status === null || body === null) {
    const why = status === null
      ? "was begun, and its end is not known"
      : "was done, and its answer is too long to be kept";
    throw new Fault(op, "uncertain", `a request with that key ${why}`, { hint: "isconf status; isconf log" });
  }
  const value = JSON.parse(new TextDecoder().decode(body));
  if (status !== OK) throw Fault.fromJSON(value);
  return { result: value as unknown, isReplayed: true };
}

function usage(op: string, message: string): Fault {
  return new Fault(op, "usage", message, { hint: "curl -H 'Idempotency-Key: '$(uuidgen) …" });
}
