// api: the local HTTP API as a stranger's program uses it: curl over the socket, every verb, problems, streams, blobs.
// Not what is sent to break it (api_hostile_test.ts).
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import { type Box, makeBox, run, skipIf } from "./tools.ts";

const needs = lacks({ programs: ["curl"] });

interface Curled {
  status: number;
  type: string;
  body: string;
}

/** One request by curl; throws when curl itself fails. */
async function curl(box: Box, target: string, args: string[] = []): Promise<Curled> {
  const form = "\n%{http_code} %{content_type}";
  const words = ["-sS", "--max-time", "30", "--unix-socket", box.socket, "-w", form, ...args];
  const { out, err, status } = await run("curl", [...words, `http://isconf${target}`]);
  if (status !== 0) throw new Error(`curl ended ${status}: ${err}`);
  const at = out.lastIndexOf("\n");
  const [code, type] = out.slice(at + 1).split(" ") as [string, string];
  return { status: Number(code), type, body: out.slice(0, at) };
}

const post = (box: Box, verb: string, json: unknown, more: string[] = []) =>
  curl(box, `/v1/${verb}`, ["-H", "content-type: application/json", "-d", JSON.stringify(json), ...more]);

/** Posts to a verb and returns its result; fails the test when it is refused. */
async function done(box: Box, verb: string, json: unknown = {}): Promise<Record<string, unknown>> {
  const { status, type, body } = await post(box, verb, json);
  assert.deepEqual([verb, status, type], [verb, 200, "application/json"], body);
  return JSON.parse(body);
}

/** What is said of hosts without the moment at which each said so, which is now. */
const timeless = (value: unknown) => JSON.parse(JSON.stringify(value, (k, v) => k === "saidMs" ? 0 : v));

test(
  "every verb answers a POST with JSON, and those that only read a GET with the same",
  skipIf("verbs by curl", needs),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    assert.match(String((await done(box, "init", { host: "hosta" })).recovery), /^[0-9a-f]{64}$/);
    assert.equal((await done(box, "lock", { message: ["by", "curl"] })).message, "by curl");
    const file = path.join(box.dir, "file");
    fs.writeFileSync(file, "x\n");
    assert.equal(((await done(box, "snap", { path: [file] })).snapped as unknown[]).length, 1);
    assert.deepEqual(await done(box, "exec", { command: ["true"] }), { status: 0, journaled: true });
    assert.deepEqual(await done(box, "exec", { command: ["sh", "-c", "exit 3"] }), {
      status: 3,
      journaled: false,
    });
    assert.equal(((await done(box, "wip")).items as unknown[]).length, 2);
    assert.deepEqual(await done(box, "ci"), { branch: "main", from: 1, to: 2 });
    assert.equal((await done(box, "up", { dryRun: true })).at, 2);
    assert.equal((await done(box, "up")).applied, 0);
    await done(box, "lock", { message: ["restart"] });
    assert.deepEqual(await done(box, "reboot"), { restarting: true });
    assert.equal((await done(box, "wip", { action: "drop", rebuild: true })).dropped, 1);
    await done(box, "lock", { message: ["once more"] });
    assert.equal((await done(box, "unlock")).branch, "main");
    assert.equal((await done(box, "grant", { user: "daemon", role: "append" })).role, "append");
    assert.equal((await done(box, "fork", { branch: "web" })).from, "main");
    assert.equal((await done(box, "migrate", { branch: "main" })).branch, "main");
    for (
      const [verb, json, query] of [
        ["log", { last: 1 }, "?last=1"],
        ["show", { seq: 1 }, "?seq=1"],
        ["status", {}, ""],
        ["verify", {}, ""],
        ["ls", {}, ""],
        ["env", {}, ""],
        ["doctor", {}, ""],
      ] as [string, unknown, string][]
    ) {
      const posted = await done(box, verb, json);
      const got = await curl(box, `/v1/${verb}${query}`);
      assert.deepEqual([verb, got.status, got.type], [verb, 200, "application/json"], got.body);
      assert.deepEqual(timeless(JSON.parse(got.body)), timeless(posted));
      const empty = await curl(box, `/v1/${verb}${query}`, ["-I"]);
      assert.equal(empty.status, 200);
    }
    assert.equal((await done(box, "stop")).stopping, true);
    await box.gone();
  },
);

