// Confirmations: acts that a line of the policy permits only when somebody confirms them: the caller by a password, or another
// person. Each is for one act of one caller, and for once: there is no time in which a program of theirs could ask for more.
// They are remembered in memory alone. Not which line says so (rules.ts).
import { bytesEqual, type Clock, Fault, sha256, toHex } from "../mq/mod.ts";
import type { Actor } from "./host.ts";
import {
  confirmActBytesMax,
  confirmAskedMax,
  confirmTriesMax,
  confirmTriesMs,
  confirmWaitMs,
} from "./limits.ts";
import { commandLine, inert } from "./names.ts";
import type { Rule, Who } from "./rules.ts";

/** Exactly what somebody wants to have done. */
export interface Act {
  /** For people. */
  text: string;
  /** Of everything that belongs to it. */
  digest: Uint8Array;
}

/** A verb with its arguments, as checked; an executed command is shown as it would be typed. */
export function actOf(verb: string, args: Record<string, unknown>): Act {
  const { command, as, cwd } = args;
  const isCommand = verb === "exec" && Array.isArray(command);
  const text = isCommand
    ? `exec ${as === undefined ? "" : `--as ${inert(String(as))} `}${commandLine(command)}, in ${
      inert(String(cwd ?? "/"))
    }`
    : `${verb} ${inert(JSON.stringify(args))}`;
  return { text, digest: sha256(new TextEncoder().encode(JSON.stringify([verb, args]))) };
}

/** What a caller shows of a confirmation, and whether the act begins with that. */
export interface Ticket {
  id: string | undefined;
  begins: boolean;
}

/** An act that waits for a confirmation, as people see it. */
export interface Waiting {
  id: string;
  who: string;
  act: string;
  /** Who has to confirm it, in the words of the policy. */
  by: string;
  /** Whether the caller of this question is who has to. */
  yours: boolean;
  given: boolean;
}

interface Asked {
  id: string;
  uid: number;
  name: string;
  act: Act;
  by: "password" | readonly Who[];
  given: boolean;
  forget: () => void;
}

/** What is said of a wrong password, after which another may be typed. */
export const WRONG_PASSWORD = "that is not the password";

export interface ConfirmationsOptions {
  clock: Clock;
  isPassword(name: string, password: string): Promise<boolean>;
  isOf(who: Who, name: string): boolean;
  log(line: string): void;
}

export class Confirmations {
  readonly #o: ConfirmationsOptions;
  readonly #asked = new Map<string, Asked>();
  /** Wrong passwords by uid, and since when they are counted. */
  readonly #wrong = new Map<number, { count: number; sinceMs: number }>();

  constructor(options: ConfirmationsOptions) {
    this.#o = options;
  }

  /**
   * Throws unless this very act was confirmed for this caller; when it begins, the confirmation is used up.
   * @throws {Fault} unconfirmed, whose hint says how to confirm it
   */
  need(actor: Actor, { confirm, where }: Rule, act: Act, { id, begins }: Ticket): void {
    const asked = id === undefined ? undefined : this.#asked.get(id);
    const isThis = asked?.uid === actor.uid && bytesEqual(asked.act.digest, act.digest);
    if (isThis && asked.given) return begins ? this.#drop(asked.id) : undefined;
    const one = isThis ? asked : this.#ask(actor, confirm!, act);
    throw new Fault("confirm", "unconfirmed", `${where} asks for ${wordOf(one.by)}`, {
      hint: `isconf confirm ${one.id}`,
    });
  }

  #ask(actor: Actor, by: Asked["by"], act: Act): Asked {
    if (act.text.length > confirmActBytesMax) {
      throw new Fault("confirm", "denied", "this is too long for anybody to confirm", {
        hint: "isconf policy show",
      });
    }
    const own = [...this.#asked.values()].filter(({ uid }) => uid === actor.uid);
    if (own.length >= confirmAskedMax) this.#drop(own[0]!.id);
    const id = toHex(this.#o.clock.random(8));
    const forget = this.#o.clock.after(confirmWaitMs, () => this.#drop(id));
    const asked = { id, ...actor, act, by, given: false, forget };
    this.#asked.set(id, asked);
    return asked;
  }

  /** What waits: the caller's own, and what they may confirm for others. */
  list(actor: Actor): Waiting[] {
    return [...this.#asked.values()].filter((one) => one.uid === actor.uid || this.#isYours(one, actor)).map((
      one,
    ) => ({
      id: one.id,
      who: one.name,
      act: one.act.text,
      by: wordOf(one.by),
      yours: this.#isYours(one, actor),
      given: one.given,
    }));
  }

  /** Whether somebody has to confirm it: by a password who wants it, else another of those who are named. */
  #isYours({ uid, by }: Asked, actor: Actor): boolean {
    if (by === "password") return uid === actor.uid;
    return uid !== actor.uid && by.some((who) => this.#o.isOf(who, actor.name));
  }

  /**
   * Confirms it.
   * @throws {Fault} notFound, also when it is not theirs to confirm; denied, when the password is wrong or was too often
   */
  async give(actor: Actor, id: string, password: string | undefined): Promise<Waiting> {
    const asked = this.#asked.get(id);
    if (asked === undefined || !this.#isYours(asked, actor)) {
      throw new Fault("confirm", "notFound", `nothing called ${inert(id)} waits for you`, {
        hint: "isconf confirm",
      });
    }
    if (asked.by === "password") await this.#needPassword(actor, password);
    asked.given = true;
    this.#o.log(`confirm: ${inert(actor.name)} confirmed for ${inert(asked.name)}: ${inert(asked.act.text)}`);
    return this.list(actor).find((one) => one.id === id) ?? gone(id);
  }

  async #needPassword({ uid, name }: Actor, password: string | undefined): Promise<void> {
    const now = this.#o.clock.now();
    let wrong = this.#wrong.get(uid);
    if (wrong === undefined || now - wrong.sinceMs >= confirmTriesMs) {
      this.#wrong.set(uid, wrong = { count: 0, sinceMs: now });
    }
    if (wrong.count >= confirmTriesMax) {
      throw new Fault("confirm", "denied", `${confirmTriesMax} wrong passwords in a minute`, {
        hint: "isconf confirm, in a minute",
      });
    }
    wrong.count++; // before the answer: who asks many times at once is counted many times
    if (password !== undefined && await this.#o.isPassword(name, password)) {
      return void this.#wrong.delete(uid);
    }
    this.#o.log(`confirm: a wrong password of ${inert(name)}`);
    throw new Fault("confirm", "denied", WRONG_PASSWORD, { hint: "isconf confirm, again" });
  }

  #drop(id: string): void {
    this.#asked.get(id)?.forget();
    this.#asked.delete(id);
  }
}

const wordOf = (by: Asked["by"]): string =>
  by === "password"
    ? "your password"
    : `the word of ${by.map((who) => "user" in who ? who.user : `:${who.group}`).join(" or ")}`;

function gone(id: string): never {
  throw new Fault("confirm", "gone", `${id} has waited too long`, { hint: "isconf confirm" });
}
