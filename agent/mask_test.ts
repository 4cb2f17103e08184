// mask: what looks like a secret is made unreadable, what does not is left alone, and neither record nor journal shows one, here or
// where it is replayed, while the command is given it as it is.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { carry, faultOf, makeFirstHost, makeSecondHost, type TestHost, UP } from "../tests/world.ts";
import { makeApi } from "./api.ts";
import { runVerb } from "./api_verbs.ts";
import { MASK, maskedArgv, maskedBytes, maskedEnv, maskedText } from "./mask.ts";
import { VERBS } from "./verbs/mod.ts";

const PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\naC1rZXk=\n-----END OPENSSH PRIVATE KEY-----\n";
/** Each with a secret "hunter2" or of a form that is one. */
const SECRET: string[][] = [
  ["env", "PASSWORD=hunter2", "true"],
  ["mysql", "--password=hunter2"],
  ["mysql", "--password", "hunter2 and more"],
  ["useradd", "-password", "hunter2"],
  ["sh", "-c", "DB_PASSWD=hunter2 run"],
  ["sh", "-c", "export API_KEY='hunter2 x'; run"],
  ["sh", "-c", 'curl -H "Authorization: Basic hunter2" host'],
  ["sh", "-c", "login --token hunter2 --user me"],
  ["curl", "https://me:hunter2@host/x"],
  ["curl", "-H", "authorization: Bearer hunter2hunter2"],
  ["curl", "-d", '{"user":"me","client_secret":"hunter2"}'],
  ["curl", "-d", "{secret: hunter2}"],
  ["docker", "run", "-e", "MYSQL_ROOT_PASSWORD=hunter2", "mysql"],
  ["terraform", "-var", "db.password=hunter2"],
  ["sh", "-c", `note: x password: "hunter2"`],
];
const FORMS = [
  PEM,
  PEM.replaceAll("OPENSSH ", ""),
  PEM.slice(0, -40),
  `ghp_${"a".repeat(36)}`,
  `github_pat_${"a".repeat(60)}`,
  `glpat-${"a".repeat(20)}`,
  `xoxb-${"1".repeat(12)}-abc`,
  "AKIAABCDEFGHIJKLMNOP",
  `eyJhbGciOiJI.${"a".repeat(20)}.${"b".repeat(20)}`,
  `AGE-SECRET-KEY-1${"Q".repeat(58)}`,
  `isconf1.${"a".repeat(100)}`,
];
const PLAIN: string[][] = [
  ["apt-get", "install", "-y", "passwd", "libsecret-1-0"],
  ["passwd", "--expire", "alice"],
  ["vault", "--token-file=/run/token", "--password-file", "/etc/pw"],
  ["sh", "-c", "test $PASSWORD = $OTHER && echo ${TOKEN:-none}"],
  ["ls", "/etc/secrets", "/root/.password-store"],
  ["git", "clone", "https://host:8080/x@y", "ssh://git@host/x"],
  ["sed", "-i", "s/a=b/c=d/", "key=value"],
  ["echo", "the secret of success", "bearer of news"],
  ["keytool", "-alias", "token", "-v"],
  ["env", "PASSWORD=", "PWD=/tmp", "true"],
];

test("what its name or form says is a secret is masked, in arguments, in scripts and in output", () => {
  for (const argv of SECRET) {
    const masked = maskedArgv(argv);
    assert.doesNotMatch(masked.join(" "), /hunter2/, argv.join(" "));
    assert.match(masked.join(" "), /\*{8}/);
    assert.equal(masked.length, argv.length);
    assert.deepEqual(maskedArgv(masked), masked, "masked again it is the same");
  }
  for (const secret of FORMS) {
    assert.deepEqual(maskedArgv(["put", `a ${secret} b`])[1]?.slice(0, 10), `a ${MASK}`, secret);
    assert.doesNotMatch(maskedText(`x\n${secret}`), new RegExp(secret.slice(12, 24)));
  }
  assert.deepEqual(maskedEnv({ MY_TOKEN: "x", TOKEN_FILE: "/x", URL: "ftp://a:b@c" }), {
    MY_TOKEN: MASK,
    TOKEN_FILE: "/x",
    URL: `ftp://a:${MASK}@c`,
  });
});

test("what is none stays as it is, byte for byte", () => {
  for (const argv of PLAIN) assert.deepEqual(maskedArgv(argv), argv);
  const bytes = Uint8Array.from({ length: 2048 }, (_, i) => i);
  assert.deepEqual(maskedBytes(bytes), bytes);
  const odd = Buffer.concat([bytes, Buffer.from("token=hunter2\n"), bytes]);
  assert.deepEqual(
    Buffer.from(maskedBytes(odd)),
    Buffer.concat([bytes, Buffer.from(`token=${MASK}\n`), bytes]),
  );
});

