// The contract of Cells: values that are compared and swapped. Not a test file by itself; each one's test calls it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, type Cells } from "../../agent/mod.ts";

type Ctx = { after(fn: () => Promise<void>): void };

/** Runs the contract. `make` gives ways to the same cells, which are empty. */
export function cellsContract(
  name: string,
  make: (t: Ctx) => Promise<[Cells, Cells]>,
  skip: string | false = false,
): void {
  const promise = (title: string, fn: (one: Cells, other: Cells) => Promise<void>) =>
    test(`${name}: ${title}`, { skip }, async (t) => await fn(...await make(t)));
  const bytes = (text: string) => new TextEncoder().encode(text);
  const textOf = (cells: { name: string; bytes: Uint8Array }[]) =>
    cells.map((cell) => `${cell.name}=${new TextDecoder().decode(cell.bytes)}`).join(" ");
  const revisionOf = async (cells: Cells, name: string) => (await cells.read([name]))[0]?.revision ?? 0;

  promise("what one puts the other reads, by name and by what it begins with", async (one, other) => {
    assert.deepEqual(await other.read(["a/1", "a/"]), []);
    assert.equal(
      await one.swap([], [["a/1", bytes("x")], ["a/2", new Uint8Array(0)], ["b", bytes("z")]], []),
      true,
    );
    assert.equal(textOf(await other.read(["a/1"])), "a/1=x");
    assert.equal(textOf(await other.read(["a/"])), "a/1=x a/2=");
    assert.equal(textOf(await other.read(["b", "nothing", "a/2"])), "b=z a/2=");
    assert.deepEqual([...(await other.read(["b"]))[0]!.bytes], [...bytes("z")]);
  });

  promise("of two who swap the same value one does", async (one, other) => {
    assert.equal(await one.swap([["a", 0]], [["a", bytes("1")]], []), true);
    assert.equal(await other.swap([["a", 0]], [["a", bytes("2")]], []), false, "it is there by now");
    const revision = await revisionOf(other, "a");
    const swap = (cells: Cells, n: number) => cells.swap([["a", revision]], [["a", bytes(`n${n}`)]], []);
    const done = await Promise.all([swap(one, 1), swap(other, 2), swap(one, 3), swap(other, 4)]);
    assert.equal(done.filter((isDone) => isDone).length, 1);
    assert.equal(textOf(await one.read(["a"])), `a=n${done.indexOf(true) + 1}`);
    assert.equal(await swap(one, 5), false, "a second time is too late");
  });

  promise("all of it or nothing, and nothing when anything below has moved", async (one, other) => {
    await one.swap([], [["h/1", bytes("1")], ["h/2", bytes("2")], ["other", bytes("")]], []);
    const seen = Math.max(...(await one.read(["h/"])).map(({ revision }) => revision));
    await other.swap([], [["other", bytes("!")]], []);
    assert.equal(await one.swap([["h/", seen]], [["h/1", bytes("3")]], []), true, "others do not count");
    assert.equal(await other.swap([["h/", seen]], [["h/2", bytes("4")], ["new", bytes("")]], []), false);
    assert.equal(textOf(await other.read(["h/", "new"])), "h/1=3 h/2=2");
    assert.equal(await other.swap([["h/2", 1_000_000]], [["h/2", bytes("5")]], []), false);
  });

  promise("what is removed is gone, and nothing beside it", async (one, other) => {
    const names = ["p/a/0", "p/a/1", "p/b/0", "p0", "p"];
    await one.swap([], names.map((name) => [name, bytes("")]), []);
    assert.equal(await other.swap([], [["q", bytes("")]], [below("p/a/")]), true);
    assert.equal(textOf(await one.read(["p", "p/", "p0", "q"])), "p= p/b/0= p0= q=");
    assert.equal(await one.swap([["p/a/0", 0]], [["p/a/0", bytes("again")]], []), true);
  });

  promise("a value of a megabyte comes back as it was", async (one, other) => {
    const large = Uint8Array.from({ length: 1_050_000 }, (_, i) => i * 31 % 251);
    await one.swap([], [["large", large]], []);
    const [cell] = await other.read(["large"]);
    assert.equal(Buffer.compare(cell!.bytes, large), 0);
  });
}
