// Cells: values under names that are changed only where others stand still: all that is wanted of an etcd cluster, and its
// twin in memory. Not how an etcd is spoken to (net_etcd.ts) and not what the values mean (register.ts).
import { Fault } from "../mq/mod.ts";

/** A value under a name, and at which change of all it got there. */
export interface Cell {
  name: string;
  bytes: Uint8Array;
  /** From 1, counted over all names together. */
  revision: number;
}

/**
 * Values under names. Whatever is read or changed is so at one moment, after all that was done before it anywhere
 * (linearizable). A name that ends with a slash stands for all that begin with it.
 */
export interface Cells {
  /** What is under these names. Throws noQuorum, saying whom it asked. */
  read(names: readonly string[]): Promise<Cell[]>;
  /**
   * Puts and removes all of that or nothing: it is done when each of `unchanged` has this revision (0: is not there; below a
   * slash: nothing newer), and false is the answer when one has not.
   * @throws {Fault} noQuorum, when it is not known whether it was done
   */
  swap(
    unchanged: readonly (readonly [name: string, revision: number])[],
    put: readonly (readonly [name: string, bytes: Uint8Array])[],
    remove: readonly Range[],
  ): Promise<boolean>;
}

/** The names from `from` on that come before `to`, by their bytes. */
export interface Range {
  from: string;
  to: string;
}

/** All names below one that ends with a slash: 0 comes right after the slash. */
export const below = (name: string): Range => ({ from: name, to: `${name.slice(0, -1)}0` });

/** The names that one stands for. */
export const rangeOf = (name: string): Range =>
  name.endsWith("/") ? below(name) : { from: name, to: `${name}\0` };

/** Cells in memory, for one process. */
export class MemoryCells implements Cells {
  readonly #cells = new Map<string, Cell>();
  #revision = 0;

  read(names: readonly string[]): Promise<Cell[]> {
    return Promise.resolve(names.flatMap((name) => this.#in(rangeOf(name))));
  }

  swap(
    unchanged: Parameters<Cells["swap"]>[0],
    put: Parameters<Cells["swap"]>[1],
    remove: readonly Range[],
  ): Promise<boolean> {
    const isSo = unchanged.every(([name, revision]) =>
      name.endsWith("/")
        ? this.#in(below(name)).every((cell) => cell.revision <= revision)
        : (this.#cells.get(name)?.revision ?? 0) === revision
    );
    if (!isSo) return Promise.resolve(false);
    const revision = ++this.#revision;
    for (const range of remove) for (const { name } of this.#in(range)) this.#cells.delete(name);
    for (const [name, bytes] of put) this.#cells.set(name, { name, bytes: bytes.slice(), revision });
    return Promise.resolve(true);
  }

  #in({ from, to }: Range): Cell[] {
    return [...this.#cells.values()].filter(({ name }) => from <= name && name < to)
      .sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** All as it stands now, to be put back by {@link restore}. */
  snapshot(): Cell[] {
    return [...this.#cells.values()];
  }

  /** Puts all back as it stood, as who restores a backup does. */
  restore(cells: readonly Cell[]): void {
    this.#cells.clear();
    for (const cell of cells) this.#cells.set(cell.name, cell);
    this.#revision = Math.max(0, ...cells.map(({ revision }) => revision));
  }
}

/** Nobody to ask: this host's configuration names no etcd. */
export class NoCells implements Cells {
  read(): Promise<Cell[]> {
    return Promise.reject(unnamed());
  }

  swap(): Promise<boolean> {
    return Promise.reject(unnamed());
  }
}

const unnamed = () =>
  new Fault(
    "keeper",
    "noQuorum",
    "an etcd decides in this domain, and this keeper's isconf.conf names none",
    {
      hint: "isconf restart, on that keeper, after a line register = https://… in its isconf.conf",
    },
  );
