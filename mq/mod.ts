// The door of mq: all that other folders may use of it.
// Not a place for code.
export type { Cancel, Clock } from "./clock.ts";
export { fraction, pause, sleep, systemClock, VirtualClock } from "./clock.ts";
export type { FaultJson, Kind, KindRow } from "./fault.ts";
export { Fault, KINDS } from "./fault.ts";
export {
  answerMs,
  askMs,
  asksPerPeerMax,
  cborBytesMax,
  cborDepthMax,
  cborItemsMax,
  faultTextMax,
  frameBytesMax,
  keysReadyMax,
  loopSliceMs,
  messageBytesMax,
  messageIdBytes,
  methodBytesMax,
  partialFrameMs,
  peersMax,
  queueBytesPerPeerMax,
  ringItemsMax,
  rumourPeersMax,
  seenPerPeerMax,
  topicBytesMax,
  transportLimits,
} from "./limits.ts";
export { bytesEqual, compareBytes, concat, fromHex, toHex } from "./bytes.ts";
export { sha256 } from "./hash.ts";
export type { Cbor } from "./cbor.ts";
export { decode, encode, encodeParts } from "./cbor.ts";
export type { CborLimits } from "./cbor_scan.ts";
export { scan } from "./cbor_scan.ts";
export type { Frame, FrameOptions } from "./frame.ts";
export {
  encodeFrame,
  FRAME_HEADER_BYTES,
  FRAME_VERSION,
  FrameDecoder,
  readFrames,
  writeFrame,
} from "./frame.ts";
export type { KeyPair } from "./ed25519.ts";
export { checkPublicKey, generateKeyPair, keyId, keyPairFromSecret, signRaw, verifyRaw } from "./ed25519.ts";
export type { Opened, SignContext } from "./sign.ts";
export { open1, sign1, verify1 } from "./sign.ts";
export type { Since } from "./ring.ts";
export { Ring } from "./ring.ts";
export { Bus } from "./bus.ts";
export type { Gate, PeerId, Transport } from "./transport.ts";
export { checkMessage } from "./transport.ts";
export { isPeerId, peerIdOf, publicKeyOf } from "./peer_id.ts";
export type { Link, MemoryNetworkOptions } from "./transport_memory.ts";
export { MemoryNetwork } from "./transport_memory.ts";
export { MESSAGE_KINDS, MESSAGE_VERSION } from "./message.ts";
export type { MqNodeOptions } from "./node.ts";
export { MqNode } from "./node.ts";
export {
  checkPeer,
  filesHandedMax,
  peerCredentials,
  receiveFiles,
  sendDatagram,
  sendFiles,
} from "./unix_socket.ts";
export type { UdpPlace } from "./udp_socket.ts";
export { bindUdp } from "./udp_socket.ts";
export type { PathLike, Stat } from "./libc.ts";
export {
  AT_FDCWD,
  chmodFd,
  chownAt,
  closeFd,
  closeOnExec,
  errnoCode,
  flock,
  keepOnExec,
  linkAt,
  lseekData,
  lseekHole,
  memfd,
  mkdirAt,
  O_PATH,
  openAt,
  readAt,
  readlinkAt,
  readNames,
  renameAt,
  setNonBlocking,
  statAt,
  symlinkAt,
  truncateFd,
  unlinkAt,
  utimensAt,
  writeAt,
} from "./libc.ts";
export type { FileEvent } from "./file_events.ts";
export { FAN, listenToFiles, openHandle, readFileEvents } from "./file_events.ts";
export {
  boundCapabilities,
  confineCalls,
  dropCapabilities,
  forbidNewRights,
  forbidRings,
  makeUntraceable,
} from "./confine.ts";
export type { Limit, Limits } from "./inherit.ts";
export { inheriting, lowerLimits, mayRaiseLimits, plainOomScore, RLIMITS } from "./inherit.ts";
export { forgetCached, punchHole, syncAllOf, syncFd } from "./libc_sync.ts";
export { makeDevice, mountAt, MS, pivotRoot } from "./mounts.ts";
export { isClockKept } from "./ntp.ts";
export type { Exit, Spawn } from "./process.ts";
export {
  duplicate,
  makePipe,
  makeSocketPair,
  setWindowSize,
  spawnProcess,
  unlockPty,
  unshareUmask,
  waitAny,
  waitChild,
} from "./process.ts";
export { getXattr, listXattr, removeXattr, setXattr } from "./xattr.ts";
