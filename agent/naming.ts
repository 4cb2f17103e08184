// Naming: what verbs do with names of contents: said, withdrawn, listed, looked up. Each is a person's word; what it means
// when several speak is in name_values.ts, how it reaches other hosts in name_spread.ts.
import { type Id, isId, readRoot } from "../fs/mod.ts";
import { type Clock, compareBytes, Fault, fromHex, keyId, type KeyPair, toHex } from "../mq/mod.ts";
import { type Call, personPair } from "./host.ts";
import type { Journal } from "./journal.ts";
import { nameCopiesDefault, nameCopiesMax, nameValuesMax } from "./limits.ts";
import { checkContentName, inert, readVersion } from "./names.ts";
import { type NameRecord, sealName } from "./name_records.ts";
import { type NameSpread } from "./name_spread.ts";
import type { NameTable } from "./name_table.ts";
import { newestOfEach, nextAfter, type Standing } from "./name_values.ts";
import { mayName, nameOf, type Policy } from "./trust.ts";

/** What a name is to mean from now on. */
export interface Named {
  name: string;
  /** A root in isfs. */
  id: Id;
  kind: "file" | "tree";
  /** Bytes of content. */
  size: number;
  /** How many hosts of the domain shall keep it. */
  copies: number;
}

/** One record of a name, for people and programs. */
export interface NameLine extends Omit<Named, "kind"> {
  /** Empty, like the id, when the name was withdrawn. */
  kind: string;
  seq: number;
  /** Who says so, as people call them, and the id of their key. */
  who: string;
  author: string;
  /** The host where it was said. */
  host: string;
  timeMs: number;
  /** current: what the name means; beside: one of several that it means; replaced; lapsed: said with a revoked key. */
  state: "current" | "beside" | "replaced" | "lapsed";
}

/** A root that has a name, in one of the versions that are kept. */
export interface NameRoot {
  id: Id;
  kind: string;
  /** How many hosts shall keep it: of all names and versions the most. */
  copies: number;
  /** Whether a name means it now. */
  isCurrent: boolean;
}

export interface NamesOptions {
  journal: Journal;
  clock: Clock;
  table: NameTable;
  spread: NameSpread;
  /** This host's id. */
  self(): string;
}

/** What of a record says what the name means. */
type What = Pick<NameRecord["words"], "id" | "kind" | "size" | "copies">;

export class Names {
  readonly #o: NamesOptions;
  /** The roots, and of which version of the table. */
  #roots: { of: string; are: ReadonlyMap<Id, NameRoot> } | undefined;

  constructor(options: NamesOptions) {
    this.#o = options;
  }

  /**
   * Says what a name means, in place of all that is known of it here, and tells the others. The same said again by the same
   * person changes nothing. The content has to be here and shared: that is the caller's to see to.
   * @throws {Fault} usage, denied; refused, when there is no room for one more name
   */
  set(author: KeyPair, { name, id, kind, size, copies }: Named): NameLine {
    if (!Number.isSafeInteger(copies) || copies < 1 || copies > nameCopiesMax) {
      throw new Fault("name", "usage", `the number of copies is one from 1 to ${nameCopiesMax}`, {
        hint: "isconf name --copies N NAME ID",
      });
    }
    return this.#say(author, name, { id: fromHex(id), kind, size, copies });
  }

  /** Says that a name means nothing any more. Throws notFound when it does not mean anything, usage, denied. */
  withdraw(author: KeyPair, name: string): NameLine {
    const standing = this.#standing("name", checkContentName("name", name));
    const isThere = [...standing.values, ...standing.lapsed].some((r) => r.words.id.length > 0);
    if (!isThere) throw nothing("name", name);
    return this.#say(author, name, { id: new Uint8Array(0), kind: "", size: 0, copies: 0 });
  }

  /** What every name means, or all that is kept of one, the newest first. Throws notFound when nothing is. */
  list(name?: string): NameLine[] {
    const { journal, table } = this.#o;
    const policy = journal.needPolicy("names");
    if (name !== undefined) {
      const standing = this.#standing("names", checkContentName("names", name));
      const lines = [...standing.versions, ...standing.lapsed].map((r) => lineOf(policy, standing, r));
      if (lines.length === 0) throw nothing("names", name);
      return lines.sort((a, b) => b.seq - a.seq);
    }
    return table.names().flatMap((each) => {
      const standing = table.standing(policy, each);
      const isNone = standing.values.every((r) => r.words.id.length === 0);
      const shown = [
        ...isNone ? [] : standing.values,
        ...standing.lapsed.filter((r) => r.words.id.length > 0),
      ];
      return shown.map((r) => lineOf(policy, standing, r));
    });
  }

