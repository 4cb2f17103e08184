// Demo stage: the two hosts of the tour, whole machines where we are root and else two homes in a directory, and how
// what is typed there is shown. Not what is typed (demo_tour.ts).
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { styleText } from "node:util";
import { EXECUTABLE, type Host, lacksHosts, makeHost } from "../tests/hosts.ts";

/** One host as the tour sees it. */
export interface Actor {
  name: string;
  /** Where a path of this host is seen from here. */
  seen(file: string): string;
  /** Runs a line of shell there; returns its exit status and what it wrote to standard output. */
  run(line: string, told: (bytes: Uint8Array) => void): Promise<{ status: number | string; stdout: string }>;
  /** How a person enters it. */
  enter: string;
}

/** Both hosts. */
export interface Stage {
  hosta: Actor;
  hostb: Actor;
  /** Whether these are whole machines: then packages and users can be tried too. */
  whole: boolean;
  /** What paths begin with as they are typed: nothing where they are relative to where one is. */
  top: "/" | "";
  close(): Promise<void>;
}

/** Makes two hosts with their own root file systems, or two homes where there is no root; says which in a line. */
export async function openStage(): Promise<Stage> {
  const why = process.env.ISCONF_DEMO_HOMES === "1" ? "not wanted" : lacksHosts("dpkg-deb", "useradd");
  if (why === false) return await wholeMachines();
  title(`two homes on this machine (hosts of their own: ${why}); packages and users are left out`);
  return twoHomes();
}

async function wholeMachines(): Promise<Stage> {
  const ends: (() => Promise<void>)[] = [];
  const close = async () => {
    await Promise.all(ends.splice(0).map((end) => end()));
  };
  const owner = { after: (end: () => Promise<void>) => void ends.push(end) };
  try {
    const [a, b] = await Promise.all([makeHost(owner, "hosta"), makeHost(owner, "hostb")]);
    title("two hosts on this machine, each with its own root, processes, name and network");
    return { hosta: wholeActor(a), hostb: wholeActor(b), whole: true, top: "/", close };
  } catch (e) {
    await close();
    throw e;
  }
}

function wholeActor(host: Host): Actor {
  return {
    name: host.name,
    seen: (file) => host.path(path.resolve("/root", file)),
    run: (line, told) => host.run(["sh", "-c", line], { told: (_fd, bytes) => told(bytes), cwd: "/root" }),
    enter: [...host.enter(), "bash", "-l"].join(" "),
  };
}

/** Two homes in one new directory, in which both are; their agents run as whoever we are. */
export function twoHomes(): Stage {
  const top = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "isconf-demo-")));
  const bin = path.join(top, "bin");
  fs.mkdirSync(bin);
  fs.symlinkSync(EXECUTABLE, path.join(bin, "isconf"));
  const actor = (name: string): Actor => ({
    name,
    seen: (file) => path.resolve(top, file),
    run: (line, told) => runHere(line, path.join(top, name), bin, told),
    enter: `cd ${top}; export ISCONF_HOME=${path.join(top, name)} PATH=${bin}:$PATH`,
  });
  const [hosta, hostb] = [actor("hosta"), actor("hostb")];
  return {
    hosta,
    hostb,
    whole: false,
    top: "",
    async close() {
      for (const host of [hosta, hostb]) await host.run("isconf stop", () => {});
      fs.rmSync(top, { recursive: true, force: true });
    },
  };
}

function runHere(line: string, home: string, bin: string, told: (bytes: Uint8Array) => void) {
  const env = { ...process.env, ISCONF_HOME: home, PATH: `${bin}:${process.env.PATH}` };
  const child = spawn("sh", ["-c", line], { cwd: path.dirname(bin), env, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  child.stdout.on("data", (bytes) => {
    stdout += bytes;
    told(bytes);
  });
  child.stderr.on("data", told);
  return new Promise<{ status: number | string; stdout: string }>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => resolve({ status: status ?? signal ?? "?", stdout }));
  });
}

/** A promise that is kept when somebody wants this program to end. */
export function interruption(): Promise<"interrupted"> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => resolve("interrupted"));
    }
  });
}

/** Waits for that promise, which alone keeps no program awake. */
export async function awaken(until: Promise<unknown>): Promise<void> {
  const awake = setInterval(() => {}, 60_000);
  await until;
  clearInterval(awake);
}

/** A line that says what comes next. */
export function title(text: string): void {
  process.stdout.write(`\n${styleText(["bold", "cyan"], `── ${text}`)}\n`);
}

/** Types a line on a host: shows it with its prompt, then its output as it comes. Throws unless it ends 0. */
export async function type(stage: Stage, host: Actor, line: string): Promise<string> {
  const prompt = styleText("green", `${host.name}${stage.whole ? "#" : "$"}`);
  process.stdout.write(`${prompt} ${styleText("bold", line.replaceAll("\n", "\n> "))}\n`);
  let last = 10;
  const { status, stdout } = await host.run(line, (bytes) => {
    last = bytes.at(-1) ?? last;
    process.stdout.write(bytes);
  });
  if (last !== 10) process.stdout.write("\n");
  if (status !== 0) throw new Error(`${host.name}: ${line} ended with ${status}`);
  return stdout;
}
