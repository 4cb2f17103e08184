// boot_log: steps in order, bounded in machines and steps, inert when shown, told from any note on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../mq/mod.ts";
import { BootLog, noteText, readSaid } from "./boot_log.ts";
import { logMachinesMax, logStepsMax, logTextMax } from "./limits.ts";

const MAC = "52:54:00:12:34:56";
const macOf = (n: number) =>
  `02:00:00:00:${(n >> 8).toString(16).padStart(2, "0")}:${(n & 255).toString(16).padStart(2, "0")}`;

test("steps stand in order; the same step further on is the same note", () => {
  const log = new BootLog(new VirtualClock(1, 5000));
  log.note(MAC, "offered");
  log.note("52-54-00-12-34-56", "kernel", { percent: 10.9 });
  log.note(MAC, "kernel", { percent: 200 });
  log.note(MAC, "initrd", { percent: -5 });
  const notes = log.notesOf(MAC).map(noteText);
  assert.deepEqual(notes, [`${MAC} offered`, `${MAC} kernel 100%`, `${MAC} initrd 0%`]);
  assert.equal(log.notesOf(MAC)[0]!.at, 5000);
  assert.deepEqual(log.machines(), [MAC]);
});

test("made machines push out those of which nothing was heard for longest, and no more are remembered", () => {
  const log = new BootLog(new VirtualClock(1));
  log.note(MAC, "offered");
  for (let n = 0; n < 65_000; n++) {
    log.note(macOf(n), "offered");
    if (n % 500 === 0) log.note(MAC, "kernel", { percent: (n / 500) % 100 });
  }
  assert.equal(log.machines().length, logMachinesMax);
  assert.equal(log.notesOf(MAC)[0]!.step, "offered", "it was forgotten on the way");
  log.note("not an address", "up");
  log.note("ff:ff:ff:ff:ff:ff", "up");
  assert.equal(log.machines().length, logMachinesMax);
});

test("steps of one machine are bounded", () => {
  const log = new BootLog(new VirtualClock(1));
  for (let n = 0; n < 1000; n++) log.note(MAC, n % 2 === 0 ? "offered" : "loader");
  assert.equal(log.notesOf(MAC).length, logStepsMax);
});

test("what a machine says is inert when shown, and cut", () => {
  const log = new BootLog(new VirtualClock(1));
  log.note(MAC, "up", { text: "\u001b]0;owned\u0007\u202e$(reboot)\n" });
  assert.equal(noteText(log.notesOf(MAC)[0]!), `${MAC} up \\x1b]0;owned\\x07\\u{202e}$(reboot)\\n`);
  log.note(MAC, "joined", { text: "x".repeat(5000) });
  assert.equal(log.notesOf(MAC).at(-1)!.text!.length, logTextMax);
});

test("what was noted since is told in order; a step that goes further is told again, and the newest when it is too much", () => {
  const log = new BootLog(new VirtualClock(1));
  const told = (after: number, most?: number) => {
    const { last, notes } = log.since(after, most);
    return [last, ...notes.map(noteText)];
  };
  const OTHER = macOf(1);
  assert.deepEqual(told(0), [0]);
  log.note(MAC, "kernel", { percent: 1 });
  log.note(OTHER, "offered");
  log.note(MAC, "kernel", { percent: 1.5 }); // nothing new
  assert.deepEqual(told(0), [2, `${MAC} kernel 1%`, `${OTHER} offered`]);
  assert.deepEqual(told(2), [2]);
  log.note(MAC, "kernel", { percent: 50 });
  assert.deepEqual(told(2), [3, `${MAC} kernel 50%`]);
  assert.deepEqual(told(0), [3, `${OTHER} offered`, `${MAC} kernel 50%`]);
  log.note(MAC, "initrd");
  assert.deepEqual(told(0, 1), [4, `${MAC} initrd`]);
});

test("what machines say of themselves is a step of theirs, perhaps how much of it, and a line", () => {
  const read = (text: string) => readSaid(text);
  assert.deepEqual(read("image 40%"), { step: "image", more: { percent: 40 } });
  assert.deepEqual(read("image 40% of 3 GiB\n"), { step: "image", more: { percent: 40, text: "of 3 GiB" } });
  assert.deepEqual(read("asks 42a4-e8d0"), { step: "asks", more: { text: "42a4-e8d0" } });
  assert.deepEqual(read("up"), { step: "up", more: {} });
  for (const none of ["", "kernel 3%", "offered", "image\nup", "IMAGE", " up", "up ", "constructor"]) {
    assert.equal(read(none), undefined, none);
  }
});
