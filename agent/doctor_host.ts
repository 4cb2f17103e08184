// Doctor host: the checks of what isconf has on this host: its keys, databases, sockets, settings, policy, executable and unit, and
// who else could change or read them. Part of the doctor (doctor.ts); it looks and changes nothing.
import * as fs from "node:fs";
import * as path from "node:path";
import type { Bad } from "./doctor.ts";
import type { Call } from "./host.ts";
import { inert } from "./names.ts";
import { socketOf, wayTo } from "./paths.ts";
import { changeableBy } from "./rules_path.ts";
import { unitFile } from "./unit.ts";

/** Where a unit of systemd may stand, the strongest first. */
const UNITS = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/lib/systemd/system",
];
/** A uid that nobody has: what it could change, anybody could. */
const NOBODY = 0xffff_fffe;

export const HOST_CHECKS: Record<string, (call: Call) => Bad | Promise<Bad>> = {
  "state directory": ({ host }) => notForOthers(host.home.state),
  "run directory": ({ host }) => notForOthers(host.home.run),
  "key files": ({ host }) => onlyOurs(filesIn(path.join(host.home.state, "keys"))),
  databases: ({ host }) =>
    onlyOurs(filesIn(host.home.state).filter((file) => /\.db(-wal|-shm)?$|\.log(\.\d+)?$/.test(file))),
  settings: ({ host }) => {
    const { config } = host.home;
    const files = [config, ...filesIn(config), ...filesIn(path.join(config, "policy.d"))];
    return firstBad(files, notForOthers);
  },
  policy: ({ host }) => {
    const { wrong } = host.rules;
    return wrong && { text: `what was read before holds: ${inert(wrong.message)}`, hint: inert(wrong.hint) };
  },
  sockets: ({ host }) =>
    firstBad(host.rules.uids(), (uid) => {
      const file = socketOf(host.home, uid);
      const st = fs.lstatSync(file, { throwIfNoEntry: false });
      if (st?.isSocket() && st.uid === uid && (st.mode & 0o777) === 0o600) return undefined;
      return { text: `${file} is not the socket of user ${uid} alone`, hint: "isconf restart" };
    }),
  executable: () => {
    if (process.geteuid?.() !== 0) return undefined; // it can do nothing that its user could not
    const file = fs.readlinkSync("/proc/self/exe");
    if (file.endsWith(" (deleted)")) {
      return { text: "the agent runs from a file that is gone or was replaced", hint: "isconf restart" };
    }
    const theirs = changeableBy(file, NOBODY) ?? wayTo(file).find((one) => fs.lstatSync(one).uid !== 0);
    return theirs === undefined ? undefined : {
      text: `${inert(theirs)} can be changed by others than root`,
      hint: `chown root ${inert(theirs)}; chmod go-w ${inert(theirs)}`,
    };
  },
  unit: ({ host }) => {
    if (!host.home.system || !fs.existsSync("/run/systemd/system")) return undefined;
    const unit = UNITS.map((dir) => `${dir}/isconf.service`).find((file) => fs.existsSync(file));
    const hint = `isconf agent --unit > ${unit ?? `${UNITS[0]}/isconf.service`}; systemctl enable isconf`;
    if (unit === undefined) {
      return { text: "systemd knows no isconf: it will not run after a restart of this host", hint };
    }
    const bad = notForOthers(fs.realpathSync(unit));
    if (bad !== undefined) return bad;
    if (fs.readFileSync(unit, "utf8") === unitFile(process.execPath)) return undefined;
    return {
      text: `${unit} is not the unit of this executable; changes to it belong beside it, in isconf.service.d`,
      hint,
    };
  },
};

/** Whatever is in a directory; nothing where there is none. */
function filesIn(dir: string): string[] {
  if (!fs.existsSync(dir)) return [];
  return fs.readdirSync(dir).map((name) => path.join(dir, name)).sort();
}

/** Whether nobody but root and this agent's user may change it. */
function notForOthers(file: string): Bad {
  const st = fs.lstatSync(file);
  const uid = process.geteuid?.();
  if (!st.isSymbolicLink() && (st.uid === uid || st.uid === 0) && (st.mode & 0o022) === 0) return undefined;
  const shown = inert(file);
  return { text: `${shown} can be changed by others`, hint: `chown ${uid} ${shown} && chmod go-w ${shown}` };
}

/** Files that nobody but this agent's user may read. */
function onlyOurs(files: readonly string[]): Bad {
  return firstBad(files, (file) => {
    const st = fs.lstatSync(file);
    if (!st.isSymbolicLink() && st.uid === process.geteuid?.() && (st.mode & 0o077) === 0) return undefined;
    return {
      text: `${inert(file)} can be read or changed by others`,
      hint: `chmod 600 ${inert(file)}; then isconf rotate, if somebody may have read a key`,
    };
  });
}

function firstBad<T>(all: readonly T[], look: (one: T) => Bad): Bad {
  for (const one of all) {
    const bad = look(one);
    if (bad !== undefined) return bad;
  }
  return undefined;
}
