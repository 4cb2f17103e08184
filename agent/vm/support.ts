// Support: which verbs there are for which hypervisor on which system, and with which options: read off the templates, so that what is
// said to be supported is what is. Not the templates.
import { Fault } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import { ASKED } from "./machine.ts";
import { blanksOf, type Template, type Values } from "./template.ts";
import { bhyveOnFreebsd } from "./template_bhyve_freebsd.ts";
import { qemuOnLinux } from "./template_qemu_linux.ts";

/** Verbs that a template can be of. */
export const TEMPLATE_VERBS = ["create", "start", "stop", "status", "rm"] as const;
export type TemplateVerb = typeof TEMPLATE_VERBS[number];

/** One hypervisor on one system. */
export interface Support {
  driver: string;
  os: string;
  verbs: string[];
  /** Options of create that its templates have a place for. */
  options: string[];
}

/** All templates that there are. */
export function templates(): Template[] {
  return [...qemuOnLinux(), ...bhyveOnFreebsd()];
}

/** What is supported, a row for each hypervisor and system. */
export function supportOf(all: readonly Template[]): Support[] {
  const keys = new Map(all.map(({ driver, os }) => [`${driver} ${os}`, { driver, os }]));
  return [...keys.values()].map(({ driver, os }) => {
    const own = all.filter((one) => one.driver === driver && one.os === os);
    const known = placesIn(own);
    return {
      driver,
      os,
      verbs: TEMPLATE_VERBS.filter((verb) => own.some((one) => one.verb === verb)),
      options: Object.entries(ASKED).filter(([name]) => known.has(name)).map(([, option]) => option),
    };
  });
}

/**
 * The template for it.
 * @throws {Fault} refused: unsupported, when there is none
 */
export function templateFor(
  all: readonly Template[],
  verb: TemplateVerb,
  driver: string,
  os: string,
): Template {
  const found = all.find((one) => one.verb === verb && one.driver === driver && one.os === os);
  if (found !== undefined) return found;
  throw unsupported(verb, `nothing says how ${inert(driver)} on ${inert(os)} does it`);
}

/** Throws refused: unsupported, when something was asked of a machine that has no place in the templates: it would be left out in silence. */
export function needPlaces(
  all: readonly Template[],
  verb: string,
  driver: string,
  os: string,
  values: Values,
): void {
  const known = placesIn(all.filter((one) => one.driver === driver && one.os === os));
  const lost = Object.entries(ASKED).filter(([name]) => values[name] !== undefined && !known.has(name));
  if (lost.length === 0) return;
  throw unsupported(
    verb,
    `${inert(driver)} on ${inert(os)} knows nothing of ${lost.map(([, option]) => option).join(", ")}`,
  );
}

/** What the templates that make and start a machine have a place for. */
function placesIn(all: readonly Template[]): Set<string> {
  return new Set(all.filter(({ verb }) => verb === "start").flatMap((one) => [...blanksOf(one).keys()]));
}

export function unsupported(verb: string, why: string): Fault {
  return new Fault("vm", "refused", `vm ${verb} is unsupported: ${why}`, { hint: "isconf vm support" });
}
