// Prompt: one line that a person types on their terminal, shown or not. Not standard input, which may be something else's.
import * as fs from "node:fs";
import * as tty from "node:tty";

/** Whether there is a person at a terminal of this process. */
export function hasTerminal(): boolean {
  try {
    fs.closeSync(fs.openSync("/dev/tty", "r+"));
    return true;
  } catch {
    return false;
  }
}

/**
 * Asks on the terminal, and returns what was typed without its end of line; undefined: nothing, by ^C or ^D. `isHidden`: it is not
 * shown while it is typed.
 */
export async function ask(text: string, isHidden: boolean): Promise<string | undefined> {
  const fd = fs.openSync("/dev/tty", "r+");
  const keys = new tty.ReadStream(fd);
  keys.setRawMode(true); // before anybody is asked: nothing that is typed then is shown, or ends us
  try {
    fs.writeSync(fd, text);
    let line = "";
    for await (const part of keys) {
      for (const c of String(part)) {
        if (c === "\r" || c === "\n") return line;
        if (c === "\x03" || c === "\x04") return undefined;
        const isBack = c === "\x7f" || c === "\b";
        if (!isHidden && (isBack ? line !== "" : c >= " ")) fs.writeSync(fd, isBack ? "\b \b" : c);
        line = isBack ? line.slice(0, -1) : line + c;
      }
    }
    return undefined;
  } finally {
    keys.setRawMode(false);
    fs.writeSync(fd, "\r\n");
    keys.destroy();
  }
}
