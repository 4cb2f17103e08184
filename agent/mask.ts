// Mask: what looks like a secret, made unreadable in what is shown and recorded of commands: values whose names say what they are,
// and words whose form does. A rule, so it finds what it knows and nothing else. Not what runs or is journaled: that stays as given.
import { Buffer } from "node:buffer";
import { commandLine } from "./names.ts";

/** What stands in the place of a secret, however long that was. */
export const MASK = "********";

/** Names of what is secret, and what such a name may end in and still name none: where it is kept, what it is called. */
const WORDS = "passw(?:or)?d|passphrase|secret|token|credential|(?:api|access|private|auth)[-_.]?key";
const SECRET = new RegExp(WORDS, "i");
const ABOUT = /(file|path|dir|name|id|url|uri|type|policy|length|count|ttl|age|expiry|prompt|stdin|fd)s?$/i;

/** A name with one of these words in it, from its beginning. */
const NAME = `(?<![\\w.-])(?=[\\w.-]{0,127}?(?:${WORDS}))[A-Za-z_-][\\w.-]{0,127}`;
/** A value as it stands in a command line or a file: in quotes, or up to what ends a word. What a shell would put in is none. */
const VALUE = /"(?:[^"\\$`]|\\.){1,4096}"|'[^']{1,4096}'|[^\s"'`;&|<>(){}$,]{1,4096}/.source;
/** A name with its value: after = or a colon; after an option's blank. */
const PAIRS = [
  new RegExp(`(${NAME})(["']?[ \\t]{0,8}(?:=|:(?![-+?=]))[ \\t]{0,8})(${VALUE})`, "gi"),
  new RegExp(`((?=--)${NAME})([ \\t]{1,8})(?!-)(${VALUE})`, "gi"),
];

/** What is secret by its form, whatever it is called; what stands before it in the second group of a match stays. */
const FORMS: readonly RegExp[] = [
  /()-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[^]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|$)/g,
  /((?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}:\/\/[^\s:@/]{0,255}:)[^\s@/]{1,255}(?=@)/gi,
  /(\bauthorization["']?[ \t]{0,8}[:=][ \t]{0,8}["']?(?:(?:basic|bearer|digest|token)[ \t]{1,8})?)[^\s"',]{1,4096}/gi,
  /(\bbearer[ \t]{1,8})[\w.~+/-]{8,4096}=*/gi,
  /()\b(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_\w{20,255}|glpat-[\w-]{16,255}|xox[abeprs]-[\w-]{10,255})/g,
  /()\bAKIA[0-9A-Z]{16}\b/g,
  /()\beyJ[\w-]{8,4096}\.[\w-]{8,4096}\.[\w-]{0,4096}/g,
  /()\bAGE-SECRET-KEY-1[0-9A-Z]{20,255}/gi,
  /()\bisconf1\.[\w-]{40,4096}/g,
];

/** Whether what is called so is a secret. */
export function isSecretName(name: string): boolean {
  return SECRET.test(name) && !ABOUT.test(name);
}

/** Text, of people or commands, without what looks like a secret. */
export function maskedText(text: string): string {
  let out = text;
  for (const form of FORMS) out = out.replace(form, (_, before: string) => `${before}${MASK}`);
  for (const pair of PAIRS) {
    out = out.replace(pair, (whole, name: string, between: string, value: string) => {
      const [quote = ""] = /^["']/.exec(value) ?? [];
      return isSecretName(name) ? `${name}${between}${quote}${MASK}${quote}` : whole;
    });
  }
  return out;
}

/**
 * Arguments without what looks like a secret: all of the value in NAME=VALUE, and what follows an option that names one; of a
 * script, after -c, its words, so that the rest of it is seen.
 */
export function maskedArgv(argv: readonly string[]): string[] {
  return argv.map((arg, i) => {
    const before = argv[i - 1] ?? "";
    if (/^--?[A-Za-z][\w.-]*$/.test(before) && isSecretName(before) && !arg.startsWith("-")) return MASK;
    const [, name] = /^([\w.-]{1,128})=[^]/.exec(arg) ?? [];
    const isScript = /^-[a-z]*c$/i.test(before);
    return name !== undefined && isSecretName(name) && !isScript ? `${name}=${MASK}` : maskedText(arg);
  });
}

/** A command line for people, without what looks like a secret. */
export const shownLine = (argv: readonly string[]): string => commandLine(maskedArgv(argv));

/** Variables without the values of those whose names say that they are secret. */
export function maskedEnv(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [name, isSecretName(name) ? MASK : maskedText(value)]),
  );
}

/** Output without what looks like a secret; whatever else it is stays byte for byte. */
export function maskedBytes(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString("latin1");
  const masked = maskedText(text);
  return masked === text ? bytes : new Uint8Array(Buffer.from(masked, "latin1"));
}
