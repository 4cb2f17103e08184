// fleet, rings: counting, order, pages and places of hosts.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostLine } from "./answers.ts";
import { countHosts, filterHosts, NO_FILTER, onTheWay, orderHosts, pageOf, toneOf } from "./fleet.ts";
import { ringPlaces, spacing } from "./rings.ts";

const host = (name: string, state: string, at = 5, branch = "main"): HostLine => (
  { name, branch, at, of: 5, state, why: "", sinceMs: 0, saidMs: Number(name.length), reached: true }
);
const HOSTS = [
  host("a", "current"),
  host("b", "behind", 3),
  host("c", "failed", 2),
  host("d", "unknown", 0, ""),
  host("e", "behind", 1, "web"),
  host("f", "somethingnew"),
  host("g", "forked"),
];

test("hosts are counted by branch and state, the worst first, the unheard-of last", () => {
  const { all, branches } = countHosts(HOSTS);
  assert.equal(all.hosts, HOSTS.length);
  assert.deepEqual(all.states.map(({ state, hosts }) => `${state} ${hosts}`), [
    "forked 1",
    "failed 1",
    "unknown 1",
    "somethingnew 1",
    "behind 2",
    "current 1",
  ]);
  assert.deepEqual(branches.map(({ branch, hosts, of }) => [branch, hosts, of]), [["main", 5, 5], [
    "web",
    1,
    5,
  ], ["", 1, 5]]);
});

test("a state that is new is not taken for good, nor one that every object has", () => {
  assert.deepEqual(["current", "somethingnew", "constructor", "__proto__"].map(toneOf), [
    "ok",
    "unknown",
    "unknown",
    "unknown",
  ]);
});

test("order, filter and pages", () => {
  const names = (hosts: HostLine[]) => hosts.map(({ name }) => name).join("");
  assert.equal(names(orderHosts(HOSTS, "worst")), "gcdfeba");
  assert.equal(names(orderHosts(HOSTS, "behind")), "decbafg");
  assert.equal(names(onTheWay(HOSTS)), "ecbfg");
  assert.equal(names(filterHosts(HOSTS, { ...NO_FILTER, state: "behind" })), "be");
  assert.equal(names(filterHosts(HOSTS, { text: " WEB ", state: "behind", branch: "web" })), "e");
  assert.deepEqual(pageOf([1, 2, 3, 4, 5], 9, 2), { rows: [5], page: 2, pages: 3 });
  assert.deepEqual(pageOf([], 0, 2), { rows: [], page: 0, pages: 1 });
  assert.deepEqual(pageOf([1], -1, 2).rows, [1]);
});

test("no two dots of a map overlap, whether three hosts or a thousand", () => {
  for (const [near, far] of [[2, 0], [0, 0], [0, 7], [23, 60], [700, 299]] as const) {
    const { dot, space } = spacing(near + far + 1);
    const places = ringPlaces(near, far, space);
    const all = [{ x: 0, y: 0 }, ...places.near, ...places.far];
    assert.equal(all.length, near + far + 1);
    let least = Infinity;
    for (const [i, a] of all.entries()) {
      for (const b of all.slice(i + 1)) least = Math.min(least, Math.hypot(a.x - b.x, a.y - b.y));
    }
    assert.ok(least >= 2 * dot, `${near}, ${far}: ${least} apart, ${dot} wide`);
    for (const { x, y } of all) assert.ok(Math.hypot(x, y) <= places.radius + 0.1);
  }
});
