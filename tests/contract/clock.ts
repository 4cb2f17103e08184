// The contract of Clock: what every clock promises, the machine's and the virtual one. Not how time passes there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, sleep, toHex } from "../../mq/mod.ts";

/** Runs the suite. `pass` lets at least so many milliseconds of the clock go by. */
export function clockContract(
  name: string,
  make: () => { clock: Clock; pass(ms: number): Promise<void> },
): void {
  test(`${name}: monotonic time never steps back and moves on`, async () => {
    const { clock, pass } = make();
    const seen = [clock.now()];
    for (let i = 0; i < 5; i++) {
      await pass(2);
      seen.push(clock.now());
    }
    for (let i = 1; i < seen.length; i++) assert.ok((seen[i] as number) >= (seen[i - 1] as number) + 1);
  });

  test(`${name}: timers fire once, in order of time, never early; a cancelled one not at all`, async () => {
    const { clock, pass } = make();
    const fired: string[] = [];
    const began = clock.now();
    clock.after(30, () => fired.push("late"));
    clock.after(10, () => fired.push(clock.now() - began >= 9.5 ? "early" : "too early"));
    const cancel = clock.after(20, () => fired.push("cancelled"));
    cancel();
    cancel();
    await pass(60);
    await pass(60);
    assert.deepEqual(fired, ["early", "late"]);
    cancel();
  });

  test(`${name}: a pause lets what is due run, and takes no time of the clock's timers`, async () => {
    const { clock } = make();
    const order: string[] = [];
    void Promise.resolve().then(() => order.push("due"));
    await clock.pause();
    assert.deepEqual(order, ["due"]);
  });

  test(`${name}: sleep resolves after its time, also of 0`, async () => {
    const { clock, pass } = make();
    let awake = 0;
    void sleep(clock, 0).then(() => awake++);
    void sleep(clock, 10).then(() => awake++);
    await pass(40);
    assert.equal(awake, 2);
  });

  test(`${name}: chance gives as many bytes as asked for, and not the same twice`, () => {
    const { clock } = make();
    assert.equal(clock.random(0).length, 0);
    const drawn = new Set(Array.from({ length: 100 }, () => toHex(clock.random(16))));
    assert.equal(drawn.size, 100);
  });

  test(`${name}: the wall clock says a moment of this century`, () => {
    const { clock } = make();
    assert.ok(clock.wall() > Date.UTC(2020) && clock.wall() < Date.UTC(2100));
  });
}
