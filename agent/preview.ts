// Preview: a command that really runs as it would, in namespaces and a root of its own that are thrown away, and the list of what
// it would have changed. Not that root (preview_root.ts) and not what ends up in the list (preview_changes.ts).
import { Buffer } from "node:buffer";
import { Socket } from "node:net";
import { constants } from "node:os";
import * as path from "node:path";
import { type Cbor, type Clock, closeFd, type Exit, Fault, makeSocketPair } from "../mq/mod.ts";
import { commandEnv, journaledEnv } from "./environment.ts";
import { type Call, hostEnv } from "./host.ts";
import { killGraceMs, previewEndMs, previewMs, previewsMax } from "./limits.ts";
import { inert } from "./names.ts";
import type { Home } from "./paths.ts";
import { type Absent, type Change, type PreviewRequest, type RunWords, runWords } from "./preview_words.ts";
import { ProcessRunner, type Sink } from "./run.ts";
import { openSeam, type Seam } from "./seam.ts";
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
}

/** What a preview may have. */
export interface PreviewOptions {
  network: boolean;
  /** Whether contents are shown that not everybody may read. */
  all: boolean;
}

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
  begin(options: PreviewOptions): Preview {
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
    return new Preview(this.#clock, this.#home, options, () => this.#open--);
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
  #killed: number | undefined;
  /** What of this host is not there. */
  absent: Absent[] = [];

  constructor(clock: Clock, home: Home, options: PreviewOptions, closed: () => void) {
    this.#clock = clock;
    this.#home = home;
    this.#options = options;
    this.#closed = closed;
  }

  /** Starts a program there, the only one: when it ends, whatever else is left there is killed. */
  start(options: SpawnOptions): Started {
    const child = this.#enter(options);
    return {
      stdin: child.stdin,
      stdout: child.stdout,
      stderr: child.stderr,
      ended: this.#run(options),
      isGroupKilledAtEnd: false,
      signal: (name) => this.#signal(name),
    };
  }

  /** What is different, when everything has ended. */
  async changes(): Promise<Change[]> {
    const changes: Change[] = [];
    while (this.#killed === undefined) {
      const page = await this.#ask("changes", this.#options.all, previewMs);
      if (!(page instanceof Uint8Array) || page.length === 0) break;
      changes.push(...JSON.parse(Buffer.from(page).toString("utf8")));
    }
    return changes;
  }

  /** Ends everything; resolves when no process of it is left, and with them nothing else. */
  async close(): Promise<void> {
    this.#pipe?.destroy();
    const cancel = this.#clock.after(previewEndMs, () => this.#child?.signal("SIGKILL"));
    await this.#child?.ended;
    cancel();
    this.#closed();
  }

  /** The process that makes the root, with the descriptors that the program is to have. */
  #enter({ stdio, owner }: SpawnOptions): Child {
    const [ours, theirs] = makeSocketPair();
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
        stdio,
        newSession: true,
        more: [theirs],
        ...(owner === undefined ? {} : { owner }),
      });
    } catch (e) {
      closeFd(ours);
      throw e;
    } finally {
      closeFd(theirs);
    }
    this.#pipe = new Socket({ fd: ours, readable: true, writable: true });
    this.#pipe.on("error", () => this.#pipe?.destroy()); // its end is what tells
    this.#seam = openSeam<never, PreviewRequest>(this.#pipe, this.#clock, {}, "the preview");
    return this.#child;
  }

  async #run({ file, argv, env, cwd, umask, newSession }: SpawnOptions): Promise<Exit> {
    try {
      const { state, run } = this.#home;
      const absent = await this.#ask("open", [run, [state, run]]) as [string, string][];
      this.absent = absent.map(([path, why]) => ({ path, why }));
      this.#isRunning = true;
      const words: RunWords = [
        file,
        argv,
        Object.entries(env).map(([k, v]) => `${k}=${v}`),
        cwd,
        umask,
        newSession,
      ];
      const [code, signal] = await this.#ask("run", runWords(words), previewMs) as [
        number | null,
        number | null,
      ];
      this.#isRunning = false;
      await this.#ask("end", null);
      return signal === null ? { code: code ?? 1, signal: null } : { code: null, signal };
    } catch (e) {
      this.#child?.signal("SIGKILL");
      if (this.#killed !== undefined) return { code: null, signal: this.#killed };
      throw e;
    }
  }

  /** Who hangs up waits for nothing any more, and a preview is for nobody else: what does not end then is killed. */
  #signal(name: NodeJS.Signals): void {
    if (!this.#isRunning) {
      this.#killed ??= constants.signals[name];
      return this.#child?.signal("SIGKILL");
    }
    this.#ask("signal", name).catch(() => {}); // it has ended
    if (name === "SIGHUP") this.#clock.after(killGraceMs, () => this.#isRunning && this.#signal("SIGKILL"));
  }

  #ask(request: PreviewRequest, value: Cbor, waitMs?: number): Promise<Cbor> {
    if (this.#seam === undefined) {
      throw new Fault("preview", "gone", "nothing runs", { hint: "isconf preview again" });
    }
    return this.#seam.ask(request, value, waitMs);
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
  { host }: Call,
  args: ExecArgs,
  options: PreviewOptions,
  sink?: Sink,
): Promise<Execution<PreviewResult>> {
  const user = args.as === "" ? userOfAgent() : userByName("preview", args.as);
  const env = commandEnv(user, host.config.path, hostEnv(host), journaledEnv(args.callerEnv, args.envNames));
  const preview = host.previews.begin(options);
  try {
    const runner = new ProcessRunner(host.clock, (o) => preview.start(o));
    const running = await runner.start({ ...args, user, env }, {
      sink,
      stdin: args.stdin,
      terminal: args.terminal,
    });
    const result = async (): Promise<PreviewResult> => {
      try {
        const { status } = await running.ended;
        const { absent } = preview;
        return { v: 1, status, changes: await preview.changes(), absent, network: options.network };
      } catch (e) {
        const { kind, message, hint } = Fault.from("preview", e);
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
    throw e;
  }
}
