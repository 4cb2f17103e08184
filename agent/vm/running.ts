// Running: whether a machine's process is there: the one that its pid file names and whose command line names that file. Not how the
// guest is (the template of status asks).
import * as fs from "node:fs";

/** The longest pid file that is looked into, in bytes. */
const pidFileBytesMax = 64;

/**
 * The process of a machine, or undefined. A number by itself says little: after a crash, or a restart of the host, it is somebody
 * else's. That the process was given this pid file is what tells it.
 */
export function runningPid(pidFile: string): number | undefined {
  const text = read(pidFile);
  if (text === undefined || text.length > pidFileBytesMax || !/^[1-9][0-9]{0,6}\s*$/.test(text)) {
    return undefined;
  }
  const pid = Number(text);
  return pid > 1 && read(`/proc/${pid}/cmdline`)?.split("\0").includes(pidFile) ? pid : undefined;
}

function read(file: string): string | undefined {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (e) {
    if (["ENOENT", "ESRCH", "EACCES"].includes(String((e as { code?: string }).code))) return undefined;
    throw e;
  }
}
