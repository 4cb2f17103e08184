// Rules here: what the policy files of this host come to for its users: who has a way in, and whether somebody may have something
// done now. Not the language (rules.ts), not the files (rules_files.ts), not roles in the domain (trust.ts).
import { type Clock, Fault } from "../mq/mod.ts";
import { type Act, actOf, Confirmations, type Ticket } from "./confirmations.ts";
import type { Actor } from "./host.ts";
import { rulesLookMs } from "./limits.ts";
import { inert } from "./names.ts";
import { decisive, permittedBy, type Rule, type Wish } from "./rules.ts";
import type { RuleBook } from "./rules_files.ts";
import { isPassword } from "./password.ts";
import { changeableBy, isSameFile } from "./rules_path.ts";
import { type Group, groupByName, type User, userNamed, userOfAgent, usersIn } from "./users.ts";

/** What somebody wants of this host; the branch is this host's. */
export type Want = Pick<Wish, "branch" | "command" | "like" | "network"> & {
  verb: string;
  /** Whether it only reads: then it is enough to have a way in, unless a line denies it. */
  reads: boolean;
  /** All of it, for where somebody has to confirm it. */
  act?: () => Act;
};

/** What was decided, and by which line; undefined: by none. */
export interface Verdict {
  permit: boolean;
  rule: Rule | undefined;
  /** Why not, when the line alone would permit it. */
  why?: string;
}

const NO_TICKET: Ticket = { id: undefined, begins: true };

/** Hears that somebody was refused something, by which line if by one, and why. */
export type Refused = (actor: Actor, want: Want, rule: Rule | undefined, why: string) => void;

/** Who is told of what. */
export interface Tells {
  refused?: Refused;
  log?(line: string): void;
}

export class HostRules {
  readonly #book: RuleBook;
  readonly #clock: Clock;
  readonly #refused: Refused;
  /** Who is let in, and groups, as they were when they were last looked up: where they are not in /etc it costs a process. */
  #known: { rules: readonly Rule[]; atMs: number; let: ReadonlyMap<number, string> } | undefined;
  readonly #groups = new Map<string, { group: Group | undefined; atMs: number }>();
  readonly confirmations: Confirmations;

  /** `refused` hears of who was refused what. */
  constructor(book: RuleBook, clock: Clock, { refused = () => {}, log = () => {} }: Tells = {}) {
    this.#book = book;
    this.#clock = clock;
    this.#refused = refused;
    this.confirmations = new Confirmations({
      clock,
      log,
      isPassword: (name, password) => isPassword(clock, name, password),
      isOf: (who, name) => "user" in who ? who.user === name : this.#isIn(who.group, name),
    });
  }

  /** What is wrong with the policy files, if anything is: then what was read before holds. */
  get wrong(): Fault | undefined {
    return this.#book.standing().wrong;
  }

  /** The uids that have a way in: whoever some line permits anything. An agent that is not root's can let in nobody else. */
  uids(): number[] {
    return [...this.#let().keys()];
  }

  /** Whether a user of that name has a way in. Nothing is looked up for it: any host may ask. */
  lets(name: string): boolean {
    return [...this.#let().values()].includes(name);
  }

  /** Who is let in, as it was when it was last looked up. */
  #let(): ReadonlyMap<number, string> {
    const { rules } = this.#book.standing();
    const now = this.#clock.now();
    if (this.#known?.rules !== rules || now - this.#known.atMs >= rulesLookMs) {
      this.#known = { rules, atMs: now, let: this.#lookUp(rules) };
    }
    return this.#known.let;
  }

  #lookUp(rules: readonly Rule[]): ReadonlyMap<number, string> {
    const own = userOfAgent();
    const users = own.uid !== 0 ? [] : permittedBy(rules).flatMap((who): User[] => {
      const found = "user" in who ? userNamed(who.user) : this.#group(who.group);
      return found === undefined ? [] : "members" in found ? usersIn(found) : [found];
    });
    return new Map([own, ...users].map(({ uid, name }) => [uid, name]));
  }

  /** What is decided for somebody now. */
  judge(actor: Actor, want: Want): Verdict {
    const { rules } = this.#book.standing();
    const wish = this.#wish(actor, want, rules);
    const rule = decisive(rules, wish);
    if (rule === undefined) return { permit: want.reads && this.lets(actor.name), rule };
    if (!rule.permit || rule.command === undefined || wish.command === undefined) {
      return { permit: rule.permit, rule };
    }
    // Whoever can change what the line names could run anything.
    const theirs = this.#changeable(wish.command.file, actor);
    return theirs === undefined ? { permit: true, rule } : {
      permit: false,
      rule,
      why: `${inert(theirs)} could be changed by others than its owner, or is ${inert(actor.name)}'s`,
    };
  }

  /**
   * Returns the line that permits it, undefined where none has to.
   * @throws {Fault} denied, unless it is permitted; unconfirmed, when that line asks for a confirmation that is not shown
   */
  need(actor: Actor, want: Want, ticket: Ticket = NO_TICKET): Rule | undefined {
    if (ticket.begins && !want.reads) this.#groups.clear(); // who was taken out of a group a moment ago is
    const { permit, rule, why } = this.judge(actor, want);
    if (permit) {
      if (rule?.confirm !== undefined && !want.reads) {
        this.confirmations.need(actor, rule, want.act?.() ?? actOf(want.verb, {}), ticket);
      }
      return rule;
    }
    const reason = why ?? (rule === undefined ? "no line of the policy permits it" : `by ${rule.where}`);
    this.#refused(actor, want, rule, reason);
    const what = want.command === undefined ? want.verb : `${want.verb} ${want.command.file}`;
    throw new Fault(
      want.verb,
      "denied",
      `${inert(actor.name)} may not ${inert(what)} on this host: ${reason}`,
      { hint: `isconf policy why ${want.verb}` },
    );
  }

  /** The lines that speak of somebody, whatever they want. */
  about(actor: Actor): Rule[] {
    const { rules } = this.#book.standing();
    const { user, groups } = this.#wish(actor, { verb: "", reads: true }, rules);
    return rules.filter(({ who }) => "user" in who ? who.user === user : groups.includes(who.group));
  }

  /** All lines. */
  all(): readonly Rule[] {
    return this.#book.standing().rules;
  }

  #wish(actor: Actor, want: Want, rules: readonly Rule[]): Wish {
    const named = new Set(rules.flatMap(({ who }) => "group" in who ? [who.group] : []));
    const groups = [...named].filter((name) => this.#isIn(name, actor.name));
    const { verb, like, branch, network, command } = want;
    return {
      user: actor.name,
      groups,
      verb,
      ...(like && { like }),
      ...(branch && { branch }),
      ...(network !== undefined && { network }),
      ...(command && { command: { ...command, isFile: (path: string) => isSameFile(command.file, path) } }),
    };
  }

  #isIn(group: string, name: string): boolean {
    const found = this.#group(group);
    if (found === undefined) return false;
    return found.members.includes(name) || userNamed(name)?.gid === found.gid;
  }

  #group(name: string): Group | undefined {
    const now = this.#clock.now();
    let known = this.#groups.get(name);
    if (known === undefined || now - known.atMs >= rulesLookMs) {
      this.#groups.set(name, known = { group: groupByName(name), atMs: now });
    }
    return known.group;
  }

  /** What of a command's way somebody could change; root changes nothing that is not root's. */
  #changeable(file: string, { uid }: Actor): string | undefined {
    if (uid === 0 || uid === userOfAgent().uid) return undefined;
    return changeableBy(file, uid);
  }
}
