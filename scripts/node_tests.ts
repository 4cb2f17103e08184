// node_tests: runs the unit tests under the Node that the executable is made of. Not the runner of black-box tests.
// Further arguments go to Node (for example --test-name-pattern).
const root = new URL("../", import.meta.url).pathname;
const node = `${root}node_modules/node-linux-${Deno.build.arch === "aarch64" ? "arm64" : "x64"}/bin/node`;

const files: string[] = [];
for (const folder of ["mq", "fs", "agent", "tests/unit", "tests/sim"]) collect(folder);
const { code } = await new Deno.Command(node, {
  args: [
    "--test",
    "--test-concurrency=2",
    "--disable-warning=ExperimentalWarning",
    ...Deno.args,
    ...files.sort(),
  ],
  cwd: root,
  stdin: "null",
}).spawn().status;
Deno.exit(code);

/** Adds every test below `folder`, a path from the root; a folder that does not exist yet has none. */
function collect(folder: string): void {
  try {
    for (const entry of Deno.readDirSync(root + folder)) {
      if (entry.isDirectory) collect(`${folder}/${entry.name}`);
      else if (entry.name.endsWith("_test.ts")) files.push(`${folder}/${entry.name}`);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
