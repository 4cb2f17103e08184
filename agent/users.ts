// Users of this host: from the system's own user database, strictly parsed. Not persons of the domain (trust.ts).
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { Fault } from "../mq/mod.ts";
import { inert } from "./names.ts";

export interface User {
  name: string;
  uid: number;
  gid: number;
  home: string;
  shell: string;
}

/** The largest uid that can belong to somebody; 2^32-1 is "nobody at all" to the kernel. */
const uidMax = 4_294_967_294;

/** Parses a uid written in plain decimal digits; anything else ("-1", "0x0", " 0", "00") is undefined. */
export function parseUid(text: string): number | undefined {
  if (!/^(0|[1-9][0-9]{0,9})$/.test(text)) return undefined;
  const uid = Number(text);
  return uid <= uidMax ? uid : undefined;
}

function parseLine(line: string): User | undefined {
  const f = line.split(":");
  const uid = parseUid(f[2] ?? "");
  const gid = parseUid(f[3] ?? "");
  if (f.length !== 7 || !f[0] || uid === undefined || gid === undefined) return undefined;
  return { name: f[0], uid, gid, home: f[5] || "/", shell: f[6] || "/bin/sh" };
}

/** One line of the user database: /etc/passwd first, then `getent` for users kept elsewhere. */
function lookUp(key: string, matches: (user: User) => boolean): User | undefined {
  let lines = "";
  try {
    lines = fs.readFileSync("/etc/passwd", "utf8");
  } catch (e) {
    if ((e as { code?: string }).code !== "ENOENT") throw Fault.from("users", e);
  }
  for (const line of lines.split("\n")) {
    const user = parseLine(line);
    if (user !== undefined && matches(user)) return user;
  }
  try {
    const out = execFileSync("/usr/bin/getent", ["passwd", "--", key], {
      env: {},
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 5_000,
    });
    const user = parseLine(out.toString("utf8").trim());
    return user !== undefined && matches(user) ? user : undefined;
  } catch {
    return undefined; // getent says "no such user" by its status, and may be missing: either way, nobody.
  }
}

/** The user with this uid, or undefined. */
export function userByUid(uid: number): User | undefined {
  return lookUp(String(uid), (u) => u.uid === uid);
}

/** The user with this name. A name made of digits is never taken for a uid. Throws notFound. */
export function userByName(op: string, name: string): User {
  const user = /^[A-Za-z_][-A-Za-z0-9_.]*\$?$/.test(name) ? lookUp(name, (u) => u.name === name) : undefined;
  if (user === undefined) {
    throw new Fault(op, "notFound", `there is no user ${inert(name)} on this host`, {
      hint: "getent passwd: lists the users of this host",
    });
  }
  return user;
}

/** The names of those, beside the user of the agent, who get a socket; an agent that is not root's can give none away. */
export function permitted(permit: readonly string[]): readonly string[] {
  return (process.geteuid?.() ?? 0) === 0 ? permit : [];
}

/** Whether a user gets a socket, going by the name alone: of others it is not even looked up who they are. */
export function hasSocket(permit: readonly string[], name: string): boolean {
  return permitted(permit).includes(name) || name === userOfAgent().name;
}

/** The user commands run as unless told otherwise: root, or whoever runs an agent without root. */
export function userOfAgent(): User {
  const uid = process.geteuid?.() ?? 0;
  return userByUid(uid) ??
    {
      name: uid === 0 ? "root" : String(uid),
      uid,
      gid: process.getegid?.() ?? uid,
      home: "/",
      shell: "/bin/sh",
    };
}
