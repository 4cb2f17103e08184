// events: what has happened is told once and in order, to whoever asks from where on, also after a restart and for whoever was away too long.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  faultOf,
  joinDomain,
  makeFirstHost,
  makeHost,
  MESHED,
  run,
  type TestHost,
  until,
} from "../tests/world.ts";
import { sender } from "./api_fixture.ts";
import type { CloudEvent, EventPage } from "./event.ts";
import { Fault } from "../mq/mod.ts";
import { Events } from "./events.ts";
import { eventsKeptMax, eventStreamsMax } from "./limits_api.ts";
import { lines } from "./client.ts";

const typesOf = (events: CloudEvent[]) =>
  events.map(({ type, branch, subject }) => `${type.slice(7)} ${branch} ${subject}`);

async function work(host: TestHost, message: string): Promise<void> {
  await host.acts.locks.lock(host.call(), message);
  await run(host, ["/bin/true"]);
  await host.acts.checkin.ci(host.call());
}

test("what happens is told in order, once, from any cursor on, also what happened while nobody looked", async (t) => {
  const host = await makeFirstHost(t);
  const all = () => host.agent.host.events.page("0", {}, 500);
  host.agent.host.events.look();
  await work(host, "<script>alert(1)</script>");
  host.agent.host.events.look();
  const { events, cursor, missed } = all();
  assert.equal(missed, false);
  const told = typesOf(events);
  assert.ok(
    told.includes("entry @domain 1") && told.includes("entry main 1") && told.includes("applied main 1"),
    told.join("\n"),
  );
  const [entry] = events.filter(({ type, branch }) => type === "isconf.entry" && branch === "main");
  assert.deepEqual([entry!.specversion, entry!.source, entry!.host], ["1.0", "/host/hosta", "hosta"]);
  assert.equal((entry!.data as { message: string }).message, "<script>alert(1)</script>");
  assert.equal(new Date(entry!.time).toISOString(), entry!.time);
  for (const [i, event] of events.entries()) {
    const after = host.agent.host.events.page(event.id, {}, 500);
    assert.deepEqual(after.events.map(({ id }) => id), events.slice(i + 1).map(({ id }) => id));
  }
  assert.equal(host.agent.host.events.look(), 0, "nothing new");
  await host.restart();
  host.agent.host.events.look();
  assert.deepEqual(host.agent.host.events.page(cursor, {}, 500).events, []);
  await work(host, "more");
  await host.stop(); // before anybody has looked
  await host.start();
  host.agent.host.events.look();
  const more = typesOf(host.agent.host.events.page(cursor, {}, 500).events);
  assert.deepEqual(more.filter((line) => /^(entry|applied)/.test(line)), ["entry main 2", "applied main 2"]);
});

test("what could not be written, or not even be read, is told at the next look", async (t) => {
  const host = await makeFirstHost(t);
  const { db, clock } = host.agent.host;
  host.agent.host.events.look();
  let fails = true;
  const events = new Events({
    db,
    clock,
    look(marks) {
      marks.set("entry/main", "7");
      if (fails) throw new Fault("journal", "corrupt", "an entry is damaged", { hint: "isconf verify" });
      return [{
        type: "isconf.entry",
        host: "hosta",
        branch: "main",
        subject: marks.get("test") ?? "new",
        data: {},
      }];
    },
    log: () => {},
  });
  t.after(() => Promise.resolve(events.close()));
  const { cursor } = events.page(undefined, {}, 1);
  await faultOf(() => events.look());
  const mark = () =>
    db.read((r) => r.get<{ value: string }>("SELECT value FROM event_mark WHERE name = 'entry/main'"))?.value;
  assert.equal(mark(), "0", "nothing was moved on");
  fails = false;
  assert.equal(events.look(), 1);
  assert.deepEqual([mark(), events.page(cursor, {}, 5).events.length], ["7", 1]);
});

