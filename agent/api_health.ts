// API health: /healthz, /readyz and /metrics: whether this host works, for machines that ask every few seconds. Nothing here asks another
// host. What is wrong in words, and what helps, says `isconf doctor`.
import * as fs from "node:fs";
import type { Hono } from "hono";
import type { Env } from "./api_body.ts";
import { EXPOSITION, exposition, type Family, Histogram } from "./exposition.ts";
import type { Host } from "./host.ts";
import { VERSION } from "./release.ts";
import { STATES } from "./reports.ts";
import { standing } from "./status.ts";
import { members } from "./trust.ts";

/** Seconds that answers take: the buckets of their histogram. */
const SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60];

/** What requests came to, counted from the agent's start. */
export class Requests {
  readonly #counts = new Map<string, number>();
  readonly seconds = new Histogram(SECONDS);

  /** `route` is one of the table's, so that nobody makes up labels. */
  note(method: string, route: string, status: number, seconds: number): void {
    const key = JSON.stringify({ method, route, code: String(status) });
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    this.seconds.observe(seconds);
  }

  get counts(): [Record<string, string>, number][] {
    return [...this.#counts].map(([labels, n]) => [JSON.parse(labels), n]);
  }
}

/** Adds the routes to the app. */
export function addHealthRoutes(app: Hono<Env>, host: Host, requests: Requests): void {
  app.get("/healthz", (c) => c.json({ status: "ok" }, 200, NO_STORE));
  app.get("/readyz", (c) => {
    const checks = readiness(host);
    const status = checks.every(({ ok }) => ok) ? 200 : 503;
    // To who shows no token it is said whether, not why.
    const body = c.env.actor.uid < 0 ? {} : { checks };
    return c.json({ status: status === 200 ? "ready" : "not ready", ...body }, status, NO_STORE);
  });
  app.get(
    "/metrics",
    (c) => c.body(exposition(families(host, requests)), 200, { "content-type": EXPOSITION, ...NO_STORE }),
  );
}

const NO_STORE = { "cache-control": "no-store" };

/** What has to be so that this host can do its work. */
export function readiness(host: Host): { check: string; ok: boolean; why: string }[] {
  const { state, diverged, stale } = standing(host);
  const stopped = ["no domain", "evicted", "diverged", "forked", "restored"].includes(state);
  const net = host.netPid();
  return [
    { check: "domain", ok: !stopped, why: stopped ? diverged ?? `this host is: ${state}` : "" },
    {
      check: "keepers",
      ok: stale === null,
      why: stale === null ? "" : "no quorum of keepers was heard for long",
    },
    { check: "net", ok: net === undefined || isAlive(net), why: "the net half is not there" },
  ].map((check) => ({ ...check, why: check.ok ? "" : check.why }));
}

function isAlive(pid: number): boolean {
  return fs.existsSync(`/proc/${pid}`);
}

const one = (value: number, labels: Record<string, string> = {}): Family["samples"] => [[labels, value]];
const bit = (is: boolean) => is ? 1 : 0;

/** Everything that is measured, by the conventions of Prometheus for names and units. */
function families(host: Host, requests: Requests): Family[] {
  const now = standing(host);
  const policy = host.journal.policy();
  const others = policy === undefined
    ? []
    : host.reports.known().filter(({ host: id }) => members(policy).has(id));
  const stateOf = new Map<string, number>(STATES.map((state) => [state, 0]));
  for (const { state } of others) stateOf.set(state, (stateOf.get(state) ?? 0) + 1);
  if (now.branch !== null) stateOf.set(now.state, (stateOf.get(now.state) ?? 0) + 1);
  const state = [...new Set([...STATES, now.state])].map((
    s,
  ): [Record<string, string>, number] => [{ state: s }, bit(s === now.state)]);
  const info = { host: now.host, domain: now.domain ?? "", branch: now.branch ?? "" };
  const gauge = (name: string, help: string, samples: Family["samples"]): Family => ({
    name: `isconf_${name}`,
    type: "gauge",
    help,
    samples,
  });
  return [
    gauge(
      "build_info",
      "The version of this agent; always 1.",
      one(1, { version: VERSION, node: process.version }),
    ),
    gauge("host_info", "What this host is called and where it belongs; always 1.", one(1, info)),
    gauge("state", "How this host stands to its branch: 1 for the state that it is in.", state),
    gauge("entries_applied", "Entries of its branch that this host has applied.", one(now.at)),
    gauge("entries_known", "Entries that its branch is known to have.", one(now.of)),
    gauge(
      "entries_differing",
      "Applied entries after which this host differed from the origin.",
      one(now.differing.entries),
    ),
    gauge("work_pending", "Pieces of work on this host that are not checked in.", one(now.wip)),
    gauge("lock_held", "Whether somebody has the lock of this host's branch.", one(bit(now.lock !== null))),
    gauge("stale", "Whether no quorum of keepers was heard for ten minutes.", one(bit(now.stale !== null))),
    gauge(
      "proofs_open",
      "Proven double signatures about which something is to be done.",
      one(now.proofs.filter(({ open }) => open).length),
    ),
    gauge("keepers", "Keepers of the domain.", one(now.quorum?.of ?? 0)),
    gauge(
      "keepers_reachable",
      "Keepers that this host can reach, itself among them.",
      one(now.quorum?.reached ?? 0),
    ),
    gauge("keepers_needed", "Keepers that have to agree.", one(now.quorum?.need ?? 0)),
    gauge(
      "hosts",
      "Hosts of the domain by the state that was last heard of them.",
      [...stateOf].map(([s, n]) => [{ state: s }, n]),
    ),
    gauge("hosts_connected", "Other hosts that are connected with this one.", one(host.mesh.peers().length)),
    gauge("ready", "Whether this host can do its work.", one(bit(readiness(host).every(({ ok }) => ok)))),
    {
      name: "isconf_events_total",
      type: "counter",
      help: "Events since this host's database was made.",
      samples: one(host.events.count()),
    },
    {
      name: "isconf_http_requests_total",
      type: "counter",
      help: "Requests that were answered.",
      samples: requests.counts,
    },
    requests.seconds.family("isconf_http_request_duration_seconds", "Seconds until an answer began."),
    ...processFamilies("isconf_net", host.netPid()),
    ...processFamilies("process", process.pid),
  ];
}

/** What Linux says of a process; nothing of one that is not there. */
function processFamilies(prefix: string, pid: number | undefined): Family[] {
  if (pid === undefined) return [];
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
    const words = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(words[11]) + Number(words[12]);
    const pages = Number(fs.readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]);
    return [
      {
        name: `${prefix}_cpu_seconds_total`,
        type: "counter",
        help: "Seconds of processor time.",
        samples: one(ticks / TICKS_PER_SECOND),
      },
      {
        name: `${prefix}_resident_memory_bytes`,
        type: "gauge",
        help: "Bytes of memory that are resident.",
        samples: one(pages * PAGE_BYTES),
      },
    ];
  } catch {
    return [];
  }
}

/** USER_HZ and the page size of the Linux that we are built for. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;