  /**
   * What `NAME` means, or what its version `NAME@SEQ` meant; with `by`, according to this person (alice@hosta, or the id of
   * a key).
   * @throws {Fault} usage; notFound; refused, when people say different things, naming them
   */
  resolve(text: string, by?: string): NameLine {
    const { name, seq } = readVersion("get", text);
    const policy = this.#o.journal.needPolicy("get");
    const standing = this.#standing("get", name);
    const isBy = ({ author }: NameRecord) =>
      by === undefined || author === by || nameOf(policy, author) === by;
    const found = seq !== undefined
      ? standing.versions.filter((r) => r.words.seq === seq && isBy(r))
      : by === undefined
      ? standing.values
      : newestOfEach(standing.versions).filter(isBy);
    const [first] = found;
    const different = new Set(found.map(({ words }) => toHex(words.id)));
    if (different.size > 1) throw disputed(policy, text, found);
    if (first !== undefined && first.words.id.length > 0) return lineOf(policy, standing, first);
    const lapsed = standing.lapsed.find((r) => r.words.id.length > 0);
    if (found.length > 0 || lapsed === undefined || seq !== undefined || by !== undefined) {
      throw nothing("get", text);
    }
    const who = inert(nameOf(policy, lapsed.author));
    throw new Fault("get", "refused", `${name} was said by ${who} alone, whose key was revoked since`, {
      hint: `isconf name ${name} ${toHex(lapsed.words.id)}, by somebody who may`,
    });
  }

  /** Every root that a kept version of a name is, also of those that lapsed: what is to stay somewhere in the domain. */
  roots(): NameRoot[] {
    return [...this.#known().values()];
  }

  /** One of them. */
  root(id: Id): NameRoot | undefined {
    return this.#known().get(id);
  }

  #known(): ReadonlyMap<Id, NameRoot> {
    const { journal, table } = this.#o;
    const policy = journal.policy();
    if (policy === undefined) return new Map();
    const of = table.version(policy);
    if (this.#roots?.of !== of) this.#roots = { of, are: this.#read(policy) };
    return this.#roots.are;
  }

  #read(policy: Policy): Map<Id, NameRoot> {
    const { table } = this.#o;
    const roots = new Map<Id, NameRoot>();
    for (const name of table.names()) {
      const { versions, values, lapsed } = table.standing(policy, name);
      for (const record of [...versions, ...lapsed]) {
        const { kind, copies } = record.words;
        const id = toHex(record.words.id);
        if (id === "") continue;
        const before = roots.get(id);
        roots.set(id, {
          id,
          kind,
          copies: Math.max(copies, before?.copies ?? 0),
          isCurrent: values.includes(record) || before?.isCurrent === true,
        });
      }
    }
    return roots;
  }

  /** Says again with a new key what names mean by the word of the old one, which counts no more. */
  renew(old: string, author: KeyPair): void {
    const policy = this.#o.journal.policy();
    if (policy === undefined) return;
    for (const name of new Set(this.#o.table.by(old).map(({ words }) => words.name))) {
      const said = this.#o.table.standing(policy, name).lapsed.find((r) => r.author === old);
      if (said === undefined || !mayName(policy, keyId(author.publicKey), name)) continue;
      const { id, kind, size, copies } = said.words;
      // It follows what the old key's record followed: what others said beside it stays beside it.
      const after = [fromHex(said.id), ...said.words.after].slice(0, nameValuesMax).sort(compareBytes);
      this.#say(author, name, { id, kind, size, copies }, after);
    }
  }

  /** Throws usage for what is no name, and denied unless the owner of the key may say what it is. */
  needRight(author: KeyPair, name: string): Policy {
    checkContentName("name", name);
    const policy = this.#o.journal.needPolicy("name");
    const key = keyId(author.publicKey);
    if (mayName(policy, key, name)) return policy;
    throw new Fault("name", "denied", `${inert(nameOf(policy, key))} may not say what ${name} is`, {
      hint: "isconf grant USER publish BRANCH, by an owner: for names below that branch's; @domain: for all",
    });
  }

  /** Asks and tells others no more. */
  stop(): void {
    this.#o.spread.stop();
  }

  #standing(op: string, name: string): Standing {
    return this.#o.table.standing(this.#o.journal.needPolicy(op), name);
  }

