// NTP: whether the kernel knows its clock to be kept right by somebody (adjtimex(2)). It looks and changes nothing.
import { arch } from "node:os";
import { CALLS } from "./confine.ts";
import { addressOf, call, errnoCode } from "./libc.ts";

/** Bytes of struct timex (208), with room; its first word says what to change: nothing. */
const timexBytes = 256;
const TIME_ERROR = 5;

/** Whether a time service keeps the clock; undefined where that cannot be asked, as in some containers. */
export function isClockKept(): boolean | undefined {
  const timex = new Uint8Array(new ArrayBuffer(timexBytes));
  const number = CALLS.adjtimex[arch() === "arm64" ? 1 : 0];
  try {
    return call("syscall", BigInt(number), addressOf(timex), 0n, 0n) !== TIME_ERROR;
  } catch (e) {
    if (["EPERM", "ENOSYS"].includes(errnoCode(e) ?? "")) return undefined;
    throw e;
  }
}
