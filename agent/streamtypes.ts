// The frame types of an executed command's stream, for both ends. Loaded by the thin command line.

/** The protocol's name in the Upgrade header. */
export const STREAM_PROTOCOL = "isconf-stream";

/** Frame types: below 16 from the caller, from 16 on from the agent. */
export const STREAM = {
  start: 1,
  stdin: 2,
  stdinEnd: 3,
  signal: 4,
  windowSize: 5,
  stdout: 16,
  stderr: 17,
  event: 18,
  result: 19,
  fault: 20,
  piece: 21,
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

/** Characters of a terminal. */
export interface WindowSize {
  rows: number;
  columns: number;
}

/** A window size as sent, `ROWSxCOLUMNS`; undefined when it is none a terminal can have. */
export function parseWindowSize(text: string): WindowSize | undefined {
  const m = /^([0-9]{1,4})x([0-9]{1,4})$/.exec(text);
  return m === null ? undefined : { rows: Number(m[1]), columns: Number(m[2]) };
}