  #say(author: KeyPair, name: string, what: What, follows?: Uint8Array[]): NameLine {
    const { clock, table, spread, self } = this.#o;
    const policy = this.needRight(author, name);
    const key = keyId(author.publicKey);
    const before = table.standing(policy, name);
    const [said, ...others] = before.values;
    const isSame = said?.author === key && others.length === 0 && before.lapsed.length === 0 &&
      toHex(said.words.id) === toHex(what.id) && said.words.copies === what.copies;
    if (isSame) return lineOf(policy, before, said);
    const next = nextAfter(before);
    const { seq } = next;
    if (!Number.isSafeInteger(seq)) {
      throw new Fault("name", "refused", `${name} has no more versions: somebody has used them up`, {
        hint: `isconf names ${name}, then isconf revoke who did`,
      });
    }
    const record = sealName(
      {
        v: 1,
        name,
        seq,
        ...what,
        after: follows ?? next.after,
        policy: policy.seq,
        timeMs: clock.wall(),
        host: fromHex(self()),
        author: fromHex(key),
      },
      policy.domain,
      author,
    );
    if (table.take(policy, [record]).length === 0) {
      throw new Fault(
        "name",
        "refused",
        `there is no room for ${name}: too many names, or too many of yours`,
        {
          hint: "isconf names",
        },
      );
    }
    spread.tell(record);
    return lineOf(policy, table.standing(policy, name), record);
  }
}

/** Names what is on the shelf, or, by its whole id, what some host has: it is put on the shelf here, and not pinned. */
export async function setName(
  { host, actor }: Call,
  args: { name: string; what: string; copies?: number },
): Promise<NameLine> {
  const author = personPair(host, actor);
  host.names.needRight(author, args.name); // before anything is fetched, or given free for others
  const row = await host.shelf.find(args.what);
  if (row === undefined && !isId(args.what)) {
    throw new Fault("name", "notFound", `nothing here is called ${inert(args.what)}`, { hint: "isconf ls" });
  }
  const id = row?.id ?? args.what;
  return await host.store.holding(async () => {
    if (row === undefined) await host.store.fetch([id]);
    // What is signed is what the bytes say here, not what the other half says of them.
    const { kind, size, sha256 } = await readRoot(host.store, id);
    if (isId(args.what) && ![id, sha256].includes(args.what)) {
      throw new Fault("name", "corrupt", `the shelf has ${id} in the place of ${args.what}`, {
        hint: "isconf doctor",
      });
    }
    await host.shelf.add({ id, label: args.name, uid: actor.uid, pinned: false });
    const copies = args.copies ?? nameCopiesDefault;
    return host.names.set(author, { name: args.name, id, kind, size, copies });
  });
}

/** Withdraws a name. */
export function withdrawName({ host, actor }: Call, name: string): NameLine {
  return host.names.withdraw(personPair(host, actor), name);
}

function lineOf(policy: Policy, { values, lapsed }: Standing, { author, words, id }: NameRecord): NameLine {
  const isValue = values.some((r) => r.id === id);
  const isDisputed = new Set(values.map((r) => toHex(r.words.id))).size > 1;
  return {
    name: words.name,
    seq: words.seq,
    id: toHex(words.id),
    kind: words.kind,
    size: words.size,
    copies: words.copies,
    who: nameOf(policy, author),
    author,
    host: nameOf(policy, toHex(words.host)),
    timeMs: words.timeMs,
    state: isValue
      ? isDisputed ? "beside" : "current"
      : lapsed.some((r) => r.id === id)
      ? "lapsed"
      : "replaced",
  };
}

/** Values that a fault names, and no more: it is one line for people. */
const toldMax = 8;

function disputed(policy: Policy, text: string, found: readonly NameRecord[]): Fault {
  const says = found.slice(0, toldMax).map(({ author, words }) => {
    const what = words.id.length === 0 ? "withdrew it" : `says ${toHex(words.id).slice(0, 16)}`;
    return `${inert(nameOf(policy, author))} ${what}`;
  });
  const more = found.length > toldMax ? `, and ${found.length - toldMax} more` : "";
  return new Fault("get", "refused", `people differ about ${text}: ${says.join(", ")}${more}`, {
    hint: `isconf get ${text} --by WHO, or isconf name ${text.split("@")[0]} ID, which replaces them all`,
  });
}

const nothing = (op: string, text: string) =>
  new Fault(op, "notFound", `nobody says what ${text} is`, { hint: "isconf names" });
