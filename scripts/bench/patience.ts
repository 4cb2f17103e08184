// Patience: with ^C, what is mounted and what runs is put away before this process ends. It stops no command itself.

const signals = ["SIGINT", "SIGTERM"] as const;

let isInterrupted = false;

/**
 * As long as there is one, this process does not end by a signal. The command that runs just then has had ^C too, and
 * that it ends so is a failure like any other; where none runs, or it ends well, `checkInterrupt` fails.
 */
export class Patience implements Disposable {
  constructor() {
    for (const signal of signals) Deno.addSignalListener(signal, interrupted);
  }

  [Symbol.dispose](): void {
    for (const signal of signals) Deno.removeSignalListener(signal, interrupted);
  }
}

/** Throws when somebody wants an end. */
export function checkInterrupt(): void {
  if (isInterrupted) throw new Error("interrupted");
}

function interrupted(): void {
  isInterrupted = true;
}
