// Lines: a stream of bytes as lines of text, and those as Server-Sent Events (HTML, section 9.2). Not who asks for it (api.ts).
import { lineBytesMax } from "./limits.ts";
import { Misshapen } from "./shape.ts";

/** The lines of a stream, without their ends. Throws when one is longer than `lineBytesMax`. */
export async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() as string;
    if (rest.length > lineBytesMax) throw new Misshapen("a line of the stream", "shorter than a mebibyte");
    for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
  }
  if (rest !== "") yield rest;
}

/** One event: the cursor it leaves, its type, its data. */
export interface Sent {
  id: string;
  event: string;
  data: string;
}

/** The events among the lines; comments (which keep the line open) and fields of no meaning here are passed over. */
export async function* eventsOf(lines: AsyncIterable<string>): AsyncGenerator<Sent> {
  let id = "";
  let event = "";
  let data: string[] = [];
  for await (const line of lines) {
    if (line === "") {
      if (data.length > 0) yield { id, event: event || "message", data: data.join("\n") };
      event = "";
      data = [];
      continue;
    }
    const at = line.indexOf(":");
    const field = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
    else if (field === "id" && !value.includes("\0")) id = value;
  }
}

/** The bytes of a body, of which not every browser can be asked in a loop. */
export async function* bytesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined); // it is broken already
  }
}
