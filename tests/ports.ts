// ports: TCP ports of loopback that nobody listens on, and that no connection is given. Not a test.
import * as net from "node:net";

/** Below the ports that Linux gives to outgoing connections, so that a server that starts again finds its own free. */
const FROM = 12_000;
const BELOW = 32_000;
const TRIES = 1_000;

/** So many, all different, that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  for (let tries = 0; tries < TRIES && found.size < count; tries++) {
    const port = FROM + Math.floor(Math.random() * (BELOW - FROM));
    if (await isFree(port)) found.add(port);
  }
  if (found.size < count) throw new Error(`fewer than ${count} free ports in ${FROM} to ${BELOW}`);
  return [...found];
}

/** One of them. */
export const freePort = async (): Promise<number> => (await freePorts(1))[0]!;

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
