// Demo stage: the hosts of the tour, whole machines on a network of their own where we are root and else homes in a
// directory that talk over loopback, and how what is typed there is shown. Not what is typed (demo_tour.ts).
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { styleText } from "node:util";
import { type Fleet, lacksFleet, makeFleet } from "../tests/fleet/fleet.ts";
import { EXECUTABLE } from "../tests/hosts.ts";

/** One host as the tour sees it. */
export interface Actor {
  name: string;
  /** Where a path of this host is seen from here. */
  seen(file: string): string;
  /** Runs a line of shell there; returns its exit status and what it wrote to standard output. */
  run(line: string, told: (bytes: Uint8Array) => void): Promise<{ status: number | string; stdout: string }>;
  /** Takes its power away, or, where it is only a home, stops its agent; and the other way. */
  off(): Promise<void>;
  on(): Promise<void>;
  /** How a person enters it. */
  enter(): string;
}

/** The hosts, by their names. */
export interface Stage {
  hosts: Record<string, Actor>;
  /** Whether these are whole machines: then packages and users can be tried too. */
  whole: boolean;
  /** What paths begin with as they are typed: nothing where they are relative to where one is. */
  top: "/" | "";
  close(): Promise<void>;
}

/** Makes hosts with their own root file systems, or homes where there is no root; says which in a line. */
export async function openStage(names: string[]): Promise<Stage> {
  const why = process.env.ISCONF_DEMO_HOMES === "1" ? "not wanted" : lacksFleet("dpkg-deb", "useradd");
  if (why === false) return await wholeMachines(names);
  title(`homes on this machine (hosts of their own: ${why}); packages and users are left out`);
  return homes(names);
}

async function wholeMachines(names: string[]): Promise<Stage> {
  const ends: (() => Promise<void>)[] = [];
  const close = async () => {
    await Promise.all(ends.splice(0).map((end) => end()));
  };
  const owner = { after: (end: () => Promise<void>) => void ends.push(end) };
  try {
    const fleet = await makeFleet(owner, names);
    title("hosts on this machine, each with its own root, processes and name, and a network between them");
    const hosts = Object.fromEntries(names.map((name) => [name, wholeActor(fleet, name)]));
    return { hosts, whole: true, top: "/", close };
  } catch (e) {
    await close();
    throw e;
  }
}

function wholeActor(fleet: Fleet, name: string): Actor {
  const host = fleet.host(name);
  return {
    name,
    seen: (file) => host.path(path.resolve("/root", file)),
    run: (line, told) => host.run(["sh", "-c", line], { told: (_fd, bytes) => told(bytes), cwd: "/root" }),
    off: () => fleet.off(name),
    on: () => fleet.on(name),
    enter: () => [...host.enter(), "bash", "-l"].join(" "),
  };
}

/** Homes in one new directory, in which all of them are; their agents run as whoever we are. */
export function homes(names: string[]): Stage {
  const top = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "isconf-demo-")));
  const bin = path.join(top, "bin");
  fs.mkdirSync(bin);
  fs.symlinkSync(EXECUTABLE, path.join(bin, "isconf"));
  const actor = (name: string): Actor => {
    const run: Actor["run"] = (line, told) => runHere(line, path.join(top, name), bin, told);
    return {
      name,
      seen: (file) => path.resolve(top, file),
      run,
      off: async () => void await run("isconf stop", () => {}),
      on: async () => void await run("isconf start", () => {}),
      enter: () => `cd ${top}; export ISCONF_HOME=${path.join(top, name)} PATH=${bin}:$PATH`,
    };
  };
  const hosts = Object.fromEntries(names.map((name) => [name, actor(name)]));
  return {
    hosts,
    whole: false,
    top: "",
    async close() {
      await Promise.all(Object.values(hosts).map((host) => host.off()));
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

/** What isconf says of itself on a host, without showing that it was asked. */
export async function asked<T>(host: Actor, verb: string): Promise<T> {
  return JSON.parse((await host.run(`isconf --json ${verb}`, () => {})).stdout);
}
