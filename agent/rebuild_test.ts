// rebuild: who can be rebuilt, which machine that is, and for how long it has a profile of its own. On the wire: tests/netboot/rebuild_test.ts.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { Fault, VirtualClock } from "../mq/mod.ts";
import { makeDomain, type TestHost } from "../tests/world.ts";
import { keepBootPlaces } from "./boot_places.ts";
import { readProfiles } from "./boot_profiles.ts";
import { rebuilds, settleRebuilds } from "./rebuild.ts";
import { isOpen, readToken } from "./token.ts";

const MAC = "52:54:00:12:34:56", HOUR_MS = 3_600_000;
const INSTALLS =
  "for = any\nkernel = boot:vmlinuz\nhost = web-{{name machine}}\ninstall = images/base /dev/sda\n";

/** A host that boots machines, of a domain with two others. */
async function stage(t: Parameters<typeof makeDomain>[0]) {
  const [boots] = await makeDomain(t, ["boots", "web", "db"]) as [TestHost];
  const { host } = boots.agent;
  const dir = `${boots.home.config}/netboot.d`;
  fs.mkdirSync(dir);
  const profile = (name: string, text: string) =>
    fs.writeFileSync(`${dir}/${name}.profile`, text, { mode: 0o644 });
  const { token } = await boots.acts.enrol.token(boots.call(), { approve: false, open: true });
  profile("new", `${INSTALLS}join = ${token}\n`);
  const rebuild = (more: object) => boots.acts.rebuild.rebuild(boots.call(), { cancel: false, ...more });
  return { boots, host, profile, rebuild, token };
}

test("a machine that is to be rebuilt has a profile of its own, with a token for its host's branch, until that is over", async (t) => {
  const { boots, host, profile, rebuild, token } = await stage(t);
  keepBootPlaces(boots.home, [{ interface: "eth0", own: null, httpPort: 8480 }]);
  profile("disk", `for = ${MAC}\nboot = disk\n`);
  const got = () => boots.acts.netboot.bootFor(boots.call(), { mac: MAC });
  assert.equal(got().isDisk, true);
  const { rebuilds: [line] } = await rebuild({ host: "web", mac: MAC.toUpperCase(), hours: 2 });
  const { untilMs, ...more } = line!;
  assert.deepEqual(more, { host: "web", mac: MAC, branch: "main", image: "images/base" });
  assert.ok(Math.abs(untilMs - host.clock.wall() - 2 * HOUR_MS) < 60_000);
  const { name, isDisk, mayWipe, image, disk, host: called, join, kernel, macs, isForAny } = got();
  assert.deepEqual(
    [name, isDisk, mayWipe, image, disk, called, kernel, macs, isForAny],
    ["rebuild-web", false, true, "images/base", "/dev/sda", "web", "boot:vmlinuz", [MAC], false],
  );
  assert.ok(
    join !== token && isOpen(readToken(join)),
    "a token of its own, with which a person still has to let it in",
  );
  assert.deepEqual(boots.acts.netboot.bootFor(boots.call(), { mac: "52:54:00:00:00:09" }).name, "new");
  assert.deepEqual((await rebuild({})).rebuilds, [line]);

  const note = (step: string, mac: string, timeMs: number) => ({
    mac,
    step,
    timeMs,
    percent: null,
    text: "",
  });
  const now = host.clock.wall();
  const left = (...notes: ReturnType<typeof note>[]) => settleRebuilds(host, notes).length;
  assert.equal(left(note("installed", MAC, now - HOUR_MS)), 1, "that was before");
  assert.equal(left(note("joined", MAC, now + 1)), 1, "not yet");
  assert.equal(left(note("installed", "52:54:00:00:00:09", now + 1)), 1, "another machine");
  assert.equal(left(note("installed", MAC, now + 1)), 0);
  assert.equal(got().isDisk, true, "it is written down");

  await rebuild({ host: "web", mac: MAC });
  const given = got().join;
  assert.deepEqual((await rebuild({ host: "web", cancel: true })).rebuilds, []);
  await assert.rejects(
    boots.acts.enrol.tokens(boots.call(), { action: "revoke", id: given, role: [], approve: false }),
    /has not made that token, or it has ended/,
  );
  assert.equal(got().isDisk, true);
  await assert.rejects(rebuild({ host: "web", cancel: true }), /web is not to be rebuilt/);
  await rebuild({ host: "web", mac: MAC });
  const clock = new VirtualClock(1, host.clock.wall() + 25 * HOUR_MS);
  assert.deepEqual(rebuilds({ home: boots.home, clock }), [], "after its time nothing is emptied any more");
  fs.writeFileSync(`${boots.home.state}/rebuild.json`, "[{}]");
  await assert.rejects(rebuild({ host: "web", mac: MAC }), /does not say what is to be rebuilt/);
});

