// Host variables: the ancestor's main.cf, stanzas of NAME = value by host name or regular expression.
// They reach executed commands as environment. Not settings of isconf itself (config.ts).
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";
import { readOwnFile, wrongLine } from "./config.ts";
import { isForbiddenName } from "./environment.ts";
import { includeDepthMax } from "./limits.ts";
import { isPlainText } from "./names.ts";

/**
 * The variables of one host: those of DEFAULT, then those of every stanza whose header names the host or matches
 * it, in the order of the file, later ones winning. `include FILE` is read in place. Throws usage naming the line.
 */
export function hostVariables(file: string, host: string): Record<string, string> {
  const out: Record<string, string> = {};
  readStanzas(file, host, out, 0);
  return out;
}

function readStanzas(file: string, host: string, out: Record<string, string>, depth: number): void {
  if (depth > includeDepthMax) {
    throw wrongLine(file, -1, `is included more than ${includeDepthMax} files deep`);
  }
  const text = readOwnFile(file);
  if (text === undefined) {
    if (depth === 0) return;
    throw new Fault("env", "notFound", `${file} is included and does not exist`, { hint: "edit main.cf" });
  }
  let ours = false;
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.replace(/(^|\s)#.*$/, "").trimEnd();
    if (line.trim() === "") continue;
    const include = /^include\s+(\S+)$/.exec(line);
    const variable = /^\s+([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/s.exec(line);
    const header = /^(\S.*):$/.exec(line);
    if (include !== null) {
      readStanzas(path.resolve(path.dirname(file), include[1] as string), host, out, depth + 1);
      ours = false;
    } else if (header !== null) {
      ours = (header[1] as string).split(/\s+/).some((p) => matches(file, i, p, host));
    } else if (variable !== null) {
      const [, name, value] = variable as unknown as [string, string, string];
      if (isForbiddenName(name) || !isPlainText(value)) throw wrongLine(file, i, `cannot set ${name}`);
      if (ours) out[name] = value;
    } else {
      throw wrongLine(file, i, "is neither `include FILE`, `host …:` nor an indented `NAME = value`");
    }
  }
}

/** DEFAULT, the name itself, or /a regular expression/ that matches the whole name. */
function matches(file: string, index: number, pattern: string, host: string): boolean {
  if (pattern === "DEFAULT" || pattern === host) return true;
  if (!pattern.startsWith("/") || !pattern.endsWith("/") || pattern.length < 3) return false;
  try {
    return new RegExp(`^(?:${pattern.slice(1, -1)})$`, "u").test(host);
  } catch {
    throw wrongLine(file, index, `has a regular expression that is none: ${pattern}`);
  }
}
