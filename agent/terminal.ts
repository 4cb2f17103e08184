// Terminal: a pseudo-terminal of its own for one command, never the caller's. Not the command (run.ts).
import * as fs from "node:fs";
import { ReadStream } from "node:tty";
import { duplicate, setWindowSize, unlockPty } from "../mq/mod.ts";
import type { WindowSize } from "./streamtypes.ts";

/** Both ends of a new terminal. The command opens `path` as its descriptors 0 to 2. */
export class Terminal {
  readonly #master: number;
  readonly #slave: number;
  /** Where the command opens it. */
  readonly path: string;
  /** What the command writes. */
  readonly output: ReadStream;

  /** Makes a terminal; `uid` becomes its owner, so that the command can open it by name. */
  constructor(size: WindowSize, uid: number) {
    this.#master = fs.openSync("/dev/ptmx", fs.constants.O_RDWR | fs.constants.O_NOCTTY);
    this.path = `/dev/pts/${unlockPty(this.#master)}`;
    setWindowSize(this.#master, size.rows, size.columns);
    this.#slave = fs.openSync(this.path, fs.constants.O_RDWR | fs.constants.O_NOCTTY);
    fs.fchownSync(this.#slave, uid, fs.fstatSync(this.#slave).gid);
    fs.fchmodSync(this.#slave, 0o600);
    // A descriptor of its own, because who reads it closes it: two owners of one number close it twice.
    this.output = new ReadStream(duplicate(this.#master));
    this.output.once("close", () => fs.closeSync(this.#master));
    this.output.on("error", () => this.output.destroy()); // EIO: the command has closed its end
  }

  /** What the caller types. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.output.destroyed) return resolve();
      fs.write(this.#master, bytes, () => resolve());
    });
  }

  resize(size: WindowSize): void {
    if (!this.output.destroyed) setWindowSize(this.#master, size.rows, size.columns);
  }

  /** Called when the command has been started: the other end is the command's alone from now on. */
  handOver(): void {
    fs.closeSync(this.#slave);
  }
}
