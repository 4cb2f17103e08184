// Net free: whether this host could listen on addresses now, found out by doing it for a moment. Not the listening itself
// (mq's transport).
import * as net from "node:net";

/** Whether all of these addresses, "ip:port" or "[ip6]:port", are free. */
export async function areFree(addresses: readonly string[]): Promise<boolean> {
  for (const address of addresses) if (!await isFree(address)) return false;
  return true;
}

function isFree(address: string): Promise<boolean> {
  const at = address.lastIndexOf(":");
  const host = address.slice(0, at).replace(/^\[|\]$/g, "");
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", ({ code }: { code?: string }) => {
      // Without IPv6 it is not the port that is in the way.
      resolve(code === "EAFNOSUPPORT" || (code === "EADDRNOTAVAIL" && host === "::"));
    });
    const options = { host, port: Number(address.slice(at + 1)), ipv6Only: true };
    server.listen(options, () => server.close(() => resolve(true)));
  });
}
