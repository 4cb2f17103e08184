// bundle: what the script of the root half is made of, as the build puts it together: the packages and Node's own modules that it may
// have, by name, and no others. What imports what in our own code is in tidy_test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** The npm packages and the modules of Node's that come with an entry. */
async function contents(entry: string): Promise<{ packages: string[]; builtins: string[]; own: string[] }> {
  const { metafile } = await esbuild.build({
    entryPoints: [entry],
    absWorkingDir: root,
    bundle: true,
    write: false,
    outfile: "out.js",
    platform: "node",
    format: "cjs",
    metafile: true,
    logLevel: "silent",
    external: ["cbor-extract"],
    supported: { "dynamic-import": false },
    define: { "import.meta.url": '""' },
  });
  const names = (all: Iterable<string>) => [...new Set(all)].sort();
  const packages = Object.keys(metafile.inputs).flatMap((file) =>
    /^.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []
  );
  const imports = Object.values(metafile.outputs).flatMap((output) =>
    output.imports.map(({ path }) => path.replace(/^node:/, ""))
  );
  const own = Object.keys(metafile.inputs).filter((file) => !file.includes("node_modules/"));
  return { packages: names(packages), builtins: names(imports), own };
}

/** What the root half has of others' code, and what for. It runs as root: one more is a decision, and a line in docs/dependencies.md. */
const PACKAGES: Record<string, string> = {
  "@hono/node-server": "the local API, on sockets of this host only",
  "@noble/ciphers": "of age-encryption",
  "@noble/curves": "of age-encryption, and keys of hosts for it",
  "@noble/ed25519": "signatures",
  "@noble/hashes": "of age-encryption",
  "@noble/post-quantum": "of age-encryption",
  "@scure/base": "of age-encryption",
  "age-encryption": "secrets",
  "better-sqlite3": "agent.db",
  "cbor-x": "messages and entries, after they were scanned",
  "hono": "the local API",
};

const BUILTINS: Record<string, string> = {
  "assert/strict": "faults of our own",
  "buffer": "bytes",
  "child_process": "the net half, previews, unix_chkpwd",
  "crypto": "hashes",
  "fs": "files",
  "http": "the local API, on sockets of this host only",
  "http2": "named by @hono/node-server to tell its requests apart; nothing is opened with it",
  "net": "sockets of this host",
  "os": "errors by name",
  "path": "paths",
  "stream": "pipes",
  "timers/promises": "the clock",
  "tty": "terminals of commands",
  "util": "text",
  "zlib": "contents",
};

test("the root half is made of these packages and modules, and of nothing that talks to other hosts", async () => {
  const rootHalf = await contents("agent/agent_main.ts");
  assert.deepEqual(rootHalf.packages, Object.keys(PACKAGES).sort());
  assert.deepEqual(rootHalf.builtins, Object.keys(BUILTINS).sort());
  const netHalf = await contents("agent/net_main.ts");
  assert.ok(netHalf.packages.includes("libp2p") && netHalf.builtins.includes("dgram"), "the look is blind");
  const acts = ["api.ts", "api_verbs.ts", "run.ts", "journal.ts", "history.ts", "roles.ts", "api_tokens.ts"];
  assert.deepEqual(
    netHalf.own.filter((file) =>
      acts.some((name) => file === `agent/${name}`) || file.startsWith("agent/verbs/")
    ),
    [],
    "the net half passes requests on, and can do nothing about them",
  );
  const thin = await contents("agent/main.ts");
  assert.ok(thin.own.includes("agent/verbs/vm.ts"), "the look is blind");
  assert.deepEqual(
    [...thin.own, ...rootHalf.own].filter((file) => file.startsWith("agent/vm/")),
    [],
    "machines are the affair of a script of their own",
  );
  await esbuild.stop();
});
