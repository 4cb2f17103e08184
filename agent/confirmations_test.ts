// confirmations: for one act of one caller, for once and for a while; by who has to; few wrong passwords in a time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../mq/mod.ts";
import { faultOf } from "../tests/world.ts";
import { actOf, Confirmations } from "./confirmations.ts";
import { confirmAskedMax, confirmTriesMax, confirmTriesMs, confirmWaitMs } from "./limits.ts";
import { parseRules } from "./rules.ts";

const [ALICE, BOB, CAROL] = ["alice", "bob", "carol"].map((name, i) => ({ uid: 1000 + i, name }));
const ruleOf = (text: string) => parseRules(text, "site.policy", ["exec", "lock"])[0]!;
const BY_PASSWORD = ruleOf("permit alice confirm password");
const BY_OTHERS = ruleOf("permit :ops confirm bob,:ops");
const act = (...command: string[]) => actOf("exec", { command, cwd: "/" });
const begins = { id: undefined, begins: true };

function make() {
  const clock = new VirtualClock(1);
  const log: string[] = [];
  const asked: string[] = [];
  const confirmations = new Confirmations({
    clock,
    log: (line) => log.push(line),
    isPassword: (name, password) => {
      asked.push(`${name} ${password}`);
      return Promise.resolve(password === `${name}'s`);
    },
    isOf: (who, name) => "user" in who ? who.user === name : ["alice", "bob"].includes(name),
  });
  const ask = (rule = BY_PASSWORD, actor = ALICE!, what = act("/bin/true")) => {
    try {
      confirmations.need(actor, rule, what, begins);
    } catch (e) {
      return /^isconf confirm ([0-9a-f]{16})$/.exec((e as { hint: string }).hint)![1]!;
    }
    throw new Error("nothing was asked for");
  };
  return { clock, log, asked, confirmations, ask };
}

test("a password confirms one act, once; looked at before it begins it is not used up", async () => {
  const { confirmations, ask, log } = make();
  const id = ask();
  const show = (what = act("/bin/true"), actor = ALICE!, isBegun = true) =>
    confirmations.need(actor, BY_PASSWORD, what, { id, begins: isBegun });
  assert.throws(() => show(), /site.policy:1 asks for your password/);
  await confirmations.give(ALICE!, id, "alice's");
  assert.throws(
    () => show(act("/bin/true", "")),
    /asks for your password/,
    "other arguments are another act",
  );
  assert.throws(() => show(act("/bin/true"), BOB!), /asks for/, "another caller has none of it");
  show(act("/bin/true"), ALICE!, false);
  show();
  assert.throws(() => show(), /asks for your password/);
  assert.match(log.join("\n"), /alice confirmed for alice: exec \/bin\/true, in \//);
  assert.doesNotMatch(log.join("\n"), /alice's/);
});

test("wrong passwords: so many in a minute, also at once, and not after it; others are not locked out", async () => {
  const { clock, confirmations, ask, asked } = make();
  const id = ask();
  const give = (password?: string, actor = ALICE!) => faultOf(() => confirmations.give(actor, id, password));
  const many = await Promise.all(Array.from({ length: 20 }, (_, i) => give(`wrong ${i}`)));
  assert.deepEqual(many.map(({ kind }) => kind), Array(20).fill("denied"));
  assert.equal(asked.length, confirmTriesMax);
  assert.match((await give("alice's")).message, /3 wrong passwords in a minute/);
  assert.equal((await give("bob's", BOB!)).kind, "notFound", "it is not his to confirm, nor to know of");
  const bobs = ask(ruleOf("permit bob confirm password"), BOB!);
  await confirmations.give(BOB!, bobs, "bob's");
  await clock.advance(confirmTriesMs);
  await confirmations.give(ALICE!, id, "alice's");
});

test("another person: of those who are named, and never oneself", async () => {
  const { confirmations, ask } = make();
  const id = ask(BY_OTHERS);
  assert.deepEqual(confirmations.list(ALICE!).map(({ yours, by }) => [yours, by]), [[
    false,
    "the word of bob or :ops",
  ]]);
  assert.equal((await faultOf(() => confirmations.give(ALICE!, id, undefined))).kind, "notFound");
  assert.equal((await faultOf(() => confirmations.give(CAROL!, id, undefined))).kind, "notFound");
  assert.deepEqual(confirmations.list(CAROL!), []);
  const [one] = confirmations.list(BOB!);
  assert.deepEqual([one!.who, one!.act, one!.yours], ["alice", "exec /bin/true, in /", true]);
  await confirmations.give(BOB!, id, undefined);
  confirmations.need(ALICE!, BY_OTHERS, act("/bin/true"), { id, begins: true });
});

test("what waits is forgotten after a while, and of one who asks on and on the oldest", async () => {
  const { clock, confirmations, ask } = make();
  const ids = Array.from({ length: confirmAskedMax + 1 }, (_, i) => ask(BY_PASSWORD, ALICE!, act(String(i))));
  assert.deepEqual(confirmations.list(ALICE!).map(({ id }) => id), ids.slice(1));
  await clock.advance(confirmWaitMs);
  assert.deepEqual(confirmations.list(ALICE!), []);
  assert.equal((await faultOf(() => confirmations.give(ALICE!, ids[3]!, "alice's"))).kind, "notFound");
  const long = () => confirmations.need(ALICE!, BY_PASSWORD, act("x".repeat(20_000)), begins);
  assert.throws(long, /too long for anybody to confirm/);
});

test("what people are shown of an act is inert", () => {
  assert.equal(
    actOf("exec", { command: ["/bin/echo", "\x1b[2J"], as: "bob", cwd: "/a\nb" }).text.includes("\x1b"),
    false,
  );
  assert.equal(actOf("grant", { person: "\x1b[2J\u202e" }).text.includes("\x1b"), false);
});
