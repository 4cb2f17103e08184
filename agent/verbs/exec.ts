// The verb exec: run this command now, here, and on every other host when it replays the journal.
import { parseWindowSize } from "../streamtypes.ts";
import { tellOutput } from "../tell.ts";
import type { Verb } from "../verb.ts";
import type { ExecArgs } from "../work.ts";

export interface ExecVerbArgs {
  command: string[];
  cwd?: string;
  umask?: number;
  callerEnv: Record<string, string>;
  env: string[];
  as?: string;
  timeout?: number;
  stdin: boolean;
  noEffects: boolean;
  terminal: boolean;
  windowSize?: string;
}

type ExecVerb = Verb<ExecVerbArgs, { status: number; journaled: boolean }> & {
  toWork(args: ExecVerbArgs): ExecArgs;
};

export const execVerb: ExecVerb = {
  name: "exec",
  summary: "run a command now and journal it if it ends 0",
  about:
    "Arguments reach the command byte for byte; no shell is involved. It runs as root (or --as USER) with a built\nenvironment: locale and time zone of the caller, host variables of main.cf, and what --env names. Its status is\nisconf's status; 125 isconf itself failed, 126 not executable, 127 not found, 128+n killed by signal n, 124 out\nof time. Anything but 0 is not journaled.",
  examples: [
    "isconf exec apt-get install -y nginx",
    "isconf exec --as www-data touch /srv/www/up",
    "isconf exec -i tee /etc/motd < motd",
  ],
  args: {
    command: {
      kind: "texts",
      positional: true,
      required: true,
      is: "command",
      about: "the command and its arguments",
    },
    env: { kind: "texts", about: "a variable of yours that goes with the command" },
    as: { kind: "text", is: "user", about: "the user to run as, on every host" },
    timeout: { kind: "count", about: "seconds after which the command is killed" },
    stdin: { kind: "flag", short: "i", about: "pass standard input on, and journal it" },
    noEffects: { kind: "flag", about: "do not record which files the command changes" },
    terminal: {
      kind: "flag",
      short: "t",
      about:
        "give the command a terminal of its own here; what is typed is passed on, and not journaled without -i",
    },
    windowSize: { kind: "text", hidden: true, about: "your terminal's size, ROWSxCOLUMNS" },
    cwd: { kind: "text", hidden: true, about: "where you are" },
    umask: { kind: "count", hidden: true, about: "your umask" },
    callerEnv: { kind: "map", hidden: true, about: "your environment" },
  },
  kind: "changes",
  wholeRest: true,
  async run(call, args) {
    const sink = tellOutput(call.emit);
    const execution = await call.acts.work.exec(call, execVerb.toWork({ ...args, stdin: false }), sink);
    return await execution.recorded;
  },
  network: () => true,
  command: (call, args) => call.acts.work.wish(call, execVerb.toWork(args)),
  toWork: (args) => ({
    argv: args.command,
    cwd: args.cwd ?? "/",
    umask: args.umask ?? 0o022,
    callerEnv: args.callerEnv,
    envNames: args.env,
    as: args.as ?? "",
    timeoutMs: (args.timeout ?? 0) * 1000,
    stdin: args.stdin,
    effects: !args.noEffects,
    ...(args.terminal
      ? { terminal: parseWindowSize(args.windowSize ?? "") ?? { rows: 24, columns: 80 } }
      : {}),
  }),
  exit: (r) => r.status,
};