test(
  "what is refused is a problem as RFC 9457 has it, with isconf's kind, hint and exit",
  skipIf("problems by curl", needs),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    const cases: [string, unknown, number, string, number][] = [
      ["lock", { message: ["x"] }, 409, "refused", 1],
      ["init", { host: "hosta" }, 200, "", 0],
      ["snap", { path: ["/no/such/path"] }, 404, "notFound", 2],
      ["ci", {}, 428, "notLocked", 221],
      ["lock", {}, 422, "needMessage", 222],
      ["log", { last: "x" }, 400, "usage", 22],
      ["lock", { message: ["x"] }, 200, "", 0],
      ["exec", { command: ["no-such-command"] }, 404, "noCommand", 127],
      ["exec", { command: ["/etc/passwd"] }, 422, "cannotExecute", 126],
      ["exec", { command: ["sh", "-c", "kill -9 $$"] }, 200, "", 0],
    ];
    for (const [verb, json, http, kind, exit] of cases) {
      const { status, type, body } = await post(box, verb, json);
      assert.equal(status, http, `${verb}: ${body}`);
      if (http === 200) continue;
      assert.equal(type, "application/problem+json");
      const problem = JSON.parse(body);
      assert.deepEqual([problem.status, problem.kind, problem.exit], [http, kind, exit], body);
      for (const field of ["type", "title", "detail", "hint"]) {
        assert.ok(
          typeof problem[field] === "string" && problem[field] !== "",
          `${verb}: no ${field} in ${body}`,
        );
      }
      assert.match(problem.hint, /^(isconf|ls|rm) /);
    }
  },
);

test(
  "routes that do not exist are 404, and GET changes nothing",
  skipIf("routes by curl", needs),
  async (t) => {
    const box = makeBox(t);
    await box.begin("mine");
    const file = path.join(box.dir, "ran");
    const stand = async () => timeless(JSON.parse((await curl(box, "/v1/status")).body));
    const before = await stand();
    for (
      const target of [
        "/",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v2/status",
        "/v1/status/x",
        "/v1/constructor",
        "/v1/put",
        "/v1/../v1",
        "/etc/passwd",
      ]
    ) {
      const { status, type } = await curl(box, target, ["--path-as-is"]);
      assert.deepEqual([target, status, type], [target, 404, "application/problem+json"]);
    }
    const changing = [
      "lock?message=x",
      "unlock",
      "ci",
      "up",
      "reboot",
      "init?host=x",
      "fork?branch=web",
      "migrate?branch=web",
      "token",
      "join?token=isconf1.x&host=x",
      "approve?host=x",
      "evict?host=x",
      "revoke?person=x",
      "rotate",
      "stop",
    ];
    changing.push(
      "grant?user=daemon&role=owner",
      `exec?command=touch&command=${file}`,
      `snap?path=${file}`,
      "wip?action=drop&rebuild=true",
    );
    for (const target of changing) {
      for (const method of ["GET", "HEAD", "OPTIONS", "DELETE", "PATCH", "PUT", "TRACE"]) {
        const answer = await box.http(method, `/v1/${target}`);
        assert.ok(answer.status >= 400, `${method} ${target} ended ${answer.status}`);
      }
      for (
        const header of ["x-http-method-override: POST", "x-method-override: POST", "x-http-method: POST"]
      ) {
        assert.ok((await curl(box, `/v1/${target}`, ["-H", header])).status >= 400, `${header} ${target}`);
      }
    }
    assert.deepEqual(await stand(), before);
    assert.equal(fs.existsSync(file), false);
    assert.equal((await box.http("PUT", "/v1/status")).status, 404);
  },
);

test(
  "with Accept: application/x-ndjson progress comes line by line and the last line is the result or the fault",
  skipIf("ndjson by curl", needs),
  async (t) => {
    const box = makeBox(t);
    await box.begin("lines");
    const ndjson = ["-H", "accept: application/x-ndjson"];
    const good = await post(box, "exec", { command: ["sh", "-c", "echo out; echo err >&2"] }, ndjson);
    assert.deepEqual([good.status, good.type], [200, "application/x-ndjson"]);
    const lines = good.body.trim().split("\n").map((l) => JSON.parse(l));
    assert.deepEqual(lines.at(-1), { event: "result", result: { status: 0, journaled: true } });
    assert.deepEqual(
      new Set(lines.slice(0, -1).map((l) => `${l.event} ${l.fd} ${l.text}`)),
      new Set(["output 1 out\n", "output 2 err\n"]),
    );
    const bad = await post(box, "snap", { path: ["/no/such/path"] }, ndjson);
    const { event, fault } = JSON.parse(bad.body.trim().split("\n").at(-1) as string);
    assert.deepEqual([event, fault.kind, fault.exit], ["fault", "notFound", 2]);
    const wrong = await post(box, "log", { nonsense: 1 }, ndjson);
    assert.match(wrong.body, /"fault"|"usage"/);
  },
);

