// API problems: a fault as an answer. Not which faults there are (mq/fault.ts).
import type { Context } from "hono";
import type { Fault } from "../mq/mod.ts";

/** What such an answer is. */
export const PROBLEM = "application/problem+json";

/** A fault as RFC 9457 has it, with what isconf knows beside it; `status` where HTTP has a narrower one than its kind. */
export function problem(
  c: Context,
  fault: Fault,
  status: number = fault.http,
  headers: Record<string, string> = {},
): Response {
  const body = problemOf(fault, status);
  const type = { "content-type": PROBLEM };
  return c.body(JSON.stringify(body), status as 400, { ...headers, ...type });
}

/** The body of such an answer. */
export function problemOf(fault: Fault, status: number = fault.http): Record<string, unknown> {
  return { type: "about:blank", title: fault.kind, status, detail: fault.message, ...fault.toJSON() };
}