test("which machine a host is stands in the boot log or a profile, or has to be said; what cannot be rebuilt is refused", async (t) => {
  const { boots, host, profile, rebuild } = await stage(t);
  const refused = (more: object, kind: string, why: RegExp) =>
    assert.rejects(rebuild(more), (e) => e instanceof Fault && e.kind === kind && why.test(e.message));
  await refused({ host: "web", mac: MAC }, "refused", /no machine is booted from here/);
  keepBootPlaces(boots.home, [{ interface: "eth0", own: null, httpPort: 8480 }]);
  await refused({ host: "nobody" }, "notFound", /no host of this domain is called nobody/);
  await refused({ host: "boots" }, "refused", /boots nobody while it is rebuilt itself/);
  await refused({ host: "web" }, "refused", /not known which machine is web/);
  await refused({ host: "web", mac: "x" }, "usage", /x is no MAC address/);
  profile(
    "one",
    `for = ${MAC}\nkernel = a\nhost = web\njoin = ${
      (await boots.acts.enrol.token(boots.call(), { approve: false, open: true })).token
    }\n`,
  );
  assert.deepEqual((await rebuild({ host: "web" })).rebuilds.map(({ mac, image }) => [mac, image]), [[
    MAC,
    "images/base",
  ]]);
  const notes = [{ mac: "52:54:00:00:00:09", step: "joined", timeMs: 1, percent: null, text: "web" }];
  host.netboot.notes = () => Promise.resolve({ last: 1, notes });
  await refused({ host: "web" }, "refused", /52:54:00:00:00:09, 52:54:00:12:34:56 say they are web/);
  fs.rmSync(`${boots.home.config}/netboot.d/new.profile`);
  await refused(
    { host: "web", mac: MAC },
    "refused",
    /no profile says what is installed on 52:54:00:12:34:56/,
  );
  const token = readProfiles(boots.home.config).find(({ name }) => name === "one")!.join;
  profile("kind", `for = uefi-x64\nkernel = a\ninstall = images/kind\njoin = ${token}\n`);
  const offered = { mac: MAC, step: "offered", timeMs: 1, percent: null, text: "uefi-x64 rom" };
  host.netboot.notes = () => Promise.resolve({ last: 1, notes: [offered] });
  assert.deepEqual((await rebuild({ host: "web", mac: MAC })).rebuilds.map(({ image }) => image), [
    "images/kind",
  ]);
  await boots.acts.keepers.change(boots.call(), { add: ["web"] });
  await refused({ host: "web", mac: MAC }, "refused", /web is a keeper/);
});

test("what is over while another host is being looked at does not come back", async (t) => {
  const { boots, host, rebuild } = await stage(t);
  keepBootPlaces(boots.home, [{ interface: "eth0", own: null, httpPort: 8480 }]);
  await rebuild({ host: "web", mac: MAC });
  const installed = { mac: MAC, step: "installed", timeMs: host.clock.wall() + 1, percent: null, text: "" };
  host.reports.gather = () => {
    settleRebuilds(host, [installed]);
    return Promise.resolve([]);
  };
  await rebuild({ host: "db", mac: "52:54:00:00:00:09" });
  assert.deepEqual(rebuilds(host).map((one) => one.host), ["db"]);
});
