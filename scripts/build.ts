// build: makes dist/isconf, the one executable, out of Node and our bundles. Not a packager and not a release.
// Usage: deno task build [--arch x64|arm64] [--main FILE] [--agent FILE] [--net FILE|none] [--out FILE] [--mutant NAME]. The same tree gives the same bytes.
import * as esbuild from "esbuild";
import { parseArgs } from "node:util";
import config from "../deno.json" with { type: "json" };
import { type Arch, ATOMIC_CODE, ATOMIC_LIBRARY, ATOMIC_SYMBOL } from "./atomic.ts";
import { mutantNamed, mutate } from "../tests/mutants.ts";
import { absorb, MACHINE, neededLibraries } from "./elf.ts";
import { bundlePage } from "./page.ts";
import { strip } from "./strip.ts";

/** Flags that the executable always runs with, whatever the environment says. */
const EXEC_ARGV = [
  "--disable-sigusr1",
  "--disable-warning=ExperimentalWarning",
  "--openssl-config=/dev/null",
  // Else V8 marks its whole heap for every 64 MiB of buffers that come and go, however small the heap is.
  "--external-memory-accounted-in-global-limit",
  // Else what is young takes up to three times as much in each process, and in each thread: objects here live short or long.
  "--max-semi-space-size=4",
];

const root = new URL("../", import.meta.url).pathname;
const hostArch: Arch = Deno.build.arch === "aarch64" ? "arm64" : "x64";
const nodeOf = (arch: Arch) => `${root}node_modules/node-linux-${arch}/bin/node`;

/** Our modules do nothing when they are imported (DESIGN: no import side effects), so unused ones may be left out. */
const onlyWhatIsUsed: esbuild.Plugin = {
  name: "only what is used",
  setup(build) {
    build.onResolve({ filter: /^(\.|cbor-x)/ }, async ({ path, importer, kind, resolveDir, pluginData }) => {
      if (pluginData === "resolved" || importer.includes("/node_modules/")) return undefined;
      const found = await build.resolve(path, { importer, kind, resolveDir, pluginData: "resolved" });
      return { ...found, sideEffects: false };
    });
  },
};

/** A protocol bug that is built in on purpose, for the tests of what must notice it. */
let mutation: ReturnType<typeof mutate> | undefined;

/** Bundles one entry into the CommonJS script `outfile`, and returns the files that went in. Warnings are errors. */
async function bundle(
  entry: string,
  outfile: string,
  arch: Arch,
  wrap = { banner: "", footer: "" },
): Promise<string[]> {
  const node = config.imports[`node-linux-${arch}`].split("@").at(-1);
  const result = await esbuild.build({
    entryPoints: [entry],
    absWorkingDir: root,
    bundle: true,
    outfile,
    platform: "node",
    target: "node26",
    format: "cjs",
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 120, // Node prints the line of an uncaught error
    keepNames: true,
    legalComments: "none", // the licences go into a file beside the executable
    metafile: true,
    external: ["cbor-extract"], // an optional addon of cbor-x; it does without
    supported: { "dynamic-import": false }, // the scripts have no module loader
    plugins: [onlyWhatIsUsed, ...(mutation === undefined ? [] : [mutation.plugin])],
    define: {
      __VERSION__: JSON.stringify(config.version),
      __BUILD__: `"node ${node}, linux-${arch}"`,
      "import.meta.url": '""', // where a source file lies, which matters outside of the executable only
    },
    banner: { js: wrap.banner },
    footer: { js: wrap.footer },
    logLevel: "silent",
  });
  for (const warning of result.warnings) {
    throw new Error(`esbuild warns: ${warning.text} (${warning.location?.file}:${warning.location?.line})`);
  }
  return Object.keys(result.metafile.inputs);
}

/** What a package without a licence file says of itself: some of libp2p's leave theirs in the repository. */
async function saidLicence(folder: string): Promise<string> {
  const { license, homepage } = JSON.parse(await Deno.readTextFile(`${folder}package.json`));
  if (!/^(Apache-2\.0 OR MIT|MIT|Apache-2\.0)$/.test(license)) {
    throw new Error(`${folder} has no licence file: look what it may be used for.`);
  }
  return `${license}, by its package.json; its text is at ${homepage}`;
}

