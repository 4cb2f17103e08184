// main: the thin start of the executable. It answers what is cheap and loads the rest only when it is needed.
// Not the CLI (cli.ts) and not the agent. Nothing here may touch process.stdout (it costs 5 ms and makes 0 to 2
// non-blocking).
import { writeSync } from "node:fs";
import { type Halves, loadHalf } from "./sea.ts";

declare const __VERSION__: string;
declare const __BUILD__: string;

async function main(words: string[]): Promise<void> {
  const version = `${__VERSION__} (${__BUILD__})`;
  if (words.length === 1 && (words[0] === "version" || words[0] === "--version")) {
    writeSync(1, `isconf ${version}\n`);
    return;
  }
  const { runCli } = await import("./cli.ts");
  // All output is written by now; a connection that is still open must not keep us.
  process.exit(await runCli(words, version, (name) => loadHalf(name) as Halves[typeof name]));
}

void main(process.argv.slice(2));
