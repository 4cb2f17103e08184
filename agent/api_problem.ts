// API problems: a fault as an answer. Not which faults there are (mq/fault.ts).
import type { Context } from "hono";
import type { Fault } from "../mq/mod.ts";

/** A fault as RFC 9457 has it, with what isconf knows beside it; `status` where HTTP has a narrower one than its kind. */
export function problem(
  c: Context,
  fault: Fault,
  status: number = fault.http,
  headers: Record<string, string> = {},
): Response {
  const body = { type: "about:blank", title: fault.kind, status, detail: fault.message, ...fault.toJSON() };
  const type = { "content-type": "application/problem+json" };
  return c.body(JSON.stringify(body), status as 400, { ...headers, ...type });
}