test(
  "a blob put by curl comes back byte for byte: by id, by sha256sum, by label; 304 and HEAD",
  skipIf("blobs by curl", needs),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    const file = path.join(box.dir, "random");
    await run("sh", ["-c", 'head -c 20000000 /dev/urandom > "$0"', file]);
    const sum = createHash("sha256").update(fs.readFileSync(file)).digest("hex");
    const put = await curl(box, "/v1/blob?label=random.bin", ["-T", file]);
    assert.equal(put.status, 201, put.body);
    assert.equal(
      (await curl(box, "/v1/blob?label=random.bin", ["-T", file])).status,
      200,
      "it was there already",
    );
    const row = JSON.parse(put.body);
    assert.deepEqual([row.size, row.sha256, row.label], [20_000_000, sum, "random.bin"]);
    const back = path.join(box.dir, "back");
    for (const name of [row.id, row.id.slice(0, 12), sum, "random.bin"]) {
      const got = await curl(box, `/v1/blob/${name}`, ["-o", back]);
      assert.equal(got.status, 200);
      assert.equal(createHash("sha256").update(fs.readFileSync(back)).digest("hex"), sum, name);
      fs.rmSync(back);
    }
    const head = await box.http("HEAD", `/v1/blob/${sum}`);
    assert.deepEqual([head.status, head.headers["content-length"], head.text], [200, "20000000", ""]);
    const etag = head.headers.etag as string;
    assert.match(etag, /^"[0-9a-f]{64}"$/);
    const headers = { "if-none-match": etag };
    const same = await box.http("GET", `/v1/blob/${sum}`, undefined, { headers });
    assert.deepEqual([same.status, same.text], [304, ""]);
    const other = await box.http("HEAD", `/v1/blob/${sum}`, undefined, {
      headers: { "if-none-match": '"0"' },
    });
    assert.equal(other.status, 200);
    for (const name of ["0".repeat(64), "nothing", "%2e%2e%2fpasswd", "%00", "..%2f..%2fetc%2fpasswd"]) {
      const { status } = await curl(box, `/v1/blob/${name}`, ["--path-as-is"]);
      assert.ok(status === 404 || status === 400, `${name}: ${status}`);
    }
    const empty = await curl(box, "/v1/blob?label=empty", ["-X", "PUT", "--data-binary", ""]);
    assert.equal(JSON.parse(empty.body).size, 0);
    assert.equal((await curl(box, "/v1/blob/empty")).body, "");
  },
);

/** Curl alone: how it ended and what it wrote. */
const bare = (box: Box, target: string, args: string[]) =>
  run("curl", ["-sS", "--max-time", "30", "--unix-socket", box.socket, ...args, `http://isconf${target}`]);

test(
  "curl goes on where it was cut off, asks for parts, for headers, and only for what has changed",
  skipIf("parts by curl", needs),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    const file = path.join(box.dir, "file"), back = path.join(box.dir, "back");
    const bytes = randomBytes(5_000_000);
    fs.writeFileSync(file, bytes);
    const { id } = JSON.parse((await curl(box, "/v1/blob?label=file", ["-T", file])).body);
    for (const had of [0, 1, 1_234_567, 4_999_999, 5_000_000]) {
      fs.writeFileSync(back, bytes.subarray(0, had));
      const { status, err } = await bare(box, "/v1/blob/file", ["-C", "-", "-o", back]);
      assert.equal(status, 0, `after ${had} bytes: ${err}`);
      assert.ok(fs.readFileSync(back).equals(bytes), `after ${had} bytes`);
    }
    for (const [range, part] of [["10-19", bytes.subarray(10, 20)], ["-7", bytes.subarray(-7)]] as const) {
      assert.ok((await bare(box, "/v1/blob/file", ["-r", range])).outBytes.equals(part), range);
    }
    const { out } = await bare(box, `/v1/blob/${id}`, ["-I", "-r", "10-19"]);
    const digest = createHash("sha256").update(bytes).digest("base64");
    for (
      const line of [
        "HTTP/1.1 206 Partial Content",
        "content-length: 10",
        "content-range: bytes 10-19/5000000",
        "accept-ranges: bytes",
        `etag: "${id}"`,
        `repr-digest: sha-256=:${digest}:`,
        "cache-control: max-age=31536000, immutable",
      ]
    ) assert.ok(out.split("\r\n").includes(line), `no ${line} in ${out}`);
    const tags = path.join(box.dir, "etag");
    const again = [
      "--etag-save",
      tags,
      "--etag-compare",
      tags,
      "-o",
      back,
      "-w",
      "%{http_code} %{size_download}",
    ];
    fs.writeFileSync(tags, "");
    assert.equal((await bare(box, "/v1/blob/file", again)).out, "200 5000000");
    assert.equal((await bare(box, "/v1/blob/file", again)).out, "304 0");
    fs.writeFileSync(file, "other");
    await curl(box, "/v1/blob?label=file", ["-T", file]);
    assert.equal((await bare(box, "/v1/blob/file", again)).out, "200 5");
    assert.equal(fs.readFileSync(back, "utf8"), "other");
    assert.equal((await curl(box, "/v1/blob?label=part", ["-T", file, "-C", "2"])).status, 400);
    const wrong = ["-T", file, "-H", `content-digest: sha-256=:${digest}:`];
    assert.equal((await curl(box, "/v1/blob?label=wrong", wrong)).status, 400);
    for (const label of ["part", "wrong"]) assert.equal((await curl(box, `/v1/blob/${label}`)).status, 404);
  },
);

