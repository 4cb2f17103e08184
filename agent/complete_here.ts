// Complete here: a shell's question answered: the words go to complete.ts, what only the agent knows is asked for on the way. Whatever
// goes wrong, nothing is said: it would stand in the middle of what somebody types.
import * as fs from "node:fs";
import * as os from "node:os";
import { systemClock } from "../mq/mod.ts";
import { needOk, request, textOf } from "./client.ts";
import { type AskAgent, complete } from "./complete.ts";
import { answerText } from "./completion.ts";
import { completeMs } from "./limits.ts";
import { type Globals, parseGlobals } from "./parse.ts";
import { homeOf, machinesDir, socketOf } from "./paths.ts";
import type { Term } from "./term.ts";
import { VERBS } from "./verbs/mod.ts";

/** Prints what the last word could be. */
export async function completeFor(term: Term, own: Globals, rest: string[]): Promise<number> {
  const words = rest[0] === "--" ? rest.slice(1) : rest;
  const ask: AskAgent = async (verb, args) => {
    const { home = own.home } = parseGlobals(words.slice(0, -1)).globals; // also of what is typed just now
    if (verb === "vm") return { machines: machines(home ?? process.env.ISCONF_HOME) };
    const where = { socket: socketOf(homeOf(home ?? process.env.ISCONF_HOME), process.getuid?.() ?? 0) };
    const isReading = VERBS.find(({ name }) => name === verb)?.kind === "reads";
    const answer = isReading
      ? await request(where, "GET", `/v1/${verb}?${new URLSearchParams(args)}`)
      : await request(where, "POST", `/v1/${verb}`, { json: args });
    await needOk(answer);
    return JSON.parse(await textOf(answer));
  };
  let cancel = () => {};
  const late = new Promise<undefined>((resolve) =>
    cancel = systemClock.after(completeMs, () => resolve(undefined))
  );
  const completion = await Promise.race([complete(words, VERBS, ask), late]).catch(() => undefined);
  cancel();
  if (completion !== undefined) term.raw(answerText(completion));
  return 0;
}

/** No agent knows of them: they are the caller's. */
function machines(home: string | undefined): { name: string }[] {
  const dir = machinesDir(home, process.geteuid?.() ?? 0, process.env, os.homedir());
  return fs.readdirSync(dir).map((name) => ({ name }));
}
