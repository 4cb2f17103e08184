// transcripts: types what the text files in transcripts/ say and compares what is answered, word for word.
// Not a test of one verb in depth. `ISCONF_TRANSCRIPTS=write` writes the files anew; then read the difference.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { lacks } from "../programs.ts";
import { Box, ISCONF, run, skipIf } from "./tools.ts";

const folder = fileURLToPath(new URL("transcripts/", import.meta.url));
const rewrite = process.env.ISCONF_TRANSCRIPTS === "write";
const NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups";

interface Step {
  line: number;
  prompt: string;
  command: string;
  expected: string[];
}

/** Runs every command of a transcript in order, in homes of its own. */
async function play(file: string): Promise<void> {
  const lines = fs.readFileSync(file, "utf8").replace(/\n$/, "").split("\n");
  const top = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "isconf-cli-")));
  fs.chmodSync(top, 0o711);
  const boxes = new Map<string, Box>();
  const boxOf = (name: string) => {
    if (!boxes.has(name)) boxes.set(name, new Box(top, name));
    return boxes.get(name) as Box;
  };
  try {
    fs.symlinkSync(ISCONF, path.join(top, "isconf"));
    const out: string[] = [];
    let at = 0;
    for (; at < lines.length && !isCommand(lines[at] as string); at++) {
      const conf = /^@ conf (.*)$/.exec(lines[at] as string);
      if (conf !== null) { for (const name of ["a", "b"]) boxOf(name).conf(`${conf[1]}\n`); }
      const policy = /^@ policy (.*)$/.exec(lines[at] as string);
      if (policy !== null) { for (const name of ["a", "b"]) boxOf(name).policy(`${policy[1]}\n`); }
      out.push(lines[at] as string);
    }
    for (const step of stepsOf(lines, at)) {
      const got = await answer(top, boxOf, step);
      if (!rewrite) {
        const where = `${path.basename(file)}:${step.line}: ${step.command}`;
        assert.deepEqual(got, step.expected.filter((l) => !isRemark(l)), where);
      }
      out.push(`${step.prompt}$ ${step.command}`, ...got, ...step.expected.filter(isRemark));
    }
    if (rewrite) fs.writeFileSync(file, `${out.join("\n")}\n`);
  } finally {
    for (const box of boxes.values()) await box.end();
    fs.rmSync(top, { recursive: true, force: true, maxRetries: 3 });
  }
}

const isCommand = (line: string) => /^[a-z]*\$ /.test(line);
const isRemark = (line: string) => line === "" || line.startsWith("# ");

function* stepsOf(lines: string[], from: number): IterableIterator<Step> {
  let step: Step | undefined;
  for (let at = from; at < lines.length; at++) {
    const line = lines[at] as string;
    const m = /^([a-z]*)\$ (.*)$/.exec(line);
    if (m === null) step?.expected.push(line);
    else {
      if (step !== undefined) yield step;
      step = { line: at + 1, prompt: m[1] as string, command: m[2] as string, expected: [] };
    }
  }
  if (step !== undefined) yield step;
}

/** What a command answers, in the form of the transcript. */
async function answer(top: string, boxOf: (name: string) => Box, step: Step): Promise<string[]> {
  const nobody = step.prompt === "nobody";
  const box = boxOf(step.prompt === "" || nobody ? "a" : step.prompt);
  let { command } = step;
  if (command.includes("{domain}")) {
    const { domain } = JSON.parse(await boxOf("a").ok(["--json", "status"])) as { domain: string };
    command = command.replaceAll("{domain}", domain);
  }
  command = command.replaceAll("{user}", os.userInfo().username);
  const shell = `umask 022; ${nobody ? command.replaceAll("isconf ", `${NOBODY} isconf `) : command}`;
  const got = await run("/bin/bash", ["-c", shell], {
    cwd: top,
    env: { ISCONF_HOME: box.home, PATH: `${top}:/usr/sbin:/usr/bin:/sbin:/bin`, SECRET: "s", HOME: top },
  });
  const text = got.out + got.err;
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/, "control characters");
  if (/^isconf --json [^|]*$/.test(step.command)) {
    for (const line of got.out.trimEnd().split("\n")) JSON.parse(line);
  }
  return [
    ...masked(top, got.out).map((l) => `> ${l}`.trimEnd()),
    ...masked(top, got.err).map((l) => `! ${l}`.trimEnd()),
    ...(got.status === 0 ? [] : [`? ${got.status}`]),
  ];
}

/** The lines with everything that differs from run to run replaced by its name. */
function masked(top: string, text: string): string[] {
  if (text === "") return [];
  const user = os.userInfo().username;
  return text.replace(/\n$/, "")
    .replaceAll(top, "{dir}")
    .replace(new RegExp(`\\b${user}@(?=host[a-z]\\b)`, "g"), "{user}@")
    .replace(/\bisconf1\.[-_A-Za-z0-9]{100,}/g, "{token}")
    .replace(/\b[0-9a-f]{4}(-[0-9a-f]{4}){3}\b/g, "{fingerprint}")
    .replace(/\b[0-9a-f]{64}\b/g, "{id}")
    .replace(/\b[0-9a-f]{16}(?= )|\b[0-9a-f]{12}\b/g, "{short}")
    .replace(/\b[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:.]{8,12}Z?/g, "{time}")
    .replace(/\b1[0-9]{12}\b/g, "{ms}")
    .replace(/\b127\.0\.0\.1:[0-9]{4,5}\b/g, "127.0.0.1:{port}")
    .replace(/\(process [0-9]+\)/g, "(process {pid})")
    .replace(/isconf [0-9]+\.[0-9]+\.[0-9]+ \(.*\)$/gm, "isconf {version}")
    .replace(/(?<=\S) {2,}/g, "  ")
    .split("\n");
}

for (const name of fs.readdirSync(folder).filter((n) => n.endsWith(".txt")).sort()) {
  const text = fs.readFileSync(path.join(folder, name), "utf8");
  const needs = [...text.matchAll(/^@ needs (.*)$/gm)].map((m) => m[1] as string);
  const reason = lacks({
    root: needs.includes("root"),
    programs: needs.filter((n) => n !== "root"),
    files: [ISCONF],
  });
  test(`transcript ${name}`, skipIf(name, reason), async () => await play(path.join(folder, name)));
}