test("a value hides no more than a word of a script, so that what runs is seen", () => {
  for (
    const [given, shown] of [
      ["TOKEN=x; rm -rf /", `TOKEN=${MASK}; rm -rf /`],
      ["TOKEN=$(rm -rf /)", "TOKEN=$(rm -rf /)"],
      ['TOKEN="$(rm -rf /)"', 'TOKEN="$(rm -rf /)"'],
      ["TOKEN=`id`", "TOKEN=`id`"],
      ["TOKEN=x|sh", `TOKEN=${MASK}|sh`],
      ["password=x\nrm -rf /", `password=${MASK}\nrm -rf /`],
    ] as const
  ) assert.equal(maskedArgv(["sh", "-c", given])[2], shown);
});

test("text made to be slow is masked in bounded time", () => {
  const size = 64 * 1024;
  for (
    const part of [
      "a",
      "token",
      "token=",
      "token ",
      "--token ",
      "eyJ-",
      "eyJaaaaaaaa.",
      "a://",
      "a:",
      "bearer ",
      '"',
      "'",
      "-----BEGIN PRIVATE KEY-----",
      "token='",
      "isconf1.",
      "authorization:",
      "xoxb-",
    ]
  ) {
    const began = performance.now();
    maskedText(part.repeat(size / part.length));
    assert.ok(performance.now() - began < 2_000, `${part}: ${performance.now() - began} ms`);
  }
});

const verb = (name: string) => VERBS.find((one) => one.name === name)!;
const words = ["log", "show", "wip", "status", "env", "up", "verify", "ls"];

/** Everything that a host shows of what it knows, as JSON and as people see it, and what it has told others. */
async function shown(host: TestHost): Promise<string> {
  const app = makeApi(host.agent.host, host.acts);
  const out: string[] = [...host.logged, ...host.told.map((event) => JSON.stringify(event))];
  const ask = async (name: string, args: Record<string, unknown> = {}) => {
    const init = {
      method: "POST",
      body: JSON.stringify(args),
      headers: { "content-type": "application/json" },
    };
    const answer = await app.fetch(new Request(`http://isconf/v1/${name}`, init), {
      actor: host.call().actor,
    });
    out.push(await answer.text());
    if (answer.status !== 200) return;
    const line = (text: string) => void out.push(text);
    const term = {
      line,
      say: line,
      paint: (_: string, text: string) => text,
      size: () => ({ rows: Infinity, columns: Infinity }),
      table: (t: string[][]) => line(t.flat().join(" ")),
    };
    verb(name).show?.(JSON.parse(out.at(-1)!) as never, term as never, args as never);
  };
  for (const name of words) await ask(name, name === "show" ? { seq: 1 } : {});
  await ask("log", { here: true });
  for (const { n } of host.agent.host.executions.newest(100)) await ask("show", { seq: n, here: true });
  for (let seq = 2; seq < 6; seq++) await ask("show", { seq });
  host.agent.host.events.look();
  const { events } = host.agent.host.events.page("0", {}, 500);
  assert.ok(events.length > 1);
  out.push(JSON.stringify(events), fs.readFileSync(path.join(host.home.state, "commands.log"), "utf8"));
  return out.join("\n");
}

test("a password in arguments, in a variable and in output, and a snapped private key: shown nowhere, here or where it is replayed", async (t) => {
  const a = await makeFirstHost(t);
  await a.acts.locks.lock(a.call(), "why");
  const [file, key] = [path.join(a.dir, "given"), path.join(a.dir, "key.pem")];
  fs.writeFileSync(key, PEM);
  const exec = (host: TestHost, command: string[], more = {}) =>
    runVerb(host.call(), verb("exec"), { command, cwd: a.dir, callerEnv: {}, env: [], ...more });
  const script =
    'echo "$0 $MY_SECRET" >>given; echo "the new token: hunter2"; echo ghp_hunter2hunter2hunter2hunter2';
  const secret = { env: ["MY_SECRET"], callerEnv: { MY_SECRET: "hunter2" } };
  await exec(a, ["sh", "-c", script, "--password=hunter2"], secret);
  await exec(a, ["sh", "-c", "exit 3", "--password", "hunter2"]);
  await faultOf(() => exec(a, ["no-such-command", "--password", "hunter2"]));
  await a.acts.work.snap(a.call(), key, false);
  const before = await shown(a);
  await a.acts.checkin.ci(a.call());
  const b = await makeSecondHost(t, a);
  await carry(a, b);
  fs.rmSync(key);
  await b.acts.apply.up(b.call(), { ...UP, dryRun: true });
  await b.acts.apply.up(b.call(), UP);
  assert.equal(
    fs.readFileSync(file, "utf8"),
    "--password=hunter2 hunter2\n".repeat(2),
    "the command has it as it is",
  );
  assert.equal(fs.readFileSync(key, "utf8"), PEM, "and so has the file");
  for (const text of [before, await shown(a), await shown(b)]) {
    assert.match(text, /--password/);
    assert.match(text, /\*{8}/);
    assert.doesNotMatch(text, /hunter2|b3BlbnNz/);
  }
  for (const host of [a, b]) {
    const rows = host.agent.host.db.read((r) => r.all("SELECT * FROM execution")) as Record<
      string,
      unknown
    >[];
    for (const value of rows.flatMap((row) => Object.values(row))) {
      const text = value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value);
      assert.doesNotMatch(text, /hunter2/, "the record itself has none");
    }
  }
});
