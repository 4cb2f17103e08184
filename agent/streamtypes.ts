// The frame types of an executed command's stream, for both ends. Loaded by the thin command line.

/** The protocol's name in the Upgrade header. */
export const STREAM_PROTOCOL = "isconf-stream";

/** Frame types: below 16 from the caller, from 16 on from the agent. */
export const STREAM = {
  start: 1,
  stdin: 2,
  stdinEnd: 3,
  signal: 4,
  stdout: 16,
  stderr: 17,
  event: 18,
  result: 19,
  fault: 20,
} as const;

const FORWARDED = [
  "SIGINT",
  "SIGTERM",
  "SIGHUP",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGTSTP",
  "SIGCONT",
] as const;

/** Signals that a caller may have passed on to its command. */
export function isForwarded(name: string): name is typeof FORWARDED[number] {
  return (FORWARDED as readonly string[]).includes(name);
}
