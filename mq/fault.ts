// Fault: the one error type of isconf, and the one table from a fault's kind to exit code and HTTP status.
// Not for bugs: those throw plain errors (node:assert) and end the process loudly.

/** One row of the table: what the kind means, the process exit code and the HTTP status it is reported with. */
export interface KindRow {
  exit: number;
  http: number;
  when: string;
}

/** kind → exit code ↔ HTTP status. The ancestor's codes are kept; `isconf help errors` prints this table. */
export const KINDS = {
  refused: {
    exit: 1,
    http: 409,
    when: "behind the journal, conflict, reboot pending, an applied entry failed",
  },
  notFound: { exit: 2, http: 404, when: "a path, branch, host or blob that does not exist" },
  usage: { exit: 22, http: 400, when: "no or unknown verb, wrong arguments" },
  denied: { exit: 77, http: 403, when: "policy or role refuses" },
  gone: { exit: 104, http: 502, when: "the agent went away before the answer" },
  notRunning: { exit: 111, http: 503, when: "no agent on this host" },
  locked: { exit: 220, http: 423, when: "the branch is locked by someone else" },
  notLocked: { exit: 221, http: 428, when: "a lock is needed first" },
  needMessage: { exit: 222, http: 422, when: "lock without a message" },
  noQuorum: { exit: 223, http: 504, when: "keepers not reachable" },
  diverged: { exit: 224, http: 410, when: "this host ran work that can no longer be checked in" },
  forked: { exit: 225, http: 508, when: "a fork proof exists for this branch" },
  unconfirmed: {
    exit: 228,
    http: 401,
    when: "the policy asks for a password, or for the word of another person",
  },
  corrupt: { exit: 226, http: 500, when: "bytes that do not match their hash or signature" },
  uncertain: { exit: 227, http: 412, when: "an entry was started and its end is not known" },
  cannotExecute: { exit: 126, http: 422, when: "exec: the command is not executable; it was not started" },
  noCommand: { exit: 127, http: 404, when: "exec: the command does not exist; it was not started" },
  environment: {
    exit: 125,
    http: 507,
    when: "this machine failed us: disk full, input/output error, no permission",
  },
} as const satisfies Record<string, KindRow>;

/** The name of a kind of fault, a key of {@link KINDS}. */
export type Kind = keyof typeof KINDS;

/** The JSON form of a fault: the body of an error answer and of a `fault` line in a stream. */
export interface FaultJson {
  op: string;
  kind: Kind;
  message: string;
  hint: string;
  exit: number;
}

/**
 * An expected failure. `op` is what was being done ("lock", "journal.append"), `message` says what went wrong in
 * words for a person, `hint` is required and starts with the next command to type.
 */
export class Fault extends Error {
  override readonly name = "Fault";
  readonly op: string;
  readonly kind: Kind;
  readonly hint: string;

  constructor(op: string, kind: Kind, message: string, more: { hint: string; cause?: unknown }) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.op = op;
    this.kind = kind;
    this.hint = more.hint;
  }

  /** The exit code a process ends with when this fault ends it. */
  get exit(): number {
    return KINDS[this.kind].exit;
  }

  /** The HTTP status this fault is answered with. */
  get http(): number {
    return KINDS[this.kind].http;
  }

  toJSON(): FaultJson {
    return { op: this.op, kind: this.kind, message: this.message, hint: this.hint, exit: this.exit };
  }

  /** Rebuilds a fault from its JSON form; anything that is not one becomes a `gone` fault. */
  static fromJSON(value: unknown): Fault {
    const v = value as Partial<FaultJson> | null;
    if (
      v === null || typeof v !== "object" || typeof v.op !== "string" || typeof v.message !== "string" ||
      typeof v.hint !== "string" || typeof v.kind !== "string" || !Object.hasOwn(KINDS, v.kind)
    ) {
      return new Fault("fault", "gone", "the answer was not understood", { hint: "isconf doctor" });
    }
    return new Fault(v.op, v.kind, v.message, { hint: v.hint });
  }

  /**
   * The fault a person is shown for any thrown value. Errors of the system (ENOSPC, EIO, EACCES …) become
   * `environment` faults that name the path, also one that Node has no name for, as EDQUOT; everything else is a bug and
   * keeps its message, never its stack.
   */
  static from(op: string, thrown: unknown): Fault {
    if (thrown instanceof Fault) return thrown;
    if (isOfAnotherBundle(thrown)) return Fault.fromJSON((thrown as Fault).toJSON());
    const e = thrown as { code?: unknown; path?: unknown; message?: unknown } | null;
    if (
      e !== null && typeof e === "object" && typeof e.code === "string" &&
      /^(E[A-Z]|SQLITE|Unknown system error)/.test(e.code)
    ) {
      const said = String(e.message).replace(/^Unknown system error -122: .* -122/, "EDQUOT: quota exceeded");
      const where = typeof e.path === "string" && !said.includes(e.path) ? ` (${e.path})` : "";
      return new Fault(
        op,
        "environment",
        `${/^E[A-Z]+:/.test(said) || said.startsWith(e.code) ? "" : `${e.code}: `}${said}${where}`,
        {
          hint: "isconf doctor",
          cause: thrown,
        },
      );
    }
    const said = e !== null && typeof e === "object" ? e.message : thrown;
    const message = typeof said === "string" ? said : "something that is no error was thrown";
    return new Fault(op, "environment", `unexpected: ${message}`, { hint: "isconf doctor", cause: thrown });
  }
}

/** Each bundle of the executable has a class Fault of its own. */
function isOfAnotherBundle(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === "Fault" && "toJSON" in thrown;
}
