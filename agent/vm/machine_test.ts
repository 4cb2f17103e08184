// machine: what a machine is when little is said of it, and its values.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BLANKS } from "./blanks.ts";
import { makePlace } from "./fixture.ts";
import { machineOf, macOf, valuesOf } from "./machine.ts";

test("what is not said is what README.md says", (t) => {
  const place = makePlace(t);
  assert.deepEqual(machineOf(place, { name: "web1" }), {
    name: "web1",
    driver: "qemu",
    os: "linux",
    memory: 1024,
    cpus: 1,
    disk: 8,
    firmware: "bios",
    net: "user",
    mac: macOf("web1"),
    boot: ["disk"],
  });
  assert.equal(machineOf(place, { name: "a", os: "freebsd" }).driver, "bhyve");
});

test("an address of QEMU's part, the same for the same name", () => {
  assert.match(macOf("web1"), /^52:54:00:/);
  assert.ok(BLANKS.mac!.fits(macOf("web1")));
  assert.equal(macOf("web1"), "52:54:00:4b:8d:1b");
  assert.notEqual(macOf("web1"), macOf("web2"));
});

test("the order of booting, the network, the rom that only SeaBIOS needs", (t) => {
  const place = makePlace(t);
  const values = (more: object) => valuesOf(place, machineOf(place, { name: "a", ...more }));
  const net = values({ boot: "net,disk" });
  assert.deepEqual([net.bootNet, net.bootDisk, net.bootCdrom, net.netRom, net.noRom], [
    "1",
    "2",
    undefined,
    "yes",
    undefined,
  ]);
  const uefi = values({ boot: "net", firmware: "uefi", net: "tap:tap0" });
  assert.deepEqual([uefi.netRom, uefi.noRom, uefi.tap, uefi.userNet, uefi.uefi, uefi.bios], [
    undefined,
    "yes",
    "tap0",
    undefined,
    "yes",
    undefined,
  ]);
  const none = values({ net: "none" });
  assert.deepEqual([none.net, none.noRom, none.netRom], [undefined, undefined, undefined]);
  assert.equal(values({ net: "socket:mcast=230.0.0.1:4000" }).endpoint, "mcast=230.0.0.1:4000");
});
