// Man: the manual pages, made from the list of verbs, the options, the faults, the settings and the words of policies. Not how they
// are shown (pager.ts), and not roff (roff.ts).
import { Fault, KINDS } from "../mq/mod.ts";
import { SETTINGS } from "./config.ts";
import { GLOBALS } from "./globals.ts";
import { rowsOf } from "./help.ts";
import { inert } from "./names.ts";
import { bold, example, list, section, subsection, text, title } from "./roff.ts";
import { DECISIONS, PARTS } from "./rules.ts";
import { SOMETHING, usageOf, type Verb } from "./verb.ts";

/** When the words that are written here were last changed. */
const DATE = "2026-11-30";

const ENVIRONMENT: [name: string, about: string][] = [
  ["ISCONF_HOME", "as --home: state, settings and sockets are below this directory, for a try-out"],
  [
    "ISCONF_PAGER, PAGER",
    "what shows long answers on a terminal: a program and its arguments, no shell; cat or nothing: they are printed at once; unless set, less -FRX. Under sudo, doas and pkexec it is always less, and with LESSSECURE",
  ],
  ["NO_COLOR", "when it is not empty, no colours unless --color=always is given"],
];

const FILES: [name: string, about: string][] = [
  ["/etc/isconf/isconf.conf", "settings of this host: isconf.conf(5)"],
  ["/etc/isconf/main.cf", "host variables, which executed commands get as environment"],
  ["/etc/isconf/policy.d/*.policy", "who may have what done on this host: isconf-policy(5)"],
  ["/var/lib/isconf", "databases, keys and contents"],
  ["/run/isconf", "sockets, one for each user who may call"],
];

type Page = (verbs: readonly Verb[], version: string) => string[];

/** Each by its name, as `isconf man` is told it. */
const PAGES: Record<string, Page> = {
  isconf: (verbs, version) => [
    title("isconf", 1, DATE, version, "isconf"),
    section("NAME"),
    text("isconf - keep hosts congruent"),
    section("SYNOPSIS"),
    bold("isconf [OPTIONS] VERB [ARGS]"),
    section("DESCRIPTION"),
    text(
      "isconf keeps hosts congruent: what is changed on one of them is journaled there (lock, snap, exec, ci), and replayed by\nall others in the same order (up), also by those that are off today or not built yet. There is no central server.\n\nOptions before the verb are isconf's; the verb and everything after it are the verb's own. Data goes to standard output, words\nfor people to standard error. Ids may be given by their first characters wherever it is clear which one is meant.",
    ),
    section("OPTIONS"),
    list(rowsOf(GLOBALS)),
    section("VERBS"),
    ...verbs.flatMap((verb) => [
      subsection(`isconf ${verb.name}`),
      text(`${capital(verb.summary)}.`),
      example([usageOf(verb)]),
      ".PP",
      text(verb.about),
      list(rowsOf(verb.args)),
      example(verb.examples),
    ]),
    section("EXIT STATUS"),
    list([
      ["0", "done; also when there was nothing to do"],
      ...Object.entries(KINDS).map((
        [kind, { exit, when }],
      ): [string, string] => [`${exit}`, `${kind}: ${when}`]),
    ]),
    ".PP",
    text(
      `With --detailed-exitcode ${SOMETHING} says that something differs, is to be done, or was done, and nothing else: what is\nnot found ends ${KINDS.refused.exit} then. exec and preview end with the status of the command, 128 and a signal's number when one killed it.`,
    ),
    section("ENVIRONMENT"),
    list(ENVIRONMENT),
    section("FILES"),
    list(FILES),
    section("SEE ALSO"),
    text("isconf-policy(5), isconf.conf(5), sudo(8), systemctl(1)"),
  ],
  "isconf-policy": (verbs, version) => [
    title("isconf-policy", 5, DATE, version, "isconf"),
    section("NAME"),
    text("isconf-policy - who may have what done on a host"),
    section("SYNOPSIS"),
    bold("/etc/isconf/policy.d/*.policy"),
    section("DESCRIPTION"),
    text(verbs.find(({ name }) => name === "policy")!.about),
    section("WORDS"),
    list([
      ...Object.entries(DECISIONS),
      ["USER, :GROUP", "who the line speaks of: a user, or the members of a group, by name"],
      ...Object.entries(PARTS).map((
        [word, [more, about]],
      ): [string, string] => [`${word} ${more}`.trim(), about]),
      ["#", "a comment, to the end of the line"],
      ['"..."', "a word with blanks or signs in it; a backslash stands before a quote, or another backslash"],
    ]),
    section("EXAMPLES"),
    example([
      "permit alice",
      "permit :admins do exec,snap,lock,ci",
      "permit :ops as root cmd /usr/bin/apt-get args update",
      "permit bob confirm password",
      "deny bob on production",
    ]),
    ".PP",
    text(
      "Before a file is put there, isconf policy check FILE reads it; isconf policy why COMMAND says which line decides.",
    ),
    section("SEE ALSO"),
    text("isconf(1), isconf.conf(5), doas.conf(5), sudoers(5)"),
  ],
  "isconf.conf": (_verbs, version) => [
    title("isconf.conf", 5, DATE, version, "isconf"),
    section("NAME"),
    text("isconf.conf - settings of one host"),
    section("SYNOPSIS"),
    bold("/etc/isconf/isconf.conf"),
    section("DESCRIPTION"),
    text(
      "Lines of name = value; all are optional. A line that begins with # is a comment. isconf restart reads the file again. It has to\nbe root's, and nobody else's to write. SIZE is a number with K, M, G or T after it, powers of 1024.",
    ),
    section("SETTINGS"),
    list(
      Object.entries(SETTINGS).map(([name, { value, unset, about }]): [string, string] => [
        `${name} = ${value}`,
        `${capital(about)}.${unset === "" ? "" : `\nUnless set: ${unset}.`}`,
      ]),
    ),
    section("EXAMPLES"),
    example(["peers = hosta.example.com:4726 hostb.example.com:4726", "follow = yes", "quota = 20G"]),
    section("SEE ALSO"),
    text("isconf(1), isconf-policy(5)"),
  ],
};

const capital = (of: string): string => of.slice(0, 1).toUpperCase() + of.slice(1);

/** The source of a page. Throws usage. */
export function manualPage(name = "isconf", verbs: readonly Verb[], version: string): string {
  const page = Object.hasOwn(PAGES, name) ? PAGES[name] : undefined;
  if (page !== undefined) {
    const lines = page(verbs, `isconf ${version.split(" ")[0]}`);
    const source = `${lines.filter((line) => line !== "").join("\n")}\n`;
    return source.replace(/(?<=^\.(?:S[HS] .*|PP)\n)\.PP\n/gm, ""); // a paragraph begins there anyway
  }
  throw new Fault("man", "usage", `there is no page ${inert(name)}`, {
    hint: `isconf man ${Object.keys(PAGES).join("|")}`,
  });
}
