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

/** What `getent` is asked for; what groups a user is in has no file of its own. */
type Database = "passwd" | "group" | "initgroups";

function linesOf(database: Database): string[] {
  if (database === "initgroups") return [];
  try {
    return fs.readFileSync(`/etc/${database}`, "utf8").split("\n");
  } catch (e) {
    if ((e as { code?: string }).code !== "ENOENT") throw Fault.from("users", e);
    return [];
  }
}

/** One line of a database of users or groups: the file in /etc first, then `getent` for what is kept elsewhere. */
function lookUp<T>(
  database: Database,
  key: string,
  read: (line: string) => T | undefined,
): T | undefined {
  for (const line of linesOf(database)) {
    const found = read(line);
    if (found !== undefined) return found;
  }
  try {
    const out = execFileSync("/usr/bin/getent", [database, "--", key], {
      env: {},
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 5_000,
    });
    return read(out.toString("utf8").trim());
  } catch {
    return undefined; // getent says "there is none" by its status, and may be missing: either way, nobody.
  }
}

/** The user with this uid, or undefined. */
export function userByUid(uid: number): User | undefined {
  return lookUp("passwd", String(uid), (line) => {
    const user = parseLine(line);
    return user?.uid === uid ? user : undefined;
  });
}

/** The user with this name, or undefined. A name made of digits is never taken for a uid. */
export function userNamed(name: string): User | undefined {
  if (!/^[A-Za-z_][-A-Za-z0-9_.]*\$?$/.test(name)) return undefined;
  return lookUp("passwd", name, (line) => {
    const user = parseLine(line);
    return user?.name === name ? user : undefined;
  });
}

/** The same. Throws notFound. */
export function userByName(op: string, name: string): User {
  const user = userNamed(name);
  if (user === undefined) {
    throw new Fault(op, "notFound", `there is no user ${inert(name)} on this host`, {
      hint: "getent passwd: lists the users of this host",
    });
  }
  return user;
}

/** A group of this host: its number, and the names of those who are in it beside those whose first group it is. */
export interface Group {
  gid: number;
  members: readonly string[];
}

/** The group of this name; undefined: there is none. A name made of digits is never taken for a number. */
export function groupByName(name: string): Group | undefined {
  if (!/^[A-Za-z_][-A-Za-z0-9_.]*\$?$/.test(name)) return undefined;
  return lookUp("group", name, (line) => {
    const f = line.split(":");
    const gid = parseUid(f[2] ?? "");
    if (f.length !== 4 || f[0] !== name || gid === undefined) return undefined;
    return { gid, members: f[3] === "" ? [] : f[3]!.split(",") };
  });
}

/** Whether a user is in the group of this number, as a login would have it. */
export function isInGroup(user: User, gid: number): boolean {
  if (user.gid === gid) return true;
  const names = linesOf("group").map((line) => line.split(":")).filter((f) => parseUid(f[2] ?? "") === gid);
  if (names.some((f) => f[3]?.split(",").includes(user.name))) return true;
  const ofUser = lookUp(
    "initgroups",
    user.name,
    (line) => line.startsWith(`${user.name} `) ? line : undefined,
  );
  return ofUser?.split(/\s+/).slice(1).includes(String(gid)) ?? false;
}

/** The users of this host that are in a group, those of a directory service only when the group names them. */
export function usersIn({ gid, members }: Group): User[] {
  const first = linesOf("passwd").flatMap((line) => parseLine(line) ?? []).filter((user) => user.gid === gid);
  const named = members.flatMap((name) => userNamed(name) ?? []);
  return [...new Map([...first, ...named].map((user) => [user.uid, user])).values()];
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
