// Preview: a command that really runs as it would, in namespaces and a root of its own that are thrown away, and the list of what
// it would have changed. Not that root (preview_root.ts) and not what ends up in the list (preview_changes.ts).
import { Buffer } from "node:buffer";
import { Socket } from "node:net";
import { constants as files } from "node:fs";
import { constants } from "node:os";
import * as path from "node:path";
import {
  AT_FDCWD,
  type Cbor,
  type Clock,
  closeFd,
  type Exit,
  Fault,
  makeSocketPair,
  openAt,
} from "../mq/mod.ts";
import { askedBy } from "./asked.ts";
import { commandEnv, journaledEnv } from "./environment.ts";
import { type Call, hostEnv } from "./host.ts";
import { killGraceMs, previewEndMs, previewMs, previewsMax } from "./limits.ts";
import { inert } from "./names.ts";
import type { Home } from "./paths.ts";
import {
  type Absent,
  type Change,
  type PreviewQuestion,
  type PreviewRequest,
  runWords,
} from "./preview_words.ts";
import { ProcessRunner, type Sink } from "./run.ts";
import { type Answers, openSeam, type Seam } from "./seam.ts";
import { Child, type SpawnOptions, type Started } from "./spawn.ts";
import { userByName, userOfAgent } from "./users.ts";
import type { ExecArgs, Execution } from "./work.ts";

export interface PreviewResult {
  /** Version of this form. */
  v: 1;
  /** Of the command. */
  status: number;
  changes: Change[];
  absent: Absent[];
  /** Whether it had this host's network; else it had none. */
  network: boolean;
  /** Of what is pending on the branch: see rehearse.ts. */
  up?: Rehearsed;
}

/** What was replayed, from one entry to another of so many, and where that ended before the last. */
export interface Rehearsed {
  branch: string;
  from: number;
  to: number;
  of: number;
  failed: { seq: number; status: number; why: string } | null;
  /** The entry that restarts this host, which is as far as a preview comes. */
  restarts: number | null;
}

/** What a preview may have. */
export interface PreviewOptions {
  network: boolean;
  /** Whether contents are shown that not everybody may read. */
  all: boolean;
}

const noContents = () =>
  Promise.reject(
    new Fault("preview", "refused", "this preview needs no contents", { hint: "isconf doctor" }),
  );
const SETSID = "/usr/bin/setsid";

const NO_CONTENTS: Answers<PreviewQuestion> = { missing: noContents, get: noContents };

/** The previews of one agent. */
export class Previews {
  readonly #clock: Clock;
  readonly #home: Home;
  #open = 0;

  constructor(clock: Clock, home: Home) {
    this.#clock = clock;
    this.#home = home;
  }

  /** Begins one. Throws when there can be none; whoever begins it closes it. */
  begin(options: PreviewOptions, answers: Answers<PreviewQuestion> = NO_CONTENTS): Preview {
    if ((process.geteuid?.() ?? 0) !== 0) {
      throw new Fault("preview", "denied", "only an agent that runs as root can preview", {
        hint: "isconf start as root",
      });
    }
    if (this.#open >= previewsMax) {
      throw new Fault("preview", "refused", `${this.#open} previews are running already`, {
        hint: "isconf preview again, when one of them has ended",
      });
    }
    this.#open++;
    return new Preview(this.#clock, this.#home, options, answers, () => this.#open--);
  }
}

/** One root that is thrown away, and what happens in it. */
export class Preview {
  readonly #clock: Clock;
  readonly #home: Home;
  readonly #options: PreviewOptions;
  readonly #closed: () => void;
  #child: Child | undefined;
  #seam: Seam<PreviewRequest> | undefined;
  #pipe: Socket | undefined;
  #isRunning = false;
  #isListing = false;
  #killed: number | undefined;
  readonly #answers: Answers<PreviewQuestion>;
  /** What of this host is not there. */
  absent: Absent[] = [];
  /** What is different, once that is known. */
  readonly changes: Change[] = [];

  constructor(
    clock: Clock,
    home: Home,
    options: PreviewOptions,
    answers: Answers<PreviewQuestion>,
    closed: () => void,
  ) {
    this.#clock = clock;
    this.#home = home;
    this.#options = options;
    this.#answers = answers;
    this.#closed = closed;
  }

