// Install order: what the boot server has told a machine, in the words of its kernel's command line, and telling that server how far the machine
// has come. What comes so is believed by nobody: the worst of it is another domain, or no installation. Not what is done (install.ts).
import * as http from "node:http";
import { Fault } from "../mq/mod.ts";
import { orderBytesMax, sayMs } from "./limits_images.ts";
import { inert } from "./names.ts";
import { logTextMax } from "./netboot/limits.ts";

export interface Order {
  join: string;
  host: string;
  /** Where it says how far it is; "": nobody wants to know. */
  log: string;
  /** "": it runs in memory. */
  image: string;
  /** "": its only disk. */
  disk: string;
  mayWipe: boolean;
  /** It is another host's twin, and says on its console which tree of files it has become. */
  isTwin: boolean;
  /** The consoles that this kernel was given, which the next one is given, too. */
  consoles: string[];
}

const WORD = /^isconf\.([a-z]+)=(\S+)$/;
const CONSOLE = /^console=[A-Za-z0-9,]{1,40}$/;

/**
 * The order in a kernel's command line; undefined: there is none.
 * @throws {Fault} usage, for words that isconf's boot servers do not write
 */
export function readOrder(cmdline: string): Order | undefined {
  const words = cmdline.slice(0, orderBytesMax).split(/\s+/);
  const order: Order = {
    join: "",
    host: "",
    log: "",
    image: "",
    disk: "",
    mayWipe: false,
    isTwin: false,
    consoles: [],
  };
  for (const word of words) {
    if (CONSOLE.test(word)) order.consoles.push(word);
    const [, name, value = ""] = WORD.exec(word) ?? [];
    switch (name) {
      case undefined:
        break;
      case "join":
      case "host":
      case "log":
      case "image":
      case "disk":
        order[name] = value;
        break;
      case "wipe":
        order.mayWipe = value === "yes";
        break;
      case "twin":
        order.isTwin = value === "yes";
        break;
      default:
        throw new Fault("install", "usage", `the kernel was given ${inert(word)}, which nobody here knows`, {
          hint: "an installer as new as the boot server: isconf image initrd --installer",
        });
    }
  }
  return order.join === "" ? undefined : order;
}

/**
 * Says a step to the boot server, with so much of it or some words. Whether it is heard changes nothing.
 */
export async function say(
  log: string,
  step: string,
  more: { percent?: number; text?: string } = {},
): Promise<void> {
  if (log === "") return;
  const percent = more.percent === undefined ? "" : ` ${Math.floor(more.percent)}%`;
  const body = `${step}${percent}${
    more.text === undefined ? "" : ` ${inert(more.text).slice(0, logTextMax)}`
  }`;
  await new Promise<void>((resolve) => {
    try {
      const req = http.request(log, { method: "POST", timeout: sayMs, agent: false }, (res) => {
        res.resume().on("close", resolve);
      });
      req.on("timeout", () => req.destroy()).on("error", () => resolve()).end(body);
    } catch {
      resolve(); // no URL
    }
  });
}