test(
  "curl reads files and directories inside a tree, whatever bytes their names are",
  skipIf("trees by curl", needs),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    const dir = path.join(box.dir, "tree");
    fs.mkdirSync(path.join(dir, "sub"), { recursive: true });
    const script = `printf 1 >"$(printf 'b\\374d')"; printf 2 >ü; printf 3 >'new
line'; printf 4 >'?#%41'`;
    assert.equal((await run("sh", ["-c", script], { cwd: path.join(dir, "sub") })).status, 0);
    await box.ok(["put", dir]);
    const targets = { "b%fcd": "1", "%C3%BC": "2", "ü": "2", "new%0Aline": "3", "%3F%23%2541": "4" };
    for (const [name, body] of Object.entries(targets)) {
      assert.equal((await bare(box, `/v1/blob/tree/sub/${name}`, ["-f"])).out, body, name);
    }
    const links = [
      "..%2f..%2f..%2fetc%2fpasswd",
      "sub/../../../../etc/passwd",
      "sub/%2e%2e/%2e%2e/x",
      "/etc/passwd",
    ];
    for (const name of links) {
      assert.equal((await curl(box, `/v1/blob/tree/${name}`, ["--path-as-is"])).status, 404, name);
    }
    const list = JSON.parse((await bare(box, "/v1/blob/tree/sub", [])).out) as { name: string }[];
    assert.deepEqual(list.map(({ name }) => name), ["?#%41", "b\\xfcd", "new\\u{a}line", "ü"]);
    assert.equal(await box.ok(["cat", "tree:sub/ü"]), "2", "the command line means the same by it");
  },
);

test(
  "contents that are damaged end curl with an error, and are never a whole answer",
  skipIf("damage by curl", needs),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    const file = path.join(box.dir, "file");
    fs.writeFileSync(file, randomBytes(20_000_000));
    await curl(box, "/v1/blob?label=file", ["-T", file]);
    const pack = fs.openSync(path.join(box.home, "var/store/packs/1.pack"), "r+");
    const at = 15_000_000, byte = Buffer.alloc(1);
    fs.readSync(pack, byte, 0, 1, at);
    fs.writeSync(pack, Buffer.of(byte[0]! ^ 0x10), 0, 1, at);
    fs.closeSync(pack);
    const { status, err } = await bare(box, "/v1/blob/file", ["-o", "/dev/null"]);
    assert.equal(status, 18, err); // "Partial file"
    assert.equal((await bare(box, "/v1/blob/file", ["-r", "0-9999999", "-o", "/dev/null"])).status, 0);
    await box.ok(["status"]);
  },
);

test(
  "a put that is cut off leaves nothing that can be found",
  skipIf("cut puts by curl", needs),
  async (t) => {
    const box = makeBox(t);
    await box.start();
    const script =
      '(head -c 3000000 /dev/urandom; sleep 1.5) | timeout 1 curl -sS --unix-socket "$0" -T - "http://isconf/v1/blob?label=cut"';
    await run("sh", ["-c", script, box.socket]);
    await box.raw("PUT /v1/blob?label=short HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nabc", 500);
    assert.deepEqual(JSON.parse(await box.ok(["--json", "ls"])).rows, []);
  },
);