  /** Starts a program there, the only one. When its end is told, the list is there and nothing runs any more. */
  start(options: SpawnOptions): Started {
    const { stdin, stdout, stderr } = this.enter(options);
    const all = async () => {
      await this.open();
      const exit = await this.#run(options, null);
      await this.finish();
      return exit;
    };
    return new Inside(this, this.#settled(all()), { stdin, stdout, stderr });
  }

  /** Starts one of several, with the input that a file of isfs has; its output comes from what `enter` returned. */
  startNext(options: SpawnOptions, input: string | null): Started {
    return new Inside(this, this.#settled(this.#run(options, input)), {
      stdin: null,
      stdout: null,
      stderr: null,
    });
  }

  /** An end, also when we ended it ourselves. */
  async #settled(ended: Promise<Exit>): Promise<Exit> {
    try {
      return await ended;
    } catch (e) {
      this.#child?.signal("SIGKILL");
      this.changes.length = 0; // half of it would look like the whole
      if (this.#killed !== undefined) return { code: null, signal: this.#killed };
      throw e;
    }
  }

  /** Makes the root. */
  async open(): Promise<void> {
    const { state, run } = this.#home;
    const absent = await this.ask("open", [run, [state, run]]) as [string, string][];
    this.absent = absent.map(([path, why]) => ({ path, why }));
  }

  /** Ends whatever runs there, so that nothing changes any more, lists what is different, and throws all of it away. */
  async finish(): Promise<void> {
    this.#isListing = true;
    await this.ask("end", null);
    for (;;) {
      const page = await this.ask("changes", this.#options.all, previewMs);
      if (!(page instanceof Uint8Array) || page.length === 0) break;
      this.changes.push(...JSON.parse(Buffer.from(page).toString("utf8")));
    }
    await this.#leave();
  }

  /** Whether it was ended from outside: then there is no list. */
  get isKilled(): boolean {
    return this.#killed !== undefined;
  }

  /** Whether what is under way is the list, and no program any more. */
  get isListing(): boolean {
    return this.#isListing;
  }

  /** Ends everything, if it has not ended, and makes room for another. */
  async close(): Promise<void> {
    await this.#leave();
    this.#closed();
  }

  /** Resolves when no process of it is left, and with them nothing else. */
  async #leave(): Promise<void> {
    this.#pipe?.destroy();
    const cancel = this.#clock.after(previewEndMs, () => this.#child?.signal("SIGKILL"));
    await this.#child?.ended;
    cancel();
  }

  /** Starts the process that makes the root, with the descriptors that programs there are to have. */
  enter({ stdio, owner }: Pick<SpawnOptions, "stdio" | "owner">): Child {
    const [ours, theirs] = makeSocketPair();
    // The terminal is to control the session of what runs there, and not that of what makes the root.
    const terminal = "terminal" in stdio
      ? openAt(AT_FDCWD, stdio.terminal, files.O_RDWR | files.O_NOCTTY)
      : undefined;
    const role = [`/proc/${process.pid}/exe`, ...homeArgs(this.#home), "agent", "--role", "preview"];
    const own = ["--mount", "--pid", "--ipc", "--uts", ...(this.#options.network ? [] : ["--net"])];
    const unshare = [
      "/usr/bin/unshare",
      ...own,
      "--propagation=private",
      "--fork",
      "--kill-child",
      "--",
      ...role,
    ];
    try {
      this.#child = new Child(this.#clock, {
        file: "/usr/bin/setpriv",
        argv: ["setpriv", "--inh-caps=-all", "--ambient-caps=-all", "--pdeathsig=KILL", "--", ...unshare],
        env: {},
        cwd: "/",
        umask: 0o077,
        stdio: terminal === undefined ? stdio : { open: [terminal, terminal, terminal] },
        more: [theirs],
        ...(owner === undefined ? {} : { owner }),
      });
    } catch (e) {
      closeFd(ours);
      throw e;
    } finally {
      closeFd(theirs);
      if (terminal !== undefined) closeFd(terminal);
    }
    this.#pipe = new Socket({ fd: ours, readable: true, writable: true });
    this.#pipe.on("error", () => this.#pipe?.destroy()); // its end is what tells
    this.#seam = openSeam<PreviewQuestion, PreviewRequest>(
      this.#pipe,
      this.#clock,
      this.#answers,
      "the preview",
    );
    return this.#child;
  }

  async #run({ file, argv, env, cwd, umask, stdio }: SpawnOptions, input: string | null): Promise<Exit> {
    const vars = Object.entries(env).map(([k, v]) => `${k}=${v}`);
    // A terminal that is open becomes the controlling one only of a new session that asks for it itself.
    const words = "terminal" in stdio
      ? runWords([SETSID, ["setsid", "--ctty", "--", file, ...argv.slice(1)], vars, cwd, umask, false, input])
      : runWords([file, argv, vars, cwd, umask, true, input]);
    this.#isRunning = true;
    try {
      const [code, signal] = await this.ask("run", words, previewMs) as [number | null, number | null];
      return signal === null ? { code: code ?? 1, signal: null } : { code: null, signal };
    } finally {
      this.#isRunning = false;
    }
  }

