// API verbs: one verb run with arguments from outside: checked, permitted, in its turn, and once where the caller gave a key; answered
// as JSON, or as a stream that tells meanwhile how far it is. Not the routes (api.ts) and not what verbs do.
import type { Context } from "hono";
import { Fault, sha256, toHex } from "../mq/mod.ts";
import { onceFor } from "./api_answers.ts";
import type { CallOf, Env } from "./api_body.ts";
import { wanted } from "./api_conditions.ts";
import { HeadMoved } from "./api_problem.ts";
import { LASTS, NDJSON, SSE, sseEvent, wants } from "./api_streams.ts";
import { actOf } from "./confirmations.ts";
import type { Call, Host, Progress } from "./host.ts";
import { streamQueueBytesMax } from "./limits.ts";
import type { Moment } from "./moment.ts";
import { inert } from "./names.ts";
import type { Rule } from "./rules.ts";
import { getMeta } from "./schema.ts";
import { checkArgs, type Verb } from "./verb.ts";

/** The header of an answer that was given before, to a request with the same key. */
const REPLAYED = "idempotency-replayed";

/** Runs one verb and answers with JSON, or, when asked for it, with a stream: progress, then result or fault. */
export async function answerVerb(
  c: Context<Env>,
  callOf: CallOf,
  verb: Verb,
  args: Record<string, unknown>,
  moments: Moments,
): Promise<Response> {
  const type = wants(c, SSE, NDJSON);
  const key = c.req.method === "POST" && verb.kind !== "reads" ? c.req.header("idempotency-key") : undefined;
  const run = async (emit?: Call["emit"], hasGone?: () => boolean) => {
    const call = callOf(c, emit);
    const work = async (begins?: () => void) =>
      await runVerb({ ...call, ...(begins && { begins }) }, verb, args, hasGone) ?? null;
    return key === undefined
      ? { result: await work(), isReplayed: false }
      : await onceFor(call, key, [verb.name, args], work);
  };
  if (type !== undefined) return streamed(c, type, verb, run);
  if (c.req.method === "GET") return await answerGet(c, callOf(c), verb, args, moments);
  const { result, isReplayed } = await run();
  const body = JSON.stringify(result);
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return c.body(body, 200, { ...headers, ...(isReplayed && { [REPLAYED]: "true" }) });
}

/** Answers to what reads, as text with its ETag. */
export type Moments = Moment<{ body: string; etag: string }>;

async function answerGet(
  c: Context<Env>,
  call: Call,
  verb: Verb,
  args: Record<string, unknown>,
  moments: Moments,
): Promise<Response> {
  const make = async () => {
    const body = JSON.stringify(await runVerb(call, verb, args) ?? null);
    return { body, etag: `"${toHex(sha256(new TextEncoder().encode(body))).slice(0, 32)}"` };
  };
  const { host, actor } = call;
  const lasts = verb.lasts === true;
  if (lasts) needPermission(call, verb, checkArgs(verb, args));
  const key = JSON.stringify([actor.uid, verb.name, args, host.turn.doing ?? null]);
  const { body, etag } = lasts ? await moments.get(key, make) : await make();
  // What is asked for again and again and has not changed need not be sent again.
  const { status } = wanted((name) => name === "if-none-match" ? c.req.header(name) : undefined, etag, 0);
  const headers = { etag, "cache-control": "no-cache", ...(lasts && { [LASTS]: "1" }) };
  return status === 304
    ? c.body(null, 304, headers)
    : c.body(body, 200, { "content-type": "application/json", ...headers });
}

type Run = (emit: Call["emit"], hasGone: () => boolean) => Promise<{ result: unknown }>;

function streamed(c: Context<Env>, type: string, verb: Verb, run: Run): Response {
  const text = new TextEncoder();
  let gone = false;
  const body = new ReadableStream<Uint8Array>({
    async start(out) {
      const say = (o: { event: string }) => {
        const line = JSON.stringify(o);
        if (!gone) {
          out.enqueue(text.encode(type === SSE ? sseEvent({ event: o.event, data: line }) : `${line}\n`));
        }
      };
      // Progress is a hint: a caller that does not read loses outputs, and one that has gone stops nothing.
      const emit = (event: Progress) => {
        if (event.event !== "output" || (out.desiredSize ?? 0) > 0) say(event);
      };
      try {
        const { result } = await run(emit, () => gone);
        say({ event: "result", result } as { event: string });
      } catch (e) {
        say({ event: "fault", fault: Fault.from(verb.name, e) } as { event: string });
      }
      if (!gone) out.close();
    },
    cancel() {
      gone = true;
    },
  }, new ByteLengthQueuingStrategy({ highWaterMark: streamQueueBytesMax }));
  return c.body(body, 200, { "content-type": type, "cache-control": "no-store" });
}

/** Runs one verb with arguments from outside: checked, and in the host's turn when it changes something. */
export async function runVerb(
  call: Call,
  verb: Verb,
  value: unknown,
  hasGone = () => false,
): Promise<unknown> {
  const args = checkArgs(verb, value);
  let rule = needPermission(call, verb, args);
  const run = async () => {
    if (verb.kind === "changes") rule = needPermission(call, verb, args, true); // the policy may have changed while it waited
    if (call.head !== undefined && verb.kind !== "reads") needHead(call, verb.name);
    if (!hasGone()) {
      call.begins?.();
      return await verb.run?.({ ...call, hasGone, rule }, args);
    }
    throw new Fault(verb.name, "gone", "the caller went away before its turn", {
      hint: `isconf ${verb.name} again`,
    });
  };
  if (verb.kind !== "changes") return await run();
  return await call.host.turn.take(
    verb.name,
    run,
    (what) => call.emit({ event: "waiting", text: `waiting until ${what} has ended` }),
  );
}

/** Throws unless the branch of this host ends where the caller believes: with the entry of this id. */
function needHead({ host, head }: Call, op: string): void {
  const branch = getMeta(host.db, "branch");
  const { seq = 0, id = undefined } = branch === undefined ? {} : host.journal.head(branch);
  const etag = `"${id === undefined ? "" : toHex(id)}"`;
  if (wanted((name) => name === "if-match" ? head : undefined, etag, 0).status === 200) return;
  throw new HeadMoved(
    op,
    "refused",
    `${inert(branch ?? "no branch")} ends with entry ${seq}, ${etag}, which If-Match does not name`,
    {
      hint: "isconf log",
    },
  );
}

/**
 * Throws unless the policy of this host lets the caller have this done, with these arguments, now. When it begins, a confirmation
 * that it needs is used up. Returns the line that permits it.
 */
export function needPermission(
  call: Call,
  verb: Verb,
  args: Record<string, unknown>,
  begins = verb.kind !== "changes",
): Rule | undefined {
  const { host, actor, confirmed: id } = call;
  const command = verb.command?.(call, args);
  const like = verb.like?.(args);
  const network = verb.network?.(args);
  const want = {
    verb: verb.name,
    ...(like && { like }),
    reads: verb.kind === "reads" || verb.forAll === true,
    act: () => actOf(verb.name, args),
    ...onBranch(host),
    ...(network !== undefined && { network }),
    ...(command && { command }),
  };
  return host.rules.need(actor, want, { id, begins });
}

/** The branch that this host is on, for the policy. */
export function onBranch({ db }: Host): { branch?: string } {
  const branch = getMeta(db, "branch");
  return branch === undefined ? {} : { branch };
}
