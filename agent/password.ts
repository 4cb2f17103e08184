// Password: whether a password is a user's, asked of PAM's own helper, unix_chkpwd(8), as login and screen lockers ask it. The
// password goes into its pipe and nowhere else. Not when one is asked for (confirmations.ts).
import { spawn } from "node:child_process";
import { type Clock, Fault } from "../mq/mod.ts";
import { passwordBytesMax, passwordCheckMs } from "./limits.ts";

const HELPER = "/usr/sbin/unix_chkpwd";

/**
 * Whether it is. A user without a password has none that is right.
 * @throws {Fault} environment, when the helper is not there or does not answer
 */
export async function isPassword(clock: Clock, name: string, password: string): Promise<boolean> {
  if (password.includes("\0") || Buffer.byteLength(password) > passwordBytesMax) return false;
  const child = spawn(HELPER, [name, "nonull"], { env: {}, stdio: ["pipe", "ignore", "ignore"] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", (e) => reject(missing(e)));
    child.once("exit", (code) => resolve(code));
  });
  const stop = clock.after(passwordCheckMs, () => void child.kill("SIGKILL"));
  child.stdin.on("error", () => {}); // it need not read to the end
  child.stdin.end(`${password}\0`);
  try {
    const code = await ended;
    if (code === null) throw missing(new Error("it did not answer"));
    return code === 0;
  } finally {
    stop();
  }
}

const missing = (e: Error) =>
  new Fault("confirm", "environment", `${HELPER} cannot be asked: ${e.message}`, {
    hint: "apt-get install libpam-modules-bin, by root",
  });
