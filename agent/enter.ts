// Enter: whether a user may go into a directory, told beforehand in clear words. The kernel decides when the user goes there.
import * as fs from "node:fs";
import * as path from "node:path";
import { listXattr } from "../mq/mod.ts";
import { wayTo } from "./paths.ts";
import { isInGroup, type User } from "./users.ts";

/** The first directory on the way into `dir` that is closed to a user; undefined: none is. Throws when it is not there. */
export function closedTo(user: User, dir: string): string | undefined {
  return wayTo(fs.realpathSync(dir)).find((one) => isClosed(user, one));
}

function isClosed(user: User, dir: string): boolean {
  const { uid, gid, mode } = fs.statSync(dir);
  if (user.uid === 0) return false;
  if (user.uid === uid) return (mode & 0o100) === 0;
  const [group, others] = [(mode & 0o010) !== 0, (mode & 0o001) !== 0];
  if (group === others) return !others && !hasAcl(dir);
  return isInGroup(user, gid) ? !group : !others && !hasAcl(dir);
}

/** Whether more than its mode says who may: what that is, is left to the kernel. */
function hasAcl(dir: string): boolean {
  return listXattr(path.resolve(dir)).some((name) =>
    Buffer.from(name).toString() === "system.posix_acl_access"
  );
}
