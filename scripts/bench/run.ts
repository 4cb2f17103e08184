// Run: one command to its end, with wall time and output; whatever does not end 0 is an error. Not CPU time (meter.ts).

export interface Ran {
  stdout: string;
  stderr: string;
  wallS: number;
}

/** Runs a command with just this environment (and a PATH). Throws with what it printed when it does not end 0. */
export async function run(argv: string[], env: Record<string, string> = {}): Promise<Ran> {
  const [file, ...args] = argv as [string, ...string[]];
  const command = new Deno.Command(file, {
    args,
    clearEnv: true,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...env },
    stdin: "null",
  });
  const start = performance.now();
  const { code, stdout, stderr } = await command.output();
  const wallS = (performance.now() - start) / 1000;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const ran = { stdout: text(stdout), stderr: text(stderr), wallS };
  if (code !== 0) {
    throw new Error(`${argv.join(" ").slice(0, 300)} ended ${code}: ${ran.stderr}${ran.stdout}`);
  }
  return ran;
}

/** Whether a file is there. */
export function isThere(file: string): boolean {
  try {
    Deno.statSync(file);
    return true;
  } catch (e) {
    if (e instanceof Deno.errors.NotFound) return false;
    throw e;
  }
}
