// Confirm here: confirmations at a person's terminal: the password that is asked for, the wait for another person, and what that
// one is shown. Not who has to confirm what (confirmations.ts).
import { Fault, sleep, systemClock } from "../mq/mod.ts";
import type { Cli } from "./cli.ts";
import { callVerb, type Where } from "./client.ts";
import { type Waiting, WRONG_PASSWORD } from "./confirmations.ts";
import { confirmIdCharsMin, confirmLookMs, confirmTriesMax } from "./limits.ts";
import { inert } from "./names.ts";
import { ask, hasTerminal } from "./prompt.ts";

const stateOf = (where: Where, args: Record<string, unknown> = {}) =>
  callVerb(where, "confirm", args, () => {}) as Promise<Waiting[]>;

/** Does something, and once more when it has been confirmed. Without a terminal nobody can be asked: the fault says how. */
export async function confirmed<T>(cli: Cli, act: (where: Where) => Promise<T>): Promise<T> {
  try {
    return await act(cli.where);
  } catch (e) {
    const id = e instanceof Fault && e.kind === "unconfirmed"
      ? /^isconf confirm ([0-9a-f]+)$/.exec(e.hint)?.[1]
      : undefined;
    if (id === undefined || !hasTerminal()) throw e;
    const [waiting] = (await stateOf(cli.where)).filter((one) => one.id === id);
    if (waiting?.yours) await password(cli, id);
    else await another(cli, id, (e as Fault).message);
    return await act({ ...cli.where, confirmed: id });
  }
}

async function password(cli: Cli, id: string): Promise<void> {
  for (let tries = 1;; tries++) {
    const typed = await ask("[isconf] your password: ", true);
    if (typed === undefined) throw nothingDone();
    try {
      return void await stateOf(cli.where, { id, password: typed });
    } catch (e) {
      if (tries === confirmTriesMax || Fault.from("confirm", e).message !== WRONG_PASSWORD) {
        throw e;
      }
      cli.term.say(WRONG_PASSWORD);
    }
  }
}

/** Waits for another person, who may be on any terminal of this host. */
async function another(cli: Cli, id: string, why: string): Promise<void> {
  cli.term.say(`${inert(why)}: isconf confirm ${id}, typed there; ^C gives up`);
  for (;;) {
    const one = (await stateOf(cli.where)).find((one) => one.id === id);
    if (one === undefined) {
      throw new Fault("confirm", "gone", "nobody has confirmed it in time", {
        hint: "isconf, the same again",
      });
    }
    if (one.given) return;
    await sleep(systemClock, confirmLookMs);
  }
}

/** The verb confirm with an id: shows exactly what is to be done, and asks. */
export async function confirm(cli: Cli, { id, yes }: { id: string; yes: boolean }): Promise<void> {
  const [one, ...others] = (await stateOf(cli.where)).filter((one) => one.yours && isMeant(one.id, id));
  if (one === undefined || others.length > 0) {
    throw new Fault("confirm", "notFound", `nothing called ${inert(id)} waits for you`, {
      hint: "isconf confirm",
    });
  }
  if (one.by === "your password") return await password(cli, one.id);
  cli.term.say(`${inert(one.who)} wants: ${inert(one.act)}`);
  if (!yes) {
    if (!hasTerminal()) throw nothingDone();
    if (!/^y(es)?$/i.test((await ask("[isconf] confirm it? [y/N] ", false) ?? "").trim())) {
      throw nothingDone();
    }
  }
  await stateOf(cli.where, { id: one.id });
  cli.term.say("confirmed");
}

/** Its first characters are enough: what they mean is shown before it is confirmed. */
const isMeant = (id: string, typed: string): boolean =>
  id === typed || (typed.length >= confirmIdCharsMin && id.startsWith(typed));

const nothingDone = () => new Fault("confirm", "usage", "nothing was confirmed", { hint: "isconf confirm" });
