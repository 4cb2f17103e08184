// UDP: sockets of the boot servers: at an address, or one that was bound before rights were given up and is handed in as a descriptor.
// Not what is said over them.
import dgram from "node:dgram";
import { Fault } from "../../mq/mod.ts";
import type { End } from "./proxy.ts";

/** Where a server listens. A descriptor that is handed in belongs to the server from then on. */
export type Bind = { fd: number } | { address: string; port: number };

/** A socket that is open. */
export interface Udp {
  /** Where it is bound. */
  end: End;
  /** Sends, or loses the packet as a wire would; `lost` hears of what the system said. */
  send(bytes: Uint8Array, to: End): void;
  /** Closes it when everything is sent. */
  close(): Promise<void>;
}

export interface UdpOptions {
  /** Several sockets of one port, at an address and at all of them, and packets to everybody. */
  isShared?: boolean;
  heard(bytes: Uint8Array, from: End): void;
  lost(message: string): void;
}

/** Opens a socket. Throws an environment fault when it cannot be bound. */
export async function openUdp(bind: Bind, { isShared = false, heard, lost }: UdpOptions): Promise<Udp> {
  const socket = dgram.createSocket({ type: "udp4", reuseAddr: isShared });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ ...bind, exclusive: true }, resolve);
    });
    if (isShared) socket.setBroadcast(true);
  } catch (e) {
    socket.close();
    throw unbound(bind, e);
  }
  socket.removeAllListeners("error");
  socket.on("error", (e) => lost(e.message));
  socket.on("message", (bytes, { address, port }) => heard(bytes, { address, port }));
  const { address, port } = socket.address();
  let isClosed = false, waiting = 0;
  let allSent = () => {};
  return {
    end: { address, port },
    send(bytes, to) {
      if (isClosed || to.port === 0) return; // a stranger may come from port 0, which nothing can be sent to
      waiting++;
      socket.send(bytes, to.port, to.address, (e) => {
        if (e) lost(e.message);
        if (--waiting === 0) allSent();
      });
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      if (waiting > 0) await new Promise<void>((resolve) => allSent = resolve);
      await new Promise<void>((resolve) => socket.close(() => resolve()));
    },
  };
}

function unbound(bind: Bind, e: unknown): Fault {
  const where = "fd" in bind ? "a port that was handed over" : `port ${bind.port} of ${bind.address}`;
  return new Fault("netboot", "environment", `${where} cannot be listened on: ${(e as Error).message}`, {
    hint: "ss -lunp: another server may have it",
    cause: e,
  });
}
