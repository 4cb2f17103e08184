// QMP: one command to a machine's control socket, and its answer. QEMU Machine Protocol: a greeting, one JSON value on a line, events
// in between. Not what is said when (the templates).
import * as net from "node:net";
import { type Clock, Fault } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import { qmpAnswerMs, qmpBytesMax } from "./limits.ts";

/** A command of QMP by its name alone; those with arguments change what a machine is made of, which vm.json says. */
const COMMAND = /^[a-z][a-z0-9_-]{0,63}$/;

/**
 * What a machine answers to `command`.
 * @throws {Fault} usage; gone, when nobody answers in time; refused, with what QEMU says, when it does not want to
 */
export async function askQmp(clock: Clock, socketPath: string, command: string): Promise<unknown> {
  if (!COMMAND.test(command)) {
    throw new Fault("vm", "usage", `${inert(command)} is no command of QMP`, { hint: "isconf help vm" });
  }
  const socket = net.connect({ path: socketPath });
  const cancel = clock.after(qmpAnswerMs, () => socket.destroy(gone(`nothing came in ${qmpAnswerMs} ms`)));
  try {
    const answers = answersOf(socket);
    await answers.next();
    for (const execute of ["qmp_capabilities", command]) {
      socket.write(`${JSON.stringify({ execute })}\n`);
      const { done, value } = await answers.next();
      if (done && execute === "quit") return {}; // it was quick
      if (done) throw gone("it hung up");
      if (value.error !== undefined) {
        const said = (value.error as { desc?: unknown } | null)?.desc;
        throw new Fault("vm", "refused", `the machine does not do ${command}: ${inert(String(said))}`, {
          hint: "isconf vm status",
        });
      }
      if (execute === command) return value.return;
    }
  } catch (e) {
    throw e instanceof Fault ? e : gone((e as Error).message);
  } finally {
    cancel();
    socket.destroy();
  }
}

/** What comes, without events: the greeting, then answers. */
async function* answersOf(socket: net.Socket): AsyncGenerator<Record<string, unknown>, undefined> {
  let text = "";
  socket.setEncoding("utf8");
  for await (const part of socket) {
    text += part;
    if (text.length > qmpBytesMax) throw gone(`it says more than ${qmpBytesMax} bytes`);
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const value = JSON.parse(text.slice(0, end)) as Record<string, unknown> | null;
      text = text.slice(end + 1);
      if (typeof value === "object" && value !== null && value.event === undefined) yield value;
    }
  }
}

function gone(why: string): Fault {
  return new Fault("vm", "gone", `the machine does not answer: ${inert(why)}`, { hint: "isconf vm status" });
}
