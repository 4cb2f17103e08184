// deno_tests: runs tests under Deno, a few files at a time in a process of their own, as many processes as there are
// processors: the unit tests, or those below the folders named by --in=FOLDER. Not `deno test --parallel`: its threads share one
// umask, working directory and user. --at-once=N: so many processes, for tests that mostly wait. Further arguments go to `deno test`
// (for example --filter).
import { runPool } from "./pool.ts";
import { testsIn, unitTests } from "./unit_files.ts";

const folders = Deno.args.flatMap((arg) => arg.startsWith("--in=") ? [arg.slice("--in=".length)] : []);
const atOnce = Deno.args.find((arg) => arg.startsWith("--at-once="))?.slice("--at-once=".length);

Deno.exit(
  await runPool({
    files: folders.length === 0 ? unitTests() : folders.flatMap(testsIn).sort(),
    command: Deno.execPath(),
    // Types are checked once, by `deno check`.
    args: ["test", "-A", "--no-check", ...Deno.args.filter((arg) => !/^--(in|at-once)=/.test(arg))],
    // Enough that the start of a process is little, and few enough that the last ones end at about the same time.
    filesPerProcess: folders.length === 0 ? 8 : 1,
    // Some wait for minutes, so that unit tests have one process more than there are processors.
    atOnce: Number(atOnce ?? navigator.hardwareConcurrency + (folders.length === 0 ? 1 : 0)),
  }),
);
