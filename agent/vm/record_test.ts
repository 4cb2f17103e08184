// record: vm.json, where it lies and what it may be; who works on a machine works alone.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { machinesDir } from "../paths.ts";
import { makePlace } from "./fixture.ts";
import { machineOf } from "./machine.ts";
import { alone, machineNames, makeMachinesDir, readRecord, writeRecord } from "./record.ts";

test("what is written is read; anything else is corrupt, and the way out is said", (t) => {
  const place = makePlace(t);
  const machine = machineOf(place, { name: "web1", cdrom: "cd.iso", boot: "cdrom,disk" });
  makeMachinesDir(place.vms);
  fs.mkdirSync(`${place.vms}/web1`);
  assert.throws(() => readRecord(place, "web1"), { kind: "notFound" });
  writeRecord(place, machine, "making");
  assert.deepEqual(readRecord(place, "web1"), { ...machine, state: "making" });
  assert.equal(machine.cdrom, `${place.cwd}/cd.iso`);
  const file = `${place.vms}/web1/vm.json`;
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  const good = fs.readFileSync(file, "utf8");
  for (
    const [from, to] of [
      ["{", "["],
      ['"memory": 1024', '"memory": "1; reboot"'],
      ["isconf-vm-1", "isconf-vm-2"],
      ['"web1"', '"web2"'],
      ['"making"', '"x"'],
      [
        '"disk",',
        "7,",
      ],
      ['"cdrom":', '"cdrom": 7, "x":'],
    ]
  ) {
    const bad = good.replace(from!, to!);
    if (bad === good) continue;
    fs.writeFileSync(file, bad);
    assert.throws(
      () => readRecord(place, "web1"),
      { kind: "corrupt", message: /vm\.json does not say/ },
      from,
    );
  }
});

test("machines are the directories that have a vm.json", (t) => {
  const place = makePlace(t);
  assert.deepEqual(machineNames(place), []);
  for (const name of ["b", "a", ".x", "empty"]) {
    fs.mkdirSync(`${place.vms}/${name}`, { recursive: true });
    if (name !== "empty") fs.writeFileSync(`${place.vms}/${name}/vm.json`, "{}");
  }
  assert.deepEqual(machineNames(place), ["a", "b"]);
});

test("who works on a machine works alone; who comes meanwhile waits a moment and is told", async (t) => {
  const place = makePlace(t);
  fs.mkdirSync(`${place.vms}/a`, { recursive: true });
  await alone(place, "a", async () => {
    await assert.rejects(alone(place, "a", () => Promise.resolve()), { kind: "locked" });
  });
  assert.equal(await alone(place, "a", () => Promise.resolve(7)), 7);
  await assert.rejects(alone(place, "b", () => Promise.resolve()), { kind: "notFound" });
});

test("where machines lie: in the home that was named, root's with the system, others' where XDG has state", () => {
  assert.equal(machinesDir("/h", 1000, {}, "/home/a"), "/h/var/vm");
  assert.equal(machinesDir(undefined, 0, { XDG_STATE_HOME: "/x" }, "/root"), "/var/lib/isconf/vm");
  assert.equal(machinesDir(undefined, 1000, {}, "/home/a"), "/home/a/.local/state/isconf/vm");
  assert.equal(machinesDir(undefined, 1000, { XDG_STATE_HOME: "/x" }, "/home/a"), "/x/isconf/vm");
  assert.equal(
    machinesDir(undefined, 1000, { XDG_STATE_HOME: "x" }, "/home/a"),
    "/home/a/.local/state/isconf/vm",
  );
});
