// confirm: what the policy permits only with a password or another person's word, on a host with real users, real passwords
// and real terminals. Which lines say so is in agent/rules_test.ts.
import assert from "node:assert/strict";
import { type Host, hostTest, makeHost, type Outcome, type RunOptions } from "../hosts.ts";
import { until } from "../holder.ts";
import { atTerminal } from "../terminal.ts";

const onTerminal = (answers: [string, string][], ...words: string[]) =>
  atTerminal(answers.map(([seen, answer]) => [seen, "type", `${answer}\r`]), ...words);

const ASKED = "[isconf] your password: ";

async function withPeople(t: Parameters<typeof makeHost>[0], name: string, policy: string) {
  const host = await makeHost(t, name, { policy, users: ["alice", "bob"] });
  await host.must(["chpasswd"], { stdin: "alice:right word\nbob:bobs word\n" });
  await host.ok("init", "--branch", "main");
  await host.ok("grant", "alice", "append", "main");
  const uids = { alice: await host.uidOf("alice"), bob: await host.uidOf("bob") };
  const as = (who: keyof typeof uids, words: string[], options: RunOptions = {}) =>
    host.run(words, { uid: uids[who], cwd: "/tmp", env: { HOME: "/tmp" }, ...options });
  assert.equal((await as("alice", ["isconf", "lock", "work"])).status, 0);
  return { host, as };
}

const runsOf = (host: Host) => host.sh("cat /srv/runs 2>/dev/null || true");
const showsNothingOf = (outcome: Outcome, word: string) =>
  assert.equal((outcome.stdout + outcome.stderr).includes(word), false, "the password is shown");

hostTest(
  "a password, asked for on the terminal, each time; without a terminal it is said what to do",
  async (t) => {
    const { host, as } = await withPeople(
      t,
      "password",
      "permit alice do lock,wip\npermit alice confirm password cmd /usr/bin/tee\n",
    );
    const tee = ["isconf", "exec", "-i", "tee", "-a", "/srv/runs"];
    const refused = await as("alice", tee, { stdin: "none\n" });
    assert.equal(refused.status, 228, refused.stderr);
    assert.match(refused.stderr, /site\.policy:2 asks for your password\n {2}isconf confirm [0-9a-f]{16}/);
    const typed = (...answers: [string, string][]) =>
      as("alice", onTerminal(answers, "sh", "-c", `echo input | ${tee.join(" ")}`));
    const wrong = await typed([ASKED, "wrong"], [ASKED, "right word"]);
    assert.equal(wrong.status, 0, wrong.stdout);
    assert.match(wrong.stdout, /that is not the password/);
    showsNothingOf(wrong, "right word");
    assert.equal(await runsOf(host), "input", "all of the input is the command's, and only once");
    const none = await typed([ASKED, "\x03"]);
    assert.notEqual(none.status, 0);
    assert.match(none.stdout, /nothing was confirmed/);
    const never = await typed([ASKED, "a"], [ASKED, "b"], [ASKED, "c"]);
    assert.equal(never.status, 77, never.stdout);
    const late = await typed([ASKED, "right word"]);
    assert.match(late.stdout, /3 wrong passwords in a minute/);
    assert.equal(await runsOf(host), "input");
    const log = await host.sh("cat /var/lib/isconf/agent.log 2>/dev/null || true");
    assert.equal(log.includes("right word"), false);
  },
  "python3",
);

hostTest(
  "another person: shown exactly what is to be done, for this once; nobody confirms for themselves",
  async (t) => {
    const { host, as } = await withPeople(
      t,
      "another",
      "permit bob do status\npermit alice do lock,wip\npermit alice confirm bob cmd /usr/bin/touch\n",
    );
    const wants = as("alice", onTerminal([], "isconf", "exec", "touch", "/srv/two words"));
    const waiting = async () =>
      JSON.parse((await as("bob", ["isconf", "--json", "confirm"])).stdout) as {
        id: string;
        act: string;
        who: string;
      }[];
    let id = "";
    await until("it waits", async () => (id = (await waiting())[0]?.id ?? "") !== "");
    assert.deepEqual((await waiting()).map(({ who, act }) => [who, act]), [[
      "alice",
      "exec touch '/srv/two words', in /tmp",
    ]]);
    const own = await as("alice", ["isconf", "confirm", id, "--yes"]);
    assert.deepEqual([own.status, /waits for you/.test(own.stderr)], [2, true], own.stderr);
    const no = await as("bob", onTerminal([["[y/N]", "n"]], "isconf", "confirm", id));
    assert.match(no.stdout, /alice wants: exec touch '\/srv\/two words', in \/tmp[^]*nothing was confirmed/);
    assert.equal(await host.sh("ls /srv"), "");
    assert.equal((await as("bob", onTerminal([["[y/N]", "y"]], "isconf", "confirm", id))).status, 0);
    assert.equal((await wants).status, 0, (await wants).stdout);
    assert.equal(await host.sh("ls /srv"), "two words");
    const again = await as("alice", ["isconf", "exec", "touch", "/srv/two words"]);
    assert.equal(again.status, 228);
  },
  "python3",
);
