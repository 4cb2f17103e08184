// Mutants: protocol bugs put in on purpose, which the simulator and the judge must notice. Each is a change of the source text,
// made while esbuild bundles: the product has no switch for it. Not what notices them (tests/sim/, tests/judge/).
import type { Plugin } from "esbuild";
import * as fs from "node:fs";
import * as path from "node:path";

/** One place of the source, named from the root of the checkout. `find` stands there exactly once. */
export interface Edit {
  file: string;
  find: string;
  replace: string;
}

export interface Mutant {
  name: string;
  /** What is not true any more where it is built in. */
  breaks: string;
  edits: readonly Edit[];
}

const root = new URL("../", import.meta.url).pathname;

export const MUTANTS: readonly Mutant[] = [
  {
    name: "small-quorum",
    breaks: "two quorums of keepers have a keeper in common",
    edits: [
      {
        file: "agent/trust.ts",
        find: "export const majorityOf = (n: number): number => Math.floor(n / 2) + 1;",
        replace:
          "export const majorityOf = (n: number): number => Math.max(Math.min(n, 2), Math.floor(n / 2));",
      },
      { file: "agent/trust.ts", find: "quorum * 2 <= hosts.length || ", replace: "" },
      { file: "agent/keeper_change.ts", find: "2 * needed <= hosts.length || ", replace: "" },
    ],
  },
  {
    name: "forget-accepted",
    breaks: "who takes the lock proposes again what may be certified already",
    edits: [{
      file: "agent/promises.ts",
      find: "if (last.size <= 1) return [...last.values()][0]?.voted;",
      replace: "if (last.size <= 1) return undefined;",
    }],
  },
  {
    name: "same-term",
    breaks: "every promise to somebody else is of a higher term",
    edits: [
      {
        file: "agent/keeper.ts",
        find: "Math.max(before?.term ?? 0, after ?? 0) + 1,",
        replace: "Math.max(before?.term ?? 0, after ?? 0, 1),",
      },
      { file: "agent/keepers.ts", find: "(isSole || reply.lock.term === words.after + 1)", replace: "true" },
    ],
  },
  {
    name: "unsynced",
    breaks:
      "what a keeper has said is on the disk: a power cut takes the last writes back (a killed process does not)",
    edits: [{ file: "agent/schema.ts", find: 'synchronous: "FULL"', replace: 'synchronous: "NORMAL"' }],
  },
  {
    name: "unchecked-lock",
    breaks: "only who holds the newest term checks in",
    edits: [
      {
        file: "agent/keeper_turns.ts",
        find: "if (!own || now.term !== entry.term) throw lockGone(entry.term, now);",
        replace: "void own;",
      },
      {
        file: "agent/keeper_turns.ts",
        find: "now !== undefined && (now.term > term || (isNow && (!now.held || now.change)))",
        replace: "false",
      },
    ],
  },
  {
    name: "kept-partial-lock",
    breaks: "who gets the promises of too few keepers gives them back",
    edits: [{
      file: "agent/locks.ts",
      find: "if (!isOwn && policy.keepers.quorum > 1) await takeBack(",
      replace: "if (steal && !steal) await takeBack(",
    }],
  },
  {
    name: "no-certificate",
    breaks: "what is kept and applied was certified by a quorum of keepers",
    edits: [{
      file: "agent/certificate.ts",
      find: "const sets = keepersFor(policy, entry, id);",
      replace:
        "const sets = [{ hosts: [] as string[], quorum: 0 }];\n  if (sets.length > 0) return entry.term;",
    }],
  },
  {
    name: "skip-failed",
    breaks: "nothing is applied after an entry that failed",
    edits: [
      {
        file: "agent/apply.ts",
        find: 'throw failed(last.seq, last.reason ?? "", last.status ?? 1);',
        replace: "return void failed;",
      },
      {
        file: "agent/history.ts",
        find: 'return last.state === "done" ? last.seq : last.seq - 1;',
        replace: 'return last.state === "done" || last.state === "failed" ? last.seq : last.seq - 1;',
      },
    ],
  },
  {
    name: "early-done",
    breaks: "an entry is recorded as done after its command has ended",
    edits: [{
      file: "agent/apply.ts",
      find: "startedMs });\n    return host.executions.begin(tx, asked, step);",
      replace:
        "startedMs });\n    host.history.ended(tx, seq, { status: 0, endedMs: startedMs });\n    return host.executions.begin(tx, asked, step);",
    }],
  },
  {
    name: "ignored-revocation",
    breaks: "a revoked key writes nothing any more",
    edits: [
      {
        file: "agent/keeper_service.ts",
        find: "const isRevoked = isCut(policy, author, branch, next);",
        replace: "const isRevoked = isCut(policy, author, branch, 0);",
      },
      {
        file: "agent/journal.ts",
        find: "if (!isCut(now, key, entry.branch, entry.seq)) continue;",
        replace: "if (key.length > 0) continue;",
      },
      {
        file: "agent/locks.ts",
        find: "const isRevoked = isCut(policy, author, branch, call.host.journal.head(branch).seq + 1);",
        replace: "const isRevoked = isCut(policy, author, branch, 0);",
      },
    ],
  },
  {
    name: "old-policy",
    breaks: "keepers certify nothing that was made under an older policy than theirs",
    edits: [{
      file: "agent/keeper_vote.ts",
      find: "!turn.isAgain && !bytesEqual(entry.policy, policy.head)",
      replace: "!turn.isAgain && entry.policy.length === 0",
    }],
  },
  {
    name: "new-quorum-only",
    breaks: "a change of the keepers has the votes of those before it, too",
    edits: [{
      file: "agent/certificate.ts",
      find: "return isChange ? [policy.keepers, follow(policy, entry, id).keepers] : [policy.keepers];",
      replace: "return isChange ? [follow(policy, entry, id).keepers] : [policy.keepers];",
    }],
  },
  {
    name: "untold-forks",
    breaks: "what one host knows of two signatures for one place all come to know",
    edits: [
      {
        file: "agent/fork_spread.ts",
        find: 'journal.forks.onKept(({ id }) => mesh.publish("proof", id));',
        replace: "",
      },
      {
        file: "agent/fork_spread.ts",
        find: "if (this.#stopped || !isId(digest) || bytesEqual(digest, this.digest())) return;",
        replace: "if (isId(digest) || digest !== undefined) return;",
      },
    ],
  },
  {
    name: "not-suspended",
    breaks: "nothing new is certified of an author who was proven to have signed two entries for one place",
    edits: [{
      file: "agent/journal.ts",
      find: "needNotSuspended(op: string, author: string): void {",
      replace: "needNotSuspended(op: string, author: string): void {\n    if (op.length > 0) return;",
    }],
  },
  {
    name: "restored-signs",
    breaks:
      "a host that was put back from a backup, and knows it, signs nothing until it has learnt the rest",
    edits: [{
      file: "agent/own.ts",
      find: "if (why === undefined) return;",
      replace: "if (why === undefined || why.length > 0) return;",
    }],
  },
];

