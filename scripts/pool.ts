// pool: runs test files, a few at a time in a process of their own, several processes at once; what a process says is shown when it has ended.
// Not the runners themselves (deno_tests.ts, node_tests.ts).
import { root } from "./unit_files.ts";

/** Which files, with which command, and how many of what. */
export interface Pool {
  files: string[];
  command: string;
  args: string[];
  filesPerProcess: number;
  atOnce: number;
  env?: Record<string, string>;
}

/** Runs all of it; the first exit code that was not 0, and 1 where there is nothing to run. */
export async function runPool(
  { files, command, args, filesPerProcess, atOnce, env = {} }: Pool,
): Promise<number> {
  const waiting = [...files];
  let code = waiting.length === 0 ? 1 : 0;
  const take = () => waiting.splice(0, filesPerProcess);
  const work = async () => {
    for (let next = take(); next.length > 0; next = take()) {
      const sinceMs = performance.now();
      const options = { args: [...args, ...next], cwd: root, stdin: "null" as const, env };
      const said = await new Deno.Command(command, options).output();
      await show(said.stdout, Deno.stdout);
      await show(said.stderr, Deno.stderr);
      if (filesPerProcess === 1) {
        console.log(`${next[0]} took ${Math.round((performance.now() - sinceMs) / 1000)} s\n`);
      }
      code ||= said.code;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return code;
}

const show = (said: Uint8Array<ArrayBuffer>, to: { writable: WritableStream<Uint8Array> }) =>
  new Blob([said]).stream().pipeTo(to.writable, { preventClose: true });
