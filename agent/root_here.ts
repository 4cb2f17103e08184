// Root here: root keys in the hands of people, on the command line: made, and signed with. No agent is asked and no secret leaves
// this process, so that it works on a machine that is never connected. Not what signatures are worth (roots.ts).
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import * as tty from "node:tty";
import { Fault, fromHex, generateKeyPair, keyPairFromSecret, systemClock, toHex } from "../mq/mod.ts";
import type { Cli } from "./cli.ts";
import { writeDurably } from "./keys.ts";
import { proposalCharsMax } from "./limits.ts";
import { inert } from "./names.ts";
import { opText } from "./optext.ts";
import { ask } from "./prompt.ts";
import { readProposal, sealRoot, writeProposal } from "./roots.ts";
import { readAll } from "./stdio.ts";
import { inertJson } from "./term.ts";

/** Makes a root key; its public half is for `isconf root add`, its secret for whoever is to keep it. */
export function makeKey({ term, globals }: Cli): number {
  const { publicKey, secretKey } = generateKeyPair(systemClock);
  const pair = { key: toHex(publicKey), secret: toHex(secretKey) };
  if (globals.json) term.line(inertJson(pair));
  else {
    term.say("a root key, shown once, kept nowhere; keep its secret off the hosts:");
    term.table([["key", pair.key], ["secret", pair.secret]]);
  }
  return 0;
}

/** Adds the signature of a root key, read from `keyFile` or standard input, to the proposal in a file. */
export async function signFile(cli: Cli, file: string, keyFile: string | undefined): Promise<number> {
  const proposal = readProposal(readText(file));
  cli.term.say(`domain ${toHex(proposal.domain)}`);
  for (const op of proposal.ops) cli.term.say(`  ${opText(op)}`);
  const secret = keyFile === undefined ? await typed() : readText(keyFile).trim();
  if (!/^[0-9a-f]{64}$/.test(secret)) {
    throw new Fault("root", "usage", "that is no root key: 64 characters 0-9 and a-f, as they were printed", {
      hint: `isconf root sign ${inert(file)}`,
    });
  }
  const pair = keyPairFromSecret(fromHex(secret));
  const signature = sealRoot(proposal, pair);
  const others = proposal.signatures.filter((one) => toHex(one) !== toHex(signature));
  const word = writeProposal({ ...proposal, signatures: [...others, signature] });
  writeDurably(file, Buffer.from(`${word}\n`), fs.statSync(file).mode & 0o777);
  if (cli.globals.json) {
    cli.term.line(inertJson({ key: toHex(pair.publicKey), signatures: others.length + 1 }));
  } else cli.term.say(`signed by ${toHex(pair.publicKey)}; it has ${others.length + 1} signatures`);
  return 0;
}

/** The text of a small file. Throws a usage fault when it is none. */
export function readText(file: string): string {
  try {
    const bytes = file === "-" ? fs.readFileSync(0) : fs.readFileSync(file);
    if (bytes.length <= proposalCharsMax) return bytes.toString("latin1");
  } catch (e) {
    throw Fault.from("root", e);
  }
  throw new Fault("root", "usage", `${inert(file)} is no proposal: it is too long`, {
    hint: "isconf help root",
  });
}

/** One line from standard input; on a terminal it is asked for and not shown. */
async function typed(): Promise<string> {
  if (!tty.isatty(0)) {
    const parts: Uint8Array[] = [];
    for await (const part of readAll(0)) {
      parts.push(part.slice());
      if (parts.reduce((n, { length }) => n + length, 0) > proposalCharsMax) break;
    }
    return Buffer.concat(parts).toString("latin1").split("\n")[0]!.trim();
  }
  const line = await ask("root key, or recovery key (it is not shown): ", true);
  if (line === undefined) {
    throw new Fault("root", "usage", "nothing was signed", { hint: "isconf help root" });
  }
  return line.trim();
}