/** What the simulator has no part in: garbage collection does not wait for who is putting something. */
export const GC_MUTANT: Mutant = {
  name: "gc-in-flight",
  breaks: "what somebody holds stays until they have ended",
  edits: [{
    file: "fs/gc.ts",
    find: "const waitingFor = holds.heldBefore(turn);",
    replace: "const waitingFor = 0 * holds.heldBefore(turn);",
  }],
};

/** The mutant of that name. Throws with all their names when there is none. */
export function mutantNamed(name: string): Mutant {
  const found = MUTANTS.find((mutant) => mutant.name === name);
  if (found !== undefined) return found;
  throw new Error(
    `There is no mutant ${name}; there are ${MUTANTS.map((mutant) => mutant.name).join(", ")}.`,
  );
}

/** A source with the changes that a mutant makes in it. Throws when one of the places is not there exactly once. */
export function mutated(mutant: Mutant, file: string, source: string): string {
  return mutant.edits.filter((edit) => edit.file === file).reduce((text, { find, replace }) => {
    const [before, after, ...more] = text.split(find);
    if (after !== undefined && more.length === 0) return before + replace + after;
    const times = after === undefined ? "not" : `${more.length + 1} times`;
    throw new Error(
      `The mutant ${mutant.name} does not fit ${file} any more: this stands there ${times}: ${find}`,
    );
  }, source);
}

/**
 * Builds a mutant in while esbuild bundles. One plugin may serve several bundles; when all are made, `missed` names the files
 * that were in none of them.
 */
export function mutate(mutant: Mutant): { plugin: Plugin; missed(): string[] } {
  const missed = new Set(mutant.edits.map(({ file }) => file));
  const plugin: Plugin = {
    name: `mutant ${mutant.name}`,
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, (args) => {
        const file = path.relative(root, args.path);
        if (!mutant.edits.some((edit) => edit.file === file)) return undefined;
        missed.delete(file);
        return { contents: mutated(mutant, file, fs.readFileSync(args.path, "utf8")), loader: "ts" };
      });
    },
  };
  return { plugin, missed: () => [...missed] };
}