test("who was away too long, or comes with a cursor of another life, is told that some are missing", async (t) => {
  const host = await makeFirstHost(t);
  const { events, db } = host.agent.host;
  events.look();
  const { cursor } = events.page("0", {}, 1);
  const life = cursor.split("-")[0]!;
  assert.equal(events.page(cursor, {}, 1).missed, false);
  db.write((tx) =>
    tx.run(
      "INSERT INTO event SELECT n + ?, time_ms, type, host, branch, subject, data FROM event",
      eventsKeptMax,
    )
  );
  db.write((tx) => tx.run("DELETE FROM event WHERE n < ?", eventsKeptMax));
  assert.equal(events.page(cursor, {}, 1).missed, true);
  assert.equal(events.page("0", {}, 1).missed, true);
  assert.equal(events.page(`${life === "00000000" ? "1" : "0"}${life.slice(1)}-1`, {}, 1).missed, true);
  assert.equal(
    events.page(`${life}-999999999`, {}, 1).missed,
    true,
    "one that is still to come is of a database that was put back",
  );
  for (const wrong of ["", "x", "-1", `${life}-`, `${life}-1e9`, `${life}-1'--`]) {
    assert.equal((await faultOf(() => events.page(wrong, {}, 1))).kind, "usage", wrong);
  }
});

test("over HTTP: a page with filters, one that waits, streams of both kinds, and no more of them than so many", async (t) => {
  const host = await makeFirstHost(t);
  host.agent.host.events.look();
  await work(host, "one");
  host.agent.host.events.look();
  const send = sender(host);
  const page = async (query: string) => await (await send("GET", `/v1/events?${query}`)).json() as EventPage;
  assert.deepEqual(typesOf((await page("after=0&type=isconf.entry&branch=main")).events), ["entry main 1"]);
  assert.deepEqual((await page("after=0&host=nobody")).events, []);
  const first = await page("after=0&limit=1");
  assert.equal(first.events.length, 1);
  assert.equal((await page("after=0&type=isconf.entry,isconf.unlock&branch=main")).events.length, 2);
  for (const wrong of ["type=isconf.x", "limit=501", "limit=-1", "wait=26", "after=x", "branch=%00"]) {
    assert.equal((await send("GET", `/v1/events?${wrong}`)).status, 400, wrong);
  }
  const { cursor } = await page("after=0");
  const waited = page(`after=${cursor}&wait=20`);
  await host.acts.locks.lock(host.call(), "two");
  assert.match(typesOf((await waited).events).join(), /lock main/);
  const sse = await send("GET", "/v1/events?after=0&type=isconf.entry", { accept: "text/event-stream" });
  assert.equal(sse.headers.get("content-type"), "text/event-stream");
  const said: string[] = [];
  for await (const line of lines(sse.body!)) {
    said.push(line);
    if (line.startsWith("data:") && line.includes('"branch":"main"')) break;
  }
  const datas = said.filter((line) => line.startsWith("data: ")).map((line) =>
    JSON.parse(line.slice(6)) as CloudEvent
  );
  assert.deepEqual(said.filter((line) => line.startsWith("id: ")), datas.map(({ id }) => `id: ${id}`));
  assert.deepEqual(
    said.filter((line) => line.startsWith("event: ")),
    datas.map(({ type }) => `event: ${type}`),
  );
  const goOn = await send("GET", "/v1/events", {
    accept: "application/x-ndjson",
    "last-event-id": first.cursor,
  });
  for await (const line of lines(goOn.body!)) {
    if (line === "") continue;
    assert.equal(
      (JSON.parse(line) as CloudEvent).id,
      (await page(`after=${first.cursor}&limit=1`)).events[0]!.id,
    );
    break;
  }
  const open: Response[] = [];
  for (let i = 0; i < eventStreamsMax; i++) {
    open.push(await send("GET", "/v1/events", { accept: "text/event-stream" }));
  }
  assert.equal((await send("GET", "/v1/events", { accept: "text/event-stream" })).status, 409);
  await Promise.all(open.map((one) => one.body!.cancel()));
  assert.equal(
    (await send("GET", "/v1/events", { accept: "text/event-stream" })).status,
    200,
    "those that left count no more",
  );
});

test("what other hosts say of themselves is told here, each change once", async (t) => {
  const a = await makeFirstHost(t, { conf: MESHED });
  const b = await makeHost(t, { conf: MESHED });
  await joinDomain(a, b, "hostb");
  const hosts = () => {
    a.agent.host.events.look();
    return a.agent.host.events.page("0", { types: ["isconf.host"], host: "hostb" }, 500).events
      .map(({ data }) => data as { at: number; of: number; state: string });
  };
  await work(a, "one");
  await until("b has it", () => b.agent.host.journal.head("main").seq === 1);
  await b.acts.apply.up(b.call(), { reboot: false, step: false, dryRun: false, offline: false });
  await a.agent.host.reports.gather();
  await until("a is told", () => hosts().some(({ at, state }) => at === 1 && state === "current"));
  const before = hosts().length;
  await a.agent.host.reports.gather();
  assert.equal(hosts().length, before);
});