/** The licences of Node and of every npm package among `inputs`. */
async function licences(inputs: string[], arch: Arch): Promise<string> {
  const packages = inputs.flatMap((file) => file.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+\//)?.[0] ?? []);
  const texts: string[] = [];
  for (const folder of [...new Set(packages)].sort().concat(`node_modules/node-linux-${arch}/`)) {
    const file = [...Deno.readDirSync(root + folder)].find((f) => /^licen[cs]e/i.test(f.name));
    const text = file ? await Deno.readTextFile(root + folder + file.name) : await saidLicence(root + folder);
    texts.push(`${folder.split("node_modules/").at(-1)}\n\n${text}`);
  }
  return texts.join("\n" + "=".repeat(80) + "\n\n");
}

/** Runs `command` in `cwd` and throws what it printed when it fails. */
async function run(cwd: string, command: string, ...args: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(command, { cwd, args }).output();
  const text = new TextDecoder();
  if (!success) {
    throw new Error(`${command} ${args.join(" ")} failed:\n${text.decode(stdout)}${text.decode(stderr)}`);
  }
}

/** Node without symbols and without the need for libatomic, which a minimal Debian lacks. */
async function runtime(arch: Arch): Promise<Uint8Array> {
  const image = strip(await Deno.readFile(nodeOf(arch)));
  absorb(image, {
    machine: MACHINE[arch],
    library: ATOMIC_LIBRARY,
    symbol: ATOMIC_SYMBOL,
    code: ATOMIC_CODE[arch],
  });
  return image;
}

/** The bundles beside the thin main, by name: each is an asset, with its code cache. */
type Entries = {
  main: string;
  agent: string;
  net?: string;
  preview?: string;
  content?: string;
  content_thread?: string;
  vm?: string;
};

async function build(arch: Arch, { main, ...halves }: Entries, output: string): Promise<void> {
  const temp = await Deno.makeTempDir({ dir: `${root}dist`, prefix: ".build-" });
  try {
    const wrap = { banner: "(function(exports,require,module,__filename,__dirname){", footer: "})" };
    await bundle(main, `${temp}/main.js`, arch);
    const inputs: string[] = [];
    for (const [name, entry] of Object.entries(halves)) {
      inputs.push(...await bundle(entry, `${temp}/${name}.js`, arch, wrap));
    }
    await Deno.writeFile(`${temp}/node`, await runtime(arch), { mode: 0o755 });

    const assets: Record<string, string> = {
      "better_sqlite3.node": `${root}node_modules/better-sqlite3/prebuilds/linux-${arch}.node`,
    };
    for (const name of Object.keys(halves)) {
      assets[`${name}.js`] = `${name}.js`;
      if (name === "content_thread") continue; // the text of a thread's program takes no cache
      if (arch !== hostArch) continue; // V8 refuses another processor's cache
      assets[`${name}.cache`] = `${name}.cache`;
      // Threads and chance would make another cache each time. V8 accepts it without this flag.
      const flags = [...EXEC_ARGV, "--predictable"];
      await run(temp, "./node", ...flags, `${root}scripts/code_cache.ts`, `${name}.js`, `${name}.cache`);
    }
    if (halves.net !== undefined) {
      const page = await bundlePage();
      inputs.push(...page.inputs);
      for (const name of page.files) assets[`page/${name}`] = `${root}dist/page/${name}`;
    }
    // Names relative to the working directory: the name of the main script ends up in the executable.
    const sea = {
      main: "main.js",
      executable: "node",
      output: "isconf",
      disableExperimentalSEAWarning: true,
      useCodeCache: false, // it gains nothing for the thin main and differs from build to build
      execArgv: EXEC_ARGV,
      execArgvExtension: "none",
      assets,
    };
    await Deno.writeTextFile(`${temp}/sea.json`, JSON.stringify(sea));
    await run(temp, nodeOf(hostArch), "--build-sea=sea.json");
    const built = `${temp}/isconf`;
    if (neededLibraries(await Deno.readFile(built)).includes(ATOMIC_LIBRARY)) {
      throw new Error(`${ATOMIC_LIBRARY} is needed again after --build-sea: look at scripts/elf.ts.`);
    }
    await Deno.chmod(built, 0o755);
    await Deno.writeTextFile(`${output}.LICENCES.txt`, await licences(inputs, arch));
    await Deno.rename(built, output);
  } finally {
    await Deno.remove(temp, { recursive: true });
  }
}

if (import.meta.main) {
  const start = performance.now();
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      arch: { type: "string", default: hostArch },
      main: { type: "string", default: "agent/main.ts" },
      agent: { type: "string", default: "agent/agent_main.ts" },
      net: { type: "string", default: "agent/net_main.ts" },
      out: { type: "string" },
      mutant: { type: "string" },
    },
  });
  const arch = values.arch as Arch;
  if (!(arch in MACHINE)) throw new Error(`There is no build for ${arch}: use --arch x64 or --arch arm64.`);
  if (values.mutant !== undefined) mutation = mutate(mutantNamed(values.mutant));
  const suffix = `${values.mutant === undefined ? "" : `-${values.mutant}`}${
    arch === hostArch ? "" : `-${arch}`
  }`;
  const output = values.out ?? `${root}dist/isconf${suffix}`;
  await Deno.mkdir(`${root}dist`, { recursive: true });
  const { main, agent, net } = values;
  const rest = {
    net,
    preview: "agent/preview_main.ts",
    content: "agent/content_main.ts",
    content_thread: "agent/content_thread.ts",
    vm: "agent/vm/mod.ts",
  };
  await build(arch, net === "none" ? { main, agent } : { main, agent, ...rest }, output);
  const missed = mutation?.missed() ?? [];
  if (missed.length > 0) throw new Error(`The mutant changes ${missed}, which is not built in.`);
  const megabytes = ((await Deno.stat(output)).size / 1e6).toFixed(1);
  console.log(`${output}: ${megabytes} MB, ${((performance.now() - start) / 1000).toFixed(1)} s`);
  await esbuild.stop();
}
