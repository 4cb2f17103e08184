// node_tests: runs the unit tests under the Node that the executable is made of. Not the runner of black-box tests.
// Further arguments go to Node (for example --test-name-pattern).
import { root, unitTests } from "./unit_files.ts";

const node = `${root}node_modules/node-linux-${Deno.build.arch === "aarch64" ? "arm64" : "x64"}/bin/node`;
const { code } = await new Deno.Command(node, {
  args: [
    "--test",
    "--test-concurrency=2",
    "--disable-warning=ExperimentalWarning",
    ...Deno.args,
    ...unitTests(),
  ],
  cwd: root,
  stdin: "null",
}).spawn().status;
Deno.exit(code);
