// API events: GET /v1/events: what has happened and happens, as CloudEvents 1.0: some of them as JSON, all that come as a stream of
// Server-Sent Events or of JSON lines. Which events there are: event_sources.ts.
import type { Context, Hono } from "hono";
import { Fault } from "../mq/mod.ts";
import { answerBytes, type Env } from "./api_body.ts";
import { eventLines, NDJSON, SSE, wants } from "./api_streams.ts";
import { EVENT_TYPES, type EventFilter } from "./event.ts";
import type { Host } from "./host.ts";
import { eventPageMax, eventStreamsMax, eventWaitMsMax } from "./limits_api.ts";
import { isPlainText } from "./names.ts";

/** Adds the route to the app. */
export function addEventRoute(app: Hono<Env>, host: Host): void {
  const open = new Map<number, number>();
  app.get("/v1/events", async (c) => {
    const { after, filter, limit, waitMs } = questionOf(c);
    const type = wants(c, SSE, NDJSON);
    if (type === undefined) {
      const page = host.events.page(after, filter, limit);
      if (page.events.length > 0 || waitMs === 0) return c.json(page, 200, NO_STORE);
      await host.events.wait(page.cursor, waitMs);
      return c.json(host.events.page(page.cursor, filter, limit), 200, NO_STORE);
    }
    const { uid } = c.env.actor;
    const streams = open.get(uid) ?? 0;
    if (streams >= eventStreamsMax) {
      throw new Fault("watch", "refused", `you have ${streams} streams of events already`, {
        hint: "isconf watch, once those before have ended",
      });
    }
    open.set(uid, streams + 1);
    const next = async (from: string | undefined, waitMs: number) => {
      if (from !== undefined && waitMs > 0) await host.events.wait(from, waitMs);
      return host.events.page(from, filter, eventPageMax);
    };
    const hasEnded = () => host.events.isClosed || c.env.outgoing?.destroyed === true;
    const done = () => {
      const left = (open.get(uid) ?? 1) - 1;
      if (left > 0) open.set(uid, left);
      else open.delete(uid);
    };
    const lines = eventLines(type, after, next, hasEnded, done);
    return await answerBytes(c, lines, 200, { "content-type": type, ...NO_STORE }, host.log);
  });
}

const NO_STORE = { "cache-control": "no-store" };

/** What is asked for: from where on (Last-Event-ID when a stream goes on), which, how many, and how long one may wait for. */
function questionOf(
  c: Context,
): { after: string | undefined; filter: EventFilter; limit: number; waitMs: number } {
  const { type, branch, host, limit, wait, after = c.req.header("last-event-id") } = c.req.query();
  const types = type?.split(",");
  const wrong = types?.find((t) => !EVENT_TYPES.some((one) => one === t));
  if (wrong !== undefined) throw usage(`there is no such type of event; there are ${EVENT_TYPES.join(", ")}`);
  for (const text of [branch, host]) {
    if (text !== undefined && !isPlainText(text)) throw usage("branch and host are texts");
  }
  return {
    after,
    filter: {
      ...(types !== undefined && { types }),
      ...(branch !== undefined && { branch }),
      ...(host !== undefined && { host }),
    },
    limit: Math.max(1, countIn("limit", limit, eventPageMax) ?? eventPageMax),
    waitMs: 1000 * (countIn("wait", wait, eventWaitMsMax / 1000) ?? 0),
  };
}

function countIn(name: string, text: string | undefined, most: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9]{1,6}$/.test(text) && Number(text) <= most) return Number(text);
  throw usage(`${name} is a whole number up to ${most}`);
}

function usage(message: string): Fault {
  return new Fault("watch", "usage", message, { hint: "isconf help watch" });
}
