// Preview words: what a preview says: what was changed, and the few requests between an agent and the process that it
// previews in. Types and names, for both and for the command line; nothing that does anything.
import type { Cbor } from "../mq/mod.ts";

/** What a name is, before or after. */
export interface Side {
  kind: "file" | "dir" | "link" | "fifo" | "socket" | "device";
  /** Permissions with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Of a file, in bytes. */
  size?: number;
  /** Of a link, as people see it. */
  target?: string;
  /** Of a device: "c 1:3". */
  device?: string;
}

/** One path that would be different. */
export interface Change {
  /** As people see it; `pathBase64` are its bytes where these are others. */
  path: string;
  pathBase64?: string;
  change: "created" | "changed" | "removed";
  /** Of what is changed: content, mode, owner, mtime, kind. */
  what?: string[];
  before?: Side;
  after?: Side;
  /** Another path of the list that is the same file. */
  sameFileAs?: string;
  /** Of a file whose content is changed: how, as a unified diff, or why that is not said. */
  diff?: string;
  noDiff?: string;
}

/** What of this host is not there in a preview, and why. */
export interface Absent {
  path: string;
  why: string;
}

/** Every request that an agent makes of a preview's process. There are no others. */
export const PREVIEW_REQUESTS = [
  "open", // [scratch directory, [hidden directory…]] → [[path, why]…]: what of this host is not there
  "run", // RunWords → [code or null, signal or null]
  "user", // name, or "" for who it is → User: what is changed there may be about users
  "find", // [command, cwd, directories to search] → [file, executable, there or missing]
  "file", // [path, id of a tree] → null; the path has that content, as `up` does it
  "delete", // path → null; it is gone
  "diff", // DiffWords → [how a file is other than it was said, or "", why that is not shown, or ""]
  "signal", // number or name → null; to the group of what runs
  "end", // null → null: nothing runs there any more
  "changes", // whether all contents are shown → the next piece of the list as JSON; an empty one: that was all
] as const;
export type PreviewRequest = typeof PREVIEW_REQUESTS[number];

/** What a preview's process asks its agent. */
export const PREVIEW_QUESTIONS = [
  "missing", // [id…] → those that are not in the store
  "get", // [id…] → as many of the objects as fit into one answer, at least one
] as const;
export type PreviewQuestion = typeof PREVIEW_QUESTIONS[number];

/** A file there, and what its content was said to be: where that is in isfs, its size and runs; and who may see either. */
export type DiffWords = [
  path: Uint8Array,
  content: string,
  size: number,
  runs: [offset: number, length: number][] | null,
  isForAll: boolean,
  all: boolean,
];

/** A program to run there; its input is a file of isfs, or what the process was given. */
export type RunWords = [
  file: string,
  argv: string[],
  env: string[],
  cwd: string,
  umask: number,
  newSession: boolean,
  input: string | null,
];

/** Such a program as it is sent. */
export const runWords = (words: RunWords): Cbor => words as unknown as Cbor;
