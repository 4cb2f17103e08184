// The verbs that the command line does itself: the agent's life. Those that move contents, and those of virtual machines,
// are in scripts of their own (content_main.ts, vm/mod.ts), loaded here. Loaded by the thin main; asks the agent over the same API as everybody.
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault, sleep, systemClock } from "../mq/mod.ts";
import { ask, type Cli, fail } from "./cli.ts";
import { completionScript } from "./completion.ts";
import { connect, needOk, request, textOf } from "./client.ts";
import { confirm } from "./confirm_here.ts";
import type { BundleArgs } from "./content_bundle.ts";
import type { CatArgs, GetArgs, PutArgs } from "./content_main.ts";
import type { OciArgs } from "./content_oci.ts";
import { bareEnv } from "./environment.ts";
import { startMs } from "./limits.ts";
import type { ImageArgs } from "./image_make.ts";
import type { InstallArgs } from "./install.ts";
import { inert } from "./names.ts";
import { showManual } from "./pager.ts";
import { showOpenapi } from "./openapi_here.ts";
import { currentDirectory } from "./paths.ts";
import { manualPage } from "./man.ts";
import { makeKey, readText, signFile } from "./root_here.ts";
import type { CheckArgs } from "./rebuild_check.ts";
import { readRules } from "./rules_files.ts";
import { followBoot, page, watch, type WatchArgs } from "./watch_here.ts";
import { sysusersFile, tmpfilesFile, unitFile } from "./unit.ts";
import type { Verb } from "./verb.ts";
import type { VmArgs } from "./vm/mod.ts";
import { VERBS } from "./verbs/mod.ts";

type Args = Record<string, unknown>;

const HERE: Record<string, (cli: Cli, args: Args) => Promise<number>> = {
  start: (cli) => start(cli, true),
  stop: async (cli) => {
    await stopAndWait(cli);
    cli.term.say("the agent has stopped");
    return 0;
  },
  restart: async (cli) => {
    if (await isRunning(cli)) await stopAndWait(cli);
    return await start(cli, true);
  },
  init: async (cli, args) => {
    await start(cli, false);
    return await ask(cli, verbNamed("init"), args);
  },
  join: async (cli, args) => {
    await start(cli, false);
    process.once("SIGINT", () => {
      cli.term.say("isconf join: interrupted; it goes on with the same token");
      process.exit(130);
    });
    return await ask(cli, verbNamed("join"), args);
  },
  policy: async (cli, args) => {
    if (args.action !== "check") {
      return await ask(cli, verbNamed("policy"), { ...args, cwd: currentDirectory("policy") });
    }
    return checkPolicy(cli, args.words as string[]);
  },
  confirm: async (cli, args) => {
    if (args.id === undefined) return await ask(cli, verbNamed("confirm"), args);
    await confirm(cli, args as { id: string; yes: boolean });
    return 0;
  },
  boot: (cli, { follow, ...args }) =>
    follow === true ? followBoot(cli, args) : ask(cli, verbNamed("boot"), args),
  rebuild: async (cli, { check, image, against, except, memory, ...args }) => {
    if (check !== true) return await ask(cli, verbNamed("rebuild"), args);
    return await cli.loadHalf("content").rebuildCheck(cli, { image, against, except, memory } as CheckArgs);
  },
  watch: (cli, args) => watch(cli, args as WatchArgs),
  page: (cli, args) => page(cli, args.role as string[]),
  openapi: (cli, args) => showOpenapi(cli, args.verb as string | undefined),
  agent: runAgent,
  man: (cli, args) => {
    showManual(cli.globals, manualPage(args.page as string | undefined, VERBS, cli.version));
    return Promise.resolve(0);
  },
  completion: (cli, args) => {
    cli.term.raw(completionScript(args.shell as string));
    return Promise.resolve(0);
  },
  root,
  put: (cli, args) => cli.loadHalf("content").put(cli, args as unknown as PutArgs),
  get: (cli, args) => cli.loadHalf("content").get(cli, args as unknown as GetArgs),
  cat: (cli, args) => cli.loadHalf("content").cat(cli, args as unknown as CatArgs),
  oci: (cli, args) => cli.loadHalf("content").oci(cli, args as unknown as OciArgs),
  image: (cli, args) => cli.loadHalf("content").image(cli, args as unknown as ImageArgs),
  install: (cli, args) => cli.loadHalf("content").install(cli, args as unknown as InstallArgs),
  bundle: (cli, args) =>
    cli.loadHalf("content").bundle(cli, args as unknown as BundleArgs, () => start(cli, false)),
  vm: (cli, args) => cli.loadHalf("vm").vm(cli, args as unknown as VmArgs),
};

/** Does one of the verbs that are done here, and returns the exit code. */
export async function doHere(cli: Cli, name: string, args: Args): Promise<number> {
  const verb = HERE[name];
  if (verb === undefined) {
    throw new Fault(name, "usage", `${inert(name)} cannot be done here`, { hint: "isconf help" });
  }
  return await verb(cli, args);
}

/** What needs a root key's secret is done in this process; the rest is the agent's, which is given what stands in files. */
async function root(cli: Cli, args: Args): Promise<number> {
  const { action, words, key, ...rest } = args as { action?: string; words: string[]; key?: string };
  if (action === "key") return makeKey(cli);
  if (action === "sign" && words.length === 1) return await signFile(cli, words[0] as string, key);
  const given = action === "submit" ? words.map((file) => readText(file).trim()) : words;
  return await ask(cli, verbNamed("root"), { ...rest, action, words: given });
}

