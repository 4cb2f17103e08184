// API problems: a fault as an answer. Not which faults there are (mq/fault.ts).
import type { Context } from "hono";
import { Fault } from "../mq/mod.ts";

/** What such an answer is. */
export const PROBLEM = "application/problem+json";

/** What If-Match asks for is not so (RFC 9110, 13.1.1). */
export class HeadMoved extends Fault {}

/** A fault as RFC 9457 has it, with what isconf knows beside it; `status` where HTTP has a narrower one than its kind. */
export function problem(
  c: Context,
  fault: Fault,
  status: number = fault instanceof HeadMoved ? 412 : fault.http,
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
