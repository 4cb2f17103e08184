// Watch here: events as the agent tells them, a line each, and the address of the page: on the command line's side. Which events there are, the
// agent knows (event_sources.ts).
import { callVerb, lines, needOk, request, textOf } from "./client.ts";
import type { Cli } from "./cli.ts";
import type { CloudEvent } from "./event.ts";
import { bootFollowMs } from "./limits_images.ts";
import { Fault, sleep, systemClock } from "../mq/mod.ts";
import type { BootLine } from "./seam_netboot.ts";
import { noteLine } from "./verbs/netboot.ts";
import { inert } from "./names.ts";
import { inertJson, moment } from "./term.ts";

export interface WatchArgs {
  after?: string;
  type?: string;
  branch?: string;
  host?: string;
  count?: number;
}

/** Tells events until there were `count`, or the agent ends. */
export async function watch({ where, term, globals }: Cli, { count, ...args }: WatchArgs): Promise<number> {
  if (count === 0) return 0;
  const query = new URLSearchParams(Object.entries(args).filter(([, value]) => value !== undefined));
  const accept = "application/x-ndjson";
  const answer = await request(where, "GET", `/v1/events?${query}`, { accept, mustEnd: true });
  await needOk(answer);
  let told = 0;
  for await (const line of lines(answer.body)) {
    if (line === "") continue; // it is still there
    const event = JSON.parse(line) as CloudEvent;
    if (event.type === "isconf.missed" as string) {
      term.say("isconf watch: some events before these are not kept any more");
      continue;
    }
    term.line(globals.json ? inertJson(event) : lineOf(event));
    if (++told === count) return 0;
  }
  throw new Fault("watch", "gone", "the agent has ended", {
    hint: "isconf start; isconf watch --after the last id",
  });
}

/** An event as a line: when, what, about what, and what is to be known of it. */
function lineOf({ time, type, branch, host, subject, data }: CloudEvent): string {
  const d = data as Record<string, unknown>;
  const text = (value: unknown) => inert(String(value ?? ""));
  const what: Record<string, () => string> = {
    "isconf.entry": () =>
      `${text(branch)} ${text(d.seq)}: ${text(d.message)} (${text(d.author)} on ${text(d.origin)})`,
    "isconf.applied": () =>
      `${text(branch)} ${text(d.seq)} ${text(d.state)} here${d.status ? `, status ${text(d.status)}` : ""}`,
    "isconf.lock": () => `${text(branch)} by ${text(d.holder)} on ${text(host)}: ${text(d.message)}`,
    "isconf.unlock": () => `${text(branch)}, term ${text(d.term)}`,
    "isconf.host": () =>
      `${text(d.host)} ${text(branch)} ${text(d.at)} of ${text(d.of)}, ${text(d.state)} ${text(d.why)}`
        .trimEnd(),
    "isconf.enrol": () => `${text(d.name)} waits to join ${text(d.branch)}: isconf approve ${text(d.name)}`,
    "isconf.name": () => `${text(d.name)}@${text(d.seq)} by ${text(d.author)}: ${text(d.id).slice(0, 12)}`,
    "isconf.proof": () => text(d.text),
  };
  const short = type.replace(/^isconf\./, "");
  return `${moment(Date.parse(time))}  ${inert(short).padEnd(7)}  ${
    what[type]?.() ?? `${text(host)} ${text(subject)}`
  }`;
}

/** Tells how far machines have come that boot, until it is interrupted. What was noted before comes first. */
export async function followBoot(
  { where, term, globals }: Cli,
  args: Record<string, unknown>,
): Promise<number> {
  for (let after = Number(args.after ?? 0);;) {
    const { last, notes } = await callVerb(where, "boot", { ...args, after }, () => {}) as {
      last: number;
      notes: BootLine[];
    };
    for (const note of notes) term.line(globals.json ? inertJson(note) : noteLine(note));
    after = last;
    await sleep(systemClock, bootFollowMs);
  }
}

/** Prints the page's address with a new token in what a browser does not send anywhere. */
export async function page({ where, term }: Cli, role: string[]): Promise<number> {
  const asked = await request(where, "GET", "/v1/me");
  await needOk(asked);
  const { web, webWhy } = JSON.parse(await textOf(asked)) as { web: string; webWhy: string };
  if (web === "") {
    throw new Fault("page", "refused", `the page is served nowhere on this host${webWhy && `: ${webWhy}`}`, {
      hint: webWhy === ""
        ? "http = 127.0.0.1:8470 in isconf.conf, then isconf restart"
        : "another http in isconf.conf, then isconf restart",
    });
  }
  const args = { action: "api", role, days: 1, note: "page" };
  const { token } = await callVerb(where, "token", args, () => {}) as { token: string };
  term.line(`http://${inert(web)}/#token=${inert(token)}`);
  return 0;
}
