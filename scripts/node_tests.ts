// node_tests: runs the unit tests of mq, fs and agent under the Node that the executable is made of, a few files in a process. Not those of the
// source itself (tests/unit), which no runtime changes, nor those of the simulator (tests/sim), which compares its runs with those in a
// Node by itself; and not the runner of black-box tests. Further arguments go to Node (for example --test-name-pattern).
import { runPool } from "./pool.ts";
import { root, unitTests } from "./unit_files.ts";

/** Where Node keeps what it has compiled: hundreds of processes of this run begin with the same modules. */
const cache = Deno.makeTempDirSync({ prefix: "isconf-node-cache-" });

try {
  Deno.exitCode = await runPool({
    files: unitTests().filter((file) => !file.startsWith("tests/")),
    command: `${root}node_modules/node-linux-${Deno.build.arch === "aarch64" ? "arm64" : "x64"}/bin/node`,
    args: ["--test", "--test-isolation=none", "--disable-warning=ExperimentalWarning", ...Deno.args],
    filesPerProcess: 4,
    atOnce: navigator.hardwareConcurrency + 1, // some wait for minutes
    env: { NODE_COMPILE_CACHE: cache },
  });
} finally {
  Deno.removeSync(cache, { recursive: true });
}