/** Reads policy files as the agent would, without one. */
function checkPolicy(cli: Cli, files: string[]): number {
  if (files.length === 0) {
    throw new Fault("policy", "usage", "policy check needs a file", { hint: "isconf help policy" });
  }
  for (const file of files) {
    const rules = readRules(file, VERBS.map(({ name }) => name));
    cli.term.say(`${inert(file)}: ${rules.length} rules`);
  }
  return 0;
}

/** What a service manager is told, by the flag that prints it. */
const FILES: [flag: string, text: () => string][] = [
  ["unit", () => unitFile(process.execPath)],
  ["sysusers", sysusersFile],
  ["tmpfiles", tmpfilesFile],
];

/** Becomes the agent, or its net half, or the process of a preview, or prints files with which systemd does so at every start of the machine. */
async function runAgent(cli: Cli, args: Args): Promise<number> {
  const told = FILES.filter(([flag]) => args[flag] === true);
  if (told.length > 0) {
    for (const [, text] of told) cli.term.raw(text());
    return 0;
  }
  const role = (args.role as string | undefined) ?? "root";
  if (role !== "root" && role !== "net" && role !== "preview") {
    throw new Fault("agent", "usage", `there is no role ${inert(role)}`, { hint: "isconf help agent" });
  }
  const { homeOption, globals } = cli;
  const env = bareEnv(process.env);
  // The same process, from its beginning: what was loaded, or would be written at the end, is not there any more.
  if (env !== undefined && args.ready !== true) {
    process.execve!("/proc/self/exe", ["isconf", ...process.argv.slice(2)], env);
  }
  process.removeAllListeners("uncaughtException"); // an agent's bug ends it loudly, with the stack in its log
  try {
    const home = homeOption === undefined ? {} : { home: homeOption };
    if (role === "preview") process.exit(await cli.loadHalf("preview").main());
    if (role === "net") process.exit(await cli.loadHalf("net").main(home));
    const config = globals.config === undefined ? {} : { config: globals.config };
    process.exit(await cli.loadHalf("agent").main({ ...home, ...config, ready: args.ready === true }));
  } catch (e) {
    process.exit(fail(cli.term, false, e)); // an agent that cannot go on must not linger because of an open pipe
  }
}

function verbNamed(name: string): Verb {
  return VERBS.find((v) => v.name === name) as Verb;
}

async function isRunning(cli: Cli): Promise<boolean> {
  try {
    (await connect(cli.where)).destroy();
    return true;
  } catch (e) {
    if (e instanceof Fault && e.kind === "notRunning") return false;
    throw e;
  }
}

/** Starts the agent as a process of its own and returns when it answers. */
async function start(cli: Cli, told: boolean): Promise<number> {
  if (await isRunning(cli)) {
    if (told) cli.term.say("the agent is running already");
    return 0;
  }
  if (cli.home.system && process.getuid?.() !== 0) {
    throw new Fault("start", "denied", "only root can start the agent of this host", {
      hint: "sudo isconf start, or, for a try-out, ISCONF_HOME=~/isconf isconf start",
    });
  }
  process.umask(0o022); // whatever the caller has
  fs.mkdirSync(cli.home.state, { recursive: true, mode: 0o711 });
  const logFile = path.join(cli.home.state, "agent.log");
  const log = fs.openSync(logFile, "a", 0o600);
  const words = ["agent", "--ready"];
  if (cli.homeOption !== undefined) words.unshift("--home", cli.homeOption);
  if (cli.globals.config !== undefined) words.unshift("--config", path.resolve(cli.globals.config));
  const { spawn } = process.getBuiltinModule("node:child_process"); // loaded by this verb only
  const child = spawn("/proc/self/exe", words, {
    cwd: "/",
    env: {},
    detached: true,
    stdio: ["ignore", log, log, "pipe"],
  });
  const said = await saidBy(child.stdio[3] as NodeJS.ReadableStream);
  if (said !== "ready") {
    child.kill("SIGKILL");
    if (said.startsWith("{")) {
      const fault = Fault.fromJSON(JSON.parse(said));
      if (fault.kind !== "refused" || !await isRunning(cli)) throw fault;
      if (told) cli.term.say("the agent is running already"); // somebody else started it at the same moment
      return 0;
    }
    throw new Fault("start", "notRunning", "the agent ended before it answered", { hint: `tail ${logFile}` });
  }
  child.unref();
  if (told) cli.term.say(`the agent answers (process ${child.pid})`);
  return 0;
}

/** What the new agent writes on the descriptor it was given, or nothing when it ended or took too long. */
async function saidBy(pipe: NodeJS.ReadableStream): Promise<string> {
  let cancel = () => {};
  const late = new Promise<string>((resolve) => cancel = systemClock.after(startMs, () => resolve("")));
  const read = async () => {
    let text = "";
    for await (const chunk of pipe) text += chunk.toString();
    return text;
  };
  try {
    return await Promise.race([read(), late]);
  } finally {
    cancel();
    (pipe as NodeJS.ReadableStream & { destroy(): void }).destroy();
  }
}

/** Orders the stop and returns when the agent's process has ended. */
async function stopAndWait(cli: Cli): Promise<void> {
  const answer = await request(cli.where, "POST", "/v1/stop", { json: {} });
  await needOk(answer);
  const { pid } = JSON.parse(await textOf(answer)) as { pid: number };
  while (isAlive(pid)) await sleep(systemClock, 20);
}

/** Whether a process exists and is more than an entry that nobody has collected yet. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(fs.readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch (e) {
    if (["ENOENT", "ESRCH"].includes(String((e as { code?: string }).code))) return false;
    throw e;
  }
}
