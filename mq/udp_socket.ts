// UDP sockets by FFI, bound while there are rights to do it, for a process that will not have them. Not what is said over them.
import { call, closeFd } from "./libc.ts";

const [AF_INET, SOCK_DGRAM_CLOEXEC_NONBLOCK] = [2, 2 | 0o2000000 | 0o4000];
const [SOL_SOCKET, SO_REUSEADDR, SO_BROADCAST, SO_BINDTODEVICE] = [1, 2, 6, 25];

/** Where a socket is bound: an IPv4 address and a port, and the interface whose packets alone it sees and sends. */
export interface UdpPlace {
  address: string;
  port: number;
  device: string;
}

/**
 * A UDP socket of IPv4 that may send to everybody and share its port with others of us (socket(7), ip(7)); closed when this process
 * starts a program. Throws a system error: EACCES without the right to a port below 1024, EADDRINUSE, ENODEV.
 */
export function bindUdp({ address, port, device }: UdpPlace): number {
  const fd = call("socket", AF_INET, SOCK_DGRAM_CLOEXEC_NONBLOCK, 0);
  try {
    const yes = new Uint8Array(new Uint32Array([1]).buffer);
    for (const option of [SO_REUSEADDR, SO_BROADCAST]) call("setsockopt", fd, SOL_SOCKET, option, yes, 4);
    const name = new TextEncoder().encode(device);
    call("setsockopt", fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length);
    const to = new Uint8Array(16); // struct sockaddr_in
    to.set([AF_INET, 0, port >> 8, port & 255, ...address.split(".").map(Number)]);
    call("bind", fd, to, to.length);
    return fd;
  } catch (e) {
    closeFd(fd);
    throw e;
  }
}