  /**
   * A signal for what runs. Who hangs up waits for nothing any more, and a preview is for nobody else: what does not end then
   * is killed. Before and after it, signals that end a command end the preview.
   */
  signal(name: NodeJS.Signals): void {
    if (this.#isRunning) {
      this.ask("signal", name).catch(() => {}); // it has ended
      if (name === "SIGHUP") this.#clock.after(killGraceMs, () => this.#kill(name));
    } else if (["SIGHUP", "SIGINT", "SIGTERM", "SIGQUIT"].includes(name)) {
      this.#kill(name);
    }
  }

  #kill(name: NodeJS.Signals): void {
    this.#killed ??= constants.signals[name];
    this.#child?.signal("SIGKILL");
  }

  /** Asks the process there. */
  ask(request: PreviewRequest, value: Cbor, waitMs?: number): Promise<Cbor> {
    if (this.#seam === undefined) {
      throw new Fault("preview", "gone", "nothing runs", { hint: "isconf preview again" });
    }
    return this.#seam.ask(request, value, waitMs);
  }
}

/** A program in a preview, for who follows it. */
class Inside implements Started {
  readonly stdin: Socket | null;
  readonly stdout: Socket | null;
  readonly stderr: Socket | null;
  readonly ended: Promise<Exit>;
  readonly #preview: Preview;
  #isLate = false;

  constructor(preview: Preview, ended: Promise<Exit>, streams: Pick<Started, "stdin" | "stdout" | "stderr">) {
    this.#preview = preview;
    this.ended = ended;
    this.stdin = streams.stdin;
    this.stdout = streams.stdout;
    this.stderr = streams.stderr;
  }

  get isGroupKilledAtEnd(): boolean {
    return this.#isLate;
  }

  /** Said when its time is up; that of the list is not its own. */
  set isGroupKilledAtEnd(is: boolean) {
    this.#isLate = is && !this.#preview.isListing;
  }

  signal(name: NodeJS.Signals): void {
    this.#preview.signal(name);
  }

  kill(): void {
    this.signal("SIGKILL");
  }
}

function homeArgs(home: Home): string[] {
  return home.system ? [] : ["--home", path.dirname(home.state)];
}

/** Runs a command as `exec` would, where nothing of it lasts. It needs no lock and no turn; nothing is journaled. */
export function exec(
  call: Call,
  args: ExecArgs,
  options: PreviewOptions,
  sink?: Sink,
): Promise<Execution<PreviewResult>> {
  return new Promise((resolve) => resolve(begin(call, args, options, sink)));
}

async function begin(
  call: Call,
  args: ExecArgs,
  options: PreviewOptions,
  sink?: Sink,
): Promise<Execution<PreviewResult>> {
  const { host } = call;
  const user = args.as === "" ? userOfAgent() : userByName("preview", args.as);
  const env = commandEnv(user, host.config.path, hostEnv(host), journaledEnv(args.callerEnv, args.envNames));
  const preview = host.previews.begin(options);
  let execution: number | undefined;
  try {
    const runner = new ProcessRunner(host.clock, (o) => preview.start(o));
    const command = { ...args, user, env };
    const asked = askedBy(call, "preview", undefined, command, runner.find(command));
    const n = execution = host.db.write((tx) => host.executions.begin(tx, asked));
    const running = await runner.start(command, { sink, stdin: args.stdin, terminal: args.terminal });
    const result = async (): Promise<PreviewResult> => {
      try {
        const end = await running.ended;
        host.db.write((tx) => host.executions.ended(tx, n, { ...end, endedMs: host.clock.wall() }));
        const { status } = end;
        const { absent } = preview;
        return { v: 1, status, changes: preview.changes, absent, network: options.network };
      } catch (e) {
        const { kind, message, hint } = Fault.from("preview", e);
        if (host.executions.isRunning(n)) host.db.write((tx) => host.executions.neverStarted(tx, n, message));
        throw new Fault("preview", kind, inert(message), { hint });
      } finally {
        await preview.close();
      }
    };
    return {
      running,
      recorded: result(),
      feed: (bytes) => running.stdin.write(bytes),
      feedEnd: () => running.stdin.end(),
    };
  } catch (e) {
    await preview.close();
    const n = execution;
    if (n !== undefined) {
      host.db.write((tx) => host.executions.neverStarted(tx, n, Fault.from("preview", e).message));
    }
    throw e;
  }
}
