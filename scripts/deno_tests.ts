// deno_tests: runs tests under Deno, a few files at a time in a process of their own, as many processes as there are
// processors: the unit tests, or those below the folders named by --in=FOLDER. Not `deno test --parallel`: its threads share one
// umask, working directory and user. --at-once=N: so many processes, for tests that mostly wait. Further arguments go to `deno test`
// (for example --filter).
import { root, testsIn, unitTests } from "./unit_files.ts";

const folders = Deno.args.flatMap((arg) => arg.startsWith("--in=") ? [arg.slice("--in=".length)] : []);
const further = Deno.args.filter((arg) => !/^--(in|at-once)=/.test(arg));
const atOnce = Number(
  Deno.args.find((arg) => arg.startsWith("--at-once="))?.slice("--at-once=".length) ??
    navigator.hardwareConcurrency,
);

const waiting = folders.length === 0 ? unitTests() : folders.flatMap(testsIn).sort();
/** Files a process: enough that its start is little, and few enough that the last ones end at about the same time. */
const filesPerProcess = folders.length === 0 ? 8 : 1;
let code = waiting.length === 0 ? 1 : 0;

/** Runs what is waiting; what a process says is shown when it has ended. */
async function work(): Promise<void> {
  for (let files = take(); files.length > 0; files = take()) {
    const said = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-check", ...further, ...files], // types are checked once, by `deno check`
      cwd: root,
      stdin: "null",
    }).output();
    await show(said.stdout, Deno.stdout);
    await show(said.stderr, Deno.stderr);
    code ||= said.code;
  }
}

const show = (said: Uint8Array<ArrayBuffer>, to: { writable: WritableStream<Uint8Array> }) =>
  new Blob([said]).stream().pipeTo(to.writable, { preventClose: true });

const take = (): string[] => waiting.splice(0, filesPerProcess);

await Promise.all(Array.from({ length: atOnce }, work));
Deno.exit(code);
