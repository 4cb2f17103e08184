// The environment of executed commands: built here from an allow-list, never passed through. Not the command.
import { Buffer } from "node:buffer";
import { Fault } from "../mq/mod.ts";
import { envItemsMax, envValueBytesMax } from "./limits.ts";
import { inert, isPlainText } from "./names.ts";
import type { User } from "./users.ts";

/** Where commands are looked for, unless isconf.conf names another path. */
export const SECURE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Variables of the caller that are journaled without being asked for. */
const ALLOWED = /^(LANG|LANGUAGE|LC_[A-Z]+|TZ)$/;

/** Variables that nobody can set by `--env`: who the target is, and what loaders and interpreters obey. */
const FORBIDDEN = new RegExp(
  "^(" + [
    "PATH|HOME|USER|LOGNAME|SHELL|MAIL|IFS|CDPATH|ENV|BASH_ENV|BASH_FUNC_.*|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND",
    "LD_.*|GLIBC_TUNABLES|GCONV_PATH|MALLOC_.*|LOCPATH|NLSPATH|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS|RESOLV_.*",
    "NODE_.*|OPENSSL_.*|SSL_CERT_.*|PERL.*|PYTHON.*|RUBY.*|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|GIT_.*|APT_CONFIG",
    "TERMINFO.*|TERMCAP|TERMPATH|KRB5_.*|SUDO_.*|ISCONF_.*",
  ].join("|") + ")$",
  "i",
);

/** The part of the caller's environment that goes with a command into the journal. Throws usage for bad names. */
export function journaledEnv(
  caller: Record<string, string>,
  asked: readonly string[],
): Record<string, string> {
  const out: Record<string, string> = {};
  const bad = (name: string, why: string) =>
    new Fault("exec", "usage", `the variable ${inert(name)} ${why}`, { hint: "isconf help exec" });
  for (const name of asked) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw bad(name, "has no name a variable can have");
    if (FORBIDDEN.test(name)) throw bad(name, "is never taken from the caller");
    const value = Object.hasOwn(caller, name) ? caller[name] as string : undefined;
    if (value === undefined) throw bad(name, "is not set here");
    if (!isPlainText(value) || value.startsWith("()")) throw bad(name, "has a value that is not carried");
    if (Buffer.byteLength(value) > envValueBytesMax) {
      throw bad(name, `is longer than ${envValueBytesMax} bytes`);
    }
    out[name] = value;
  }
  for (const [name, value] of Object.entries(caller)) {
    if (ALLOWED.test(name) && !Object.hasOwn(out, name) && isHarmless(value)) out[name] = value;
  }
  if (Object.keys(out).length > envItemsMax) throw bad("--env", `is given more than ${envItemsMax} times`);
  return out;
}

/** Variables that Node, its libraries or the loader obey before any code of ours has a say. */
const OBEYED =
  /^(NODE_|OPENSSL_|SSL_|ICU_|UV_|V8_|SQLITE_|LD_|GLIBC_|MALLOC_|GCONV_PATH$|LOCPATH$|TZDIR$|TMPDIR$|HOSTALIASES$|RES_OPTIONS$)/;

/** The environment that an agent has to begin anew with, when the one that it was given has variables that are obeyed. */
export function bareEnv(given: Record<string, string | undefined>): Record<string, string> | undefined {
  if (!Object.keys(given).some((name) => OBEYED.test(name))) return undefined;
  const ours = Object.entries(given).filter(([name, value]) =>
    name.startsWith("ISCONF_") && value !== undefined
  );
  return Object.fromEntries(ours) as Record<string, string>;
}

/** A locale or time zone: no path, no format, short (CVE-2014-9680 and its kin). */
function isHarmless(value: string): boolean {
  return /^[A-Za-z0-9_.@:+/-]{1,64}$/.test(value) && !value.startsWith("/") && !value.startsWith(":") &&
    !value.includes("..");
}

/** The whole environment a command runs with: the target's own, this host's variables, then what was journaled. */
export function commandEnv(
  target: User,
  path: string,
  host: Record<string, string>,
  journaled: Record<string, string>,
): Record<string, string> {
  const safe: Record<string, string> = {};
  for (const [name, value] of Object.entries(journaled)) if (!FORBIDDEN.test(name)) safe[name] = value;
  return {
    ...host,
    ...safe,
    PATH: path,
    HOME: target.home,
    USER: target.name,
    LOGNAME: target.name,
    SHELL: target.shell,
  };
}

/** The names a host variable in main.cf may not have, for the same reasons. */
export function isForbiddenName(name: string): boolean {
  return FORBIDDEN.test(name) && !/^ISCONF_/i.test(name);
}
