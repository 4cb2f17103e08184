// API streams: which kind of stream a request wants, and events as the text of one (Server-Sent Events: WHATWG HTML, 9.2). Not what
// is told in them.
import type { Context } from "hono";
import type { EventPage } from "./event.ts";
import { eventPulseMs } from "./limits_api.ts";

/** The header by which the half that passes an answer on hears that it may be given again for a moment. */
export const LASTS = "isconf-lasts";

export const NDJSON = "application/x-ndjson";
export const SSE = "text/event-stream";

/** The first of these types that Accept names; undefined: none of them. */
export function wants(c: Context, ...types: string[]): string | undefined {
  return wantedOf(c.req.header("accept"), ...types);
}

/** The same, of what Accept says. */
export function wantedOf(accept = "", ...types: string[]): string | undefined {
  const named = accept.split(",").map((part) => part.split(";")[0]!.trim().toLowerCase());
  return types.find((type) => named.includes(type));
}

/** One event; no field of it has a line break, which JSON's texts do not. */
export function sseEvent(fields: { id?: string; event?: string; data: string }): string {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value.replace(/[\r\n]/g, " ")}`);
  return `${lines.join("\n")}\n\n`;
}

/**
 * A stream of events as text, until `hasEnded`; `next` gives those behind a cursor, waiting for one at the most so long.
 * `done` is called at its end, however it comes.
 */
export async function* eventLines(
  type: string,
  after: string | undefined,
  next: (after: string | undefined, waitMs: number) => Promise<EventPage>,
  hasEnded: () => boolean,
  done: () => void,
): AsyncGenerator<Uint8Array> {
  const text = new TextEncoder();
  const say = (event: string, data: object, id?: string) =>
    text.encode(
      type === SSE
        ? sseEvent({ ...(id !== undefined && { id }), event, data: JSON.stringify(data) })
        : `${JSON.stringify(data)}\n`,
    );
  const pulse = text.encode(type === SSE ? ": here\n\n" : "\n");
  try {
    let page = await next(after, 0);
    yield pulse; // so that the answer begins
    for (; !hasEnded(); page = await next(page.cursor, eventPulseMs)) {
      if (page.missed) yield say("isconf.missed", { type: "isconf.missed", cursor: page.cursor });
      for (const event of page.events) yield say(event.type, event, event.id);
      if (page.events.length === 0) yield pulse;
    }
  } finally {
    done();
  }
}
