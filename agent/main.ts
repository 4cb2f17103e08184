// main: the thin start of the executable. It answers what is cheap and loads the rest only when it is needed.
// Not the CLI and not the agent. Nothing here may touch process.stdout (it costs 5 ms and makes 0 to 2 non-blocking).
import { writeSync } from "node:fs";
import { loadAgent } from "./sea.ts";

declare const __VERSION__: string;
declare const __BUILD__: string;

const EXIT_USAGE = 22;

function main(argv: string[]): void {
  switch (argv[0]) {
    case "version":
    case "--version":
      writeSync(1, `isconf ${__VERSION__} (${__BUILD__})\n`);
      return;
    case "agent":
      (loadAgent() as { main(argv: string[]): void }).main(argv.slice(1));
      return;
    default:
      // The CLI comes here.
      writeSync(2, `isconf: unknown verb ${JSON.stringify(argv[0] ?? "")}. Try: isconf version\n`);
      process.exitCode = EXIT_USAGE;
  }
}

main(process.argv.slice(2));
