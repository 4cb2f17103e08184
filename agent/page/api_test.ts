// api, lines, route, words, inert: what the page does with answers, streams, addresses and texts, without a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeApi, Problem, withQuery } from "./api.ts";
import { lineBytesMax } from "./limits.ts";
import { eventsOf, linesOf } from "./lines.ts";
import { readRoute, tokenIn } from "./route.ts";
import { any, count, list, maybe, or, record, text } from "./shape.ts";
import { bytesText } from "../bytes_text.ts";
import { ago, many, moment } from "./words.ts";

async function* pieces(...parts: (string | Uint8Array)[]) {
  for (const part of parts) yield typeof part === "string" ? new TextEncoder().encode(part) : part;
}

async function collect<T>(from: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const one of from) out.push(one);
  return out;
}

test("lines and events come out whole, however their bytes are cut", async () => {
  const stream =
    ': open\r\n\r\nid: a-1\r\nevent: isconf.entry\r\ndata: {"a":"\u00e9"}\r\n\r\nid\ndata:x\ndata:\ny: z\n\ndata: cut off';
  const bytes = new TextEncoder().encode(stream);
  for (const size of [1, 2, 3, 7, 1000]) {
    const cut = Array.from(
      { length: Math.ceil(bytes.length / size) },
      (_, i) => bytes.slice(i * size, (i + 1) * size),
    );
    assert.deepEqual(await collect(eventsOf(linesOf(pieces(...cut)))), [
      { id: "a-1", event: "isconf.entry", data: '{"a":"\u00e9"}' },
      { id: "", event: "message", data: "x\n" },
    ], `${size}`);
  }
  await assert.rejects(collect(linesOf(pieces("x".repeat(lineBytesMax + 1)))), /shorter than a mebibyte/);
});

const api = (answer: () => Response | Promise<Response>) => makeApi("t", () => Promise.resolve(answer()));
const failing = async (answer: () => Response | Promise<Response>) => {
  try {
    await api(answer).get("/v1/x", record({ a: count }));
  } catch (e) {
    assert.ok(e instanceof Problem, String(e));
    return e;
  }
  assert.fail("it was taken");
};

test("an answer of another shape, size or kind is a problem that says so, and what to do", async () => {
  assert.deepEqual(await api(() => Response.json({ a: 1, b: 2 })).get("/v1/x", record({ a: count })), {
    a: 1,
  });
  assert.match((await failing(() => Response.json({ a: "1" }))).message, /the answer\.a is not a number/);
  assert.match((await failing(() => Response.json([]))).message, /the answer is not an object/);
  assert.match((await failing(() => new Response("<html>"))).message, /it is no JSON/);
  assert.match((await failing(() => Promise.reject(new TypeError("x")))).message, /cannot be reached/);
  const said = await failing(() =>
    Response.json({ kind: "denied", detail: "no role", hint: "isconf grant", exit: 77 }, { status: 403 })
  );
  assert.deepEqual([said.message, said.kind, said.hint, said.status, said.isTokenRefused], [
    "no role",
    "denied",
    "isconf grant",
    403,
    false,
  ]);
  assert.equal(
    (await failing(() => Response.json({ kind: "denied", detail: "x" }, { status: 401 }))).isTokenRefused,
    true,
  );
  assert.equal(
    (await failing(() => Response.json({ kind: "unconfirmed", detail: "x" }, { status: 401 })))
      .isTokenRefused,
    false,
  );
  assert.match(
    (await failing(() => new Response("", { status: 500 }))).message,
    /status 500 and nothing to say why/,
  );
  assert.match((await failing(() => Response.json({ detail: 7 }, { status: 500 }))).message, /status 500/);
  for (const one of [await failing(() => new Response("x")), said]) assert.notEqual(one.hint, "");
});

test("an act tells how far it is, and one whose end is not told is not said to be done", async () => {
  const lines = (...all: unknown[]) => () =>
    new Response(all.map((line) => `${JSON.stringify(line)}\n`).join(""), {
      headers: { "content-type": "application/x-ndjson" },
    });
  const told: (string | null)[] = [];
  const act = (answer: () => Response) =>
    api(answer).act("up", {}, "key", ({ text }) => void told.push(text));
  assert.deepEqual(
    await act(lines({ event: "entry", text: "1  exec true" }, { event: "result", result: { at: 1 } })),
    { at: 1 },
  );
  assert.deepEqual(told, ["1  exec true"]);
  const fault = { kind: "locked", message: "bob holds it", hint: "isconf status" };
  await assert.rejects(
    act(lines({ event: "fault", fault })),
    (e: Problem) => e.kind === "locked" && e.message === "bob holds it" && e.hint === "isconf status",
  );
  await assert.rejects(act(lines({ event: "entry", text: "2" })), /it may have been done, or not/);
});

test("shapes take what they say, and nothing that every object has", () => {
  const shape = record({ a: maybe(count), b: or(text, "?"), c: list(any) });
  assert.deepEqual(shape({ c: [1] }, "x"), { a: null, b: "?", c: [1] });
  assert.throws(() => record({ constructor: text })({}, "x"), /x\.constructor is not a text/);
  assert.throws(() => shape({ c: {} }, "x"), /x\.c is not a list/);
  assert.throws(() => count(NaN, "x"), /x is not a number/);
});

test("addresses lead to views or to the first one; a token is taken out of one", () => {
  assert.deepEqual(readRoute("#/journal/%40domain/12"), { view: "journal", rest: ["@domain", "12"] });
  for (const hash of ["", "#", "#/", "#/x", "#/__proto__", "#token=a", "#/%"]) {
    assert.equal(readRoute(hash).view, "hosts", hash);
  }
  assert.deepEqual(readRoute("#/hosts/%ff/a%2Fb").rest, ["a/b"]);
  assert.deepEqual([tokenIn("#token=a-b_c"), tokenIn("#/hosts"), tokenIn("")], [
    "a-b_c",
    undefined,
    undefined,
  ]);
  assert.equal(
    withQuery("/v1/log", { branch: "@a&b", last: 5, here: undefined }),
    "/v1/log?branch=%40a%26b&last=5",
  );
});

test("moments, ages, sizes and numbers as people read them, whatever an entry says", () => {
  const now = 1_800_000_000_000;
  assert.deepEqual([0, 59_000, 60_000, 7_200_000, 86_400_000 * 3].map((age) => ago(now - age, now)), [
    "just now",
    "just now",
    "1 minute ago",
    "2 hours ago",
    "3 days ago",
  ]);
  assert.deepEqual([ago(now + 3_600_000, now), ago(NaN, now), moment(1e300), moment(NaN)], [
    "in the future, by this browser's clock",
    "at no time",
    "at no time",
    "at no time",
  ]);
  assert.match(moment(now), /^2027-01-1[45] \d\d:\d\d:\d\d$/);
  assert.deepEqual([0, 1023, 1024, 2 ** 40 * 1.5].map(bytesText), ["0 B", "1023 B", "1.0 KiB", "1.5 TiB"]);
  assert.deepEqual([many(1, "host"), many(1000, "host"), many(2, "entry", "entries")], [
    "1 host",
    "1,000 hosts",
    "2 entries",
  ]);
});
