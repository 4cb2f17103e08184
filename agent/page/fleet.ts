// Fleet: hosts counted, filtered and put in order, the worst first. Plain data in and out; not how it is shown (hosts.tsx).
import type { HostLine } from "./answers.ts";

/** How much a state asks of people: nothing, patience, an eye, a hand. */
export type Tone = "ok" | "moving" | "unknown" | "bad";

/** What hosts say of themselves, the worst first. */
const STATES: Record<string, Tone> = {
  forked: "bad",
  diverged: "bad",
  failed: "bad",
  uncertain: "bad",
  restored: "bad",
  evicted: "bad",
  unknown: "unknown",
  behind: "moving",
  restarting: "moving",
  current: "ok",
};
const ORDER = Object.keys(STATES);

/** The tone of a state; a word that is new here is not taken for good. */
export function toneOf(state: string): Tone {
  return Object.hasOwn(STATES, state) ? STATES[state] as Tone : "unknown";
}

/** The place of a state from the worst; what is not known comes after what is bad. */
function rank(state: string): number {
  const at = ORDER.indexOf(state);
  return at < 0 ? ORDER.indexOf("unknown") : at;
}

/** Hosts of one branch, counted by state, the worst first. */
export interface Counted {
  branch: string;
  hosts: number;
  states: { state: string; hosts: number }[];
  /** The end of the branch, as far as any host knows it. */
  of: number;
}

/** All hosts, and those of each branch, counted. */
export function countHosts(hosts: readonly HostLine[]): { all: Counted; branches: Counted[] } {
  const byBranch = new Map<string, HostLine[]>();
  for (const host of hosts) {
    const one = byBranch.get(host.branch);
    if (one === undefined) byBranch.set(host.branch, [host]);
    else one.push(host);
  }
  const branches = [...byBranch].map(([branch, of]) => counted(branch, of));
  // Those of which nothing was heard, and so no branch either, come last.
  branches.sort((a, b) =>
    Number(a.branch === "") - Number(b.branch === "") || compareText(a.branch, b.branch)
  );
  return { all: counted("", hosts), branches };
}

function counted(branch: string, hosts: readonly HostLine[]): Counted {
  const states = new Map<string, number>();
  let of = 0;
  for (const host of hosts) {
    states.set(host.state, (states.get(host.state) ?? 0) + 1);
    of = Math.max(of, host.of);
  }
  const rows = [...states].map(([state, n]) => ({ state, hosts: n }));
  return { branch, hosts: hosts.length, states: rows.sort((a, b) => rank(a.state) - rank(b.state)), of };
}

/** What is looked for; "" is anything. */
export interface Filter {
  text: string;
  state: string;
  branch: string;
}

export const NO_FILTER: Filter = { text: "", state: "", branch: "" };

/** The hosts that a filter means: by name, branch, state or reason. */
export function filterHosts(hosts: readonly HostLine[], { text, state, branch }: Filter): HostLine[] {
  const word = text.trim().toLowerCase();
  return hosts.filter((h) =>
    (state === "" || h.state === state) && (branch === "" || h.branch === branch) &&
    (word === "" || `${h.name} ${h.branch} ${h.state} ${h.why}`.toLowerCase().includes(word))
  );
}

export type Order = "worst" | "name" | "behind" | "heard";

const compareText = (a: string, b: string) => a < b ? -1 : a > b ? 1 : 0;
const lacks = (h: HostLine) => h.of - h.at;

const ORDERS: Record<Order, (a: HostLine, b: HostLine) => number> = {
  worst: (a, b) => rank(a.state) - rank(b.state) || lacks(b) - lacks(a) || compareText(a.name, b.name),
  name: (a, b) => compareText(a.name, b.name),
  behind: (a, b) => lacks(b) - lacks(a) || compareText(a.name, b.name),
  heard: (a, b) => a.saidMs - b.saidMs || compareText(a.name, b.name),
};

/** Hosts in an order; of equals by name. */
export function orderHosts(hosts: readonly HostLine[], order: Order): HostLine[] {
  return hosts.toSorted(ORDERS[order]);
}

/** The hosts that are on their way: those that lack entries, or stand somewhere on them; the farthest first. */
export function onTheWay(hosts: readonly HostLine[]): HostLine[] {
  return orderHosts(
    hosts.filter((h) => h.branch !== "" && (h.state !== "current" || lacks(h) > 0)),
    "behind",
  );
}

/** One page of rows, and how many pages there are; a page that is not there is the last one. */
export function pageOf<T>(
  rows: readonly T[],
  page: number,
  perPage: number,
): { rows: T[]; page: number; pages: number } {
  const pages = Math.max(1, Math.ceil(rows.length / perPage));
  const at = Math.min(Math.max(0, page), pages - 1);
  return { rows: rows.slice(at * perPage, (at + 1) * perPage), page: at, pages };
}
