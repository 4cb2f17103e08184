// UNIX sockets by FFI: who is at the other end, and open files handed to him. Not a protocol; what he may is not known here.
import { constants } from "node:os";
import { addressOf, call, closeFd, cstr, errnoCode, systemError } from "./libc.ts";

const [AF_UNIX, SOCK_DGRAM_CLOEXEC] = [1, 2 | 0o2000000];
const [SOL_SOCKET, SO_PEERCRED, SCM_RIGHTS] = [1, 17, 1];
const [MSG_CTRUNC, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_CMSG_CLOEXEC] = [0x8, 0x40, 0x4000, 0x40000000];
/** Files handed over in one message, and the room that their control message takes, in bytes. */
export const filesHandedMax = 4;
const controlBytes = 16 + 4 * filesHandedMax;
/** Where things stand in {@link Message}: fields of the header first. */
const AT = {
  vector: 16,
  vectorLength: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  iov: 56,
  byte: 72,
  files: 80,
  end: 80 + controlBytes,
};

/**
 * SO_PEERCRED (unix(7)): who was at the other end when a UNIX socket was connected. Fails closed: an answer that names
 * nobody (pid 0, uid or gid -1) throws EACCES.
 */
export function peerCredentials(fd: number): { pid: number; uid: number; gid: number } {
  const out = new Uint32Array([0, 0xffffffff, 0xffffffff]);
  const length = new Uint32Array([12]);
  call("getsockopt", fd, SOL_SOCKET, SO_PEERCRED, new Uint8Array(out.buffer), new Uint8Array(length.buffer));
  return checkPeer(out, length[0]!);
}

/** The judgement of {@link peerCredentials} on what the kernel wrote: [pid, uid, gid] and its length in bytes. */
export function checkPeer(out: Uint32Array, bytes: number): { pid: number; uid: number; gid: number } {
  const [pid = 0, uid = 0xffffffff, gid = 0xffffffff] = out;
  if (bytes !== 12 || pid === 0 || pid > 0x7fffffff || uid === 0xffffffff || gid === 0xffffffff) {
    throw systemError("getsockopt", constants.errno.EACCES);
  }
  return { pid, uid, gid };
}

/**
 * Hands the open files `fds`, at most {@link filesHandedMax}, over a connected UNIX socket, with one byte, the first that
 * the other end reads (SCM_RIGHTS, unix(7)). Ours stay open.
 */
export function sendFiles(socket: number, fds: readonly number[]): void {
  const message = new Message();
  message.setFiles(fds);
  call("sendmsg", socket, message.bytes, MSG_NOSIGNAL);
}

/**
 * The files that {@link sendFiles} handed over, ours from now on, close-on-exec; undefined when nothing has come yet. An
 * end of the connection, or more files than fit, is an error with the code EPROTO.
 */
export function receiveFiles(socket: number): number[] | undefined {
  const message = new Message();
  let read: number;
  try {
    read = call("recvmsg", socket, message.bytes, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } catch (e) {
    if (errnoCode(e) === "EAGAIN") return undefined;
    throw e;
  }
  const fds = message.files;
  if (read === 1 && !message.isCut) return fds;
  for (const fd of fds) call("close", fd);
  throw systemError("recvmsg", constants.errno.EPROTO);
}

/**
 * Sends one datagram to the UNIX socket at `path`, without waiting. Throws ENOENT or ECONNREFUSED where nobody listens, EAGAIN
 * where whoever does is behind, EMSGSIZE when it is longer than the system lets it be.
 */
export function sendDatagram(path: string, bytes: Uint8Array): void {
  const name = cstr(path);
  const address = new Uint8Array(2 + name.length);
  address[0] = AF_UNIX;
  address.set(name, 2);
  const fd = call("socket", AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  try {
    call(
      "sendto",
      fd,
      bytes,
      BigInt(bytes.length),
      MSG_DONTWAIT | MSG_NOSIGNAL,
      address,
      address.length,
    );
  } finally {
    closeFd(fd);
  }
}

/** A struct msghdr (recvmsg(2)) for one byte with a control message, and behind it, in the same bytes, what it points to. */
class Message {
  readonly bytes = new Uint8Array(new ArrayBuffer(AT.end));
  readonly #view = new DataView(this.bytes.buffer);

  constructor() {
    const start = addressOf(this.bytes);
    this.#view.setBigUint64(AT.vector, start + BigInt(AT.iov), true);
    this.#view.setBigUint64(AT.vectorLength, 1n, true);
    this.#view.setBigUint64(AT.control, start + BigInt(AT.files), true);
    this.#view.setBigUint64(AT.controlLength, BigInt(controlBytes), true);
    this.#view.setBigUint64(AT.iov, start + BigInt(AT.byte), true);
    this.#view.setBigUint64(AT.iov + 8, 1n, true);
  }

  setFiles(fds: readonly number[]): void {
    const length = 16 + 4 * fds.length;
    fds.forEach((fd, i) => this.#view.setInt32(AT.files + 16 + 4 * i, fd, true));
    this.#view.setBigUint64(AT.files, BigInt(length), true);
    this.#view.setInt32(AT.files + 8, SOL_SOCKET, true);
    this.#view.setInt32(AT.files + 12, SCM_RIGHTS, true);
    this.#view.setBigUint64(AT.controlLength, BigInt(fds.length === 0 ? 0 : length), true);
  }

  get files(): number[] {
    const v = this.#view;
    const end = Math.min(
      Number(v.getBigUint64(AT.controlLength, true)),
      Number(v.getBigUint64(AT.files, true)),
      controlBytes,
    );
    const isFiles = v.getInt32(AT.files + 8, true) === SOL_SOCKET &&
      v.getInt32(AT.files + 12, true) === SCM_RIGHTS;
    const fds: number[] = [];
    for (let at = 16; isFiles && at + 4 <= end; at += 4) fds.push(v.getInt32(AT.files + at, true));
    return fds;
  }

  /** Whether more files were sent than there was room for. */
  get isCut(): boolean {
    return (this.#view.getInt32(AT.flags, true) & MSG_CTRUNC) !== 0;
  }
}
