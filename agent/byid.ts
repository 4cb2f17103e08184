// ById: a map whose every change is a new map that shares the rest with the one before, so that all states of a growing
// one cost little more than the newest. A trie over the digits of ids, which are hashes and so spread by themselves.
// Not for other keys, and in no order that means anything.

interface Leaf<V> {
  id: string;
  value: V;
}

/** 16 places, one for each digit. */
type Node<V> = readonly (Node<V> | Leaf<V> | undefined)[];
type Place<V> = Node<V> | Leaf<V> | undefined;

export class ById<V> {
  readonly size: number;
  readonly #root: Place<V>;

  private constructor(root: Place<V>, size: number) {
    this.#root = root;
    this.size = size;
  }

  /** The map that has nothing in it. */
  static empty<V>(): ById<V> {
    return new ById<V>(undefined, 0);
  }

  get(id: string): V | undefined {
    return this.#find(id)?.value;
  }

  has(id: string): boolean {
    return this.#find(id) !== undefined;
  }

  /** This map with `value` for `id`, lowercase hexadecimal and as long as every other id in it. */
  with(id: string, value: V): ById<V> {
    return new ById(put(this.#root, 0, { id, value }), this.size + (this.has(id) ? 0 : 1));
  }

  *[Symbol.iterator](): IterableIterator<[id: string, value: V]> {
    yield* leaves(this.#root);
  }

  #find(id: string): Leaf<V> | undefined {
    let place = this.#root;
    for (let depth = 0; isNode(place); depth++) place = place[digit(id, depth)];
    return place?.id === id ? place : undefined;
  }
}

const isNode = <V>(place: Place<V>): place is Node<V> => Array.isArray(place);
const digit = (id: string, depth: number): number => parseInt(id[depth] as string, 16);

function put<V>(place: Place<V>, depth: number, leaf: Leaf<V>): Place<V> {
  if (place === undefined || (!isNode(place) && place.id === leaf.id)) return leaf;
  const node: Place<V>[] = isNode(place) ? place.slice() : Array(16).fill(undefined);
  if (!isNode(place)) node[digit(place.id, depth)] = place;
  const at = digit(leaf.id, depth);
  node[at] = put(node[at], depth + 1, leaf);
  return node;
}

function* leaves<V>(place: Place<V>): IterableIterator<[string, V]> {
  if (isNode(place)) { for (const below of place) yield* leaves(below); }
  else if (place !== undefined) yield [place.id, place.value];
}
