// api_tokens: one is shown once and kept as a hash, is good for its person, its roles and its time, and ends at once when it is revoked.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { VirtualClock } from "../mq/mod.ts";
import { faultOf, makeFirstHost } from "../tests/world.ts";
import { ApiTokens } from "./api_tokens.ts";
import { apiTokensMax, apiTokenTriesMax, apiTokenTriesMs } from "./limits_api.ts";

const alice = { uid: 1001, name: "alice" }, bob = { uid: 1002, name: "bob" }, root = { uid: 0, name: "root" };
const DAY_MS = 24 * 3_600_000;

test("a token is its person's with its roles, until it is over or revoked; of it the hash is kept", async (t) => {
  const host = await makeFirstHost(t);
  const clock = new VirtualClock(1);
  const tokens = new ApiTokens(host.agent.host.db, clock);
  const made = tokens.make(alice, { roles: ["operate"], days: 2, note: "<b>cron" });
  assert.match(made.token, /^isconf_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/);
  assert.deepEqual(tokens.bearer(made.token), {
    id: made.id,
    uid: 1001,
    name: "alice",
    roles: ["read", "operate"],
  });
  const secret = made.token.slice(-43);
  for (const file of fs.readdirSync(host.home.state).filter((f) => f.startsWith("agent.db"))) {
    const bytes = fs.readFileSync(`${host.home.state}/${file}`);
    assert.equal(bytes.includes(secret) || bytes.includes(Buffer.from(secret, "base64url")), false, file);
  }
  assert.deepEqual(tokens.list(alice).map(({ id, note }) => [id, note]), [[made.id, "<b>cron"]]);
  assert.deepEqual([tokens.list(bob).length, tokens.list(root).length], [0, 1]);
  assert.equal((await faultOf(() => tokens.revoke(bob, made.id))).kind, "notFound");
  await clock.advance(2 * DAY_MS);
  assert.equal((await faultOf(() => tokens.bearer(made.token))).kind, "denied");
  const other = tokens.make(alice, { roles: [] });
  tokens.revoke(alice, other.id.slice(0, 6));
  assert.equal((await faultOf(() => tokens.bearer(other.token))).kind, "denied");
});

test("what is not a token is said to be none, in the same words; a flood of them keeps no right one out", async (t) => {
  const host = await makeFirstHost(t);
  const clock = new VirtualClock(1);
  const tokens = new ApiTokens(host.agent.host.db, clock);
  const { token } = tokens.make(alice, { roles: [] });
  const wrong = [
    "",
    "x",
    token.slice(0, -1),
    `${token}x`,
    token.replace(/.$/, (c) => c === "A" ? "B" : "A"),
    token.toUpperCase(),
    `isconf_${"0".repeat(16)}_${"A".repeat(43)}`,
    "isconf_%_'--",
  ];
  const said = new Set<string>();
  for (const one of wrong) {
    const { kind, message } = await faultOf(() => tokens.bearer(one));
    said.add(`${kind} ${message}`);
  }
  assert.equal(said.size, 1, [...said].join());
  for (let i = wrong.length; i < apiTokenTriesMax; i++) await faultOf(() => tokens.bearer("x"));
  assert.equal((await faultOf(() => tokens.bearer("x"))).kind, "refused");
  assert.equal(tokens.bearer(token).name, "alice");
  await clock.advance(apiTokenTriesMs);
  assert.equal((await faultOf(() => tokens.bearer("x"))).kind, "denied");
});

test("roles, days and notes are checked, and nobody has more than so many", async (t) => {
  const host = await makeFirstHost(t);
  const { tokens } = host.agent.host;
  for (
    const o of [
      { roles: ["owner"] },
      { roles: ["toString"] },
      { roles: [], days: 0 },
      { roles: [], days: 1e9 },
      { roles: [], note: "x".repeat(201) },
      { roles: [], note: "\0" },
    ]
  ) {
    assert.equal((await faultOf(() => tokens.make(alice, o))).kind, "usage", JSON.stringify(o));
  }
  for (let i = 0; i < apiTokensMax; i++) tokens.make(alice, { roles: [] });
  assert.equal((await faultOf(() => tokens.make(alice, { roles: [] }))).kind, "refused");
  tokens.make(bob, { roles: [] });
});
