// Limits: every maximum and every waiting time of mq, by name and with its unit.
// Not a place for policy: a user of mq passes a smaller number where it needs one.

const KiB = 1024;
const MiB = 1024 * KiB;

/** Longest message that a transport carries, in bytes: an object of isfs and what wraps it. */
export const messageBytesMax = MiB + 64 * KiB;
/** Longest body of one frame, in bytes: one message of {@link messageBytesMax} and what wraps it. */
export const frameBytesMax = messageBytesMax + 4 * KiB;
/** How long a frame may take from its first byte to its last, in milliseconds. */
export const partialFrameMs = 30_000;
/** How long frames of one stream are handed out before the event loop gets its turn, in milliseconds. */
export const loopSliceMs = 10;

/** Longest CBOR text that is looked at, in bytes. */
export const cborBytesMax = messageBytesMax;
/** Length from which a byte string is decoded as a view of what it came in, and not copied, in bytes. */
export const viewBytesMin = 64 * KiB;
/** Deepest nesting of arrays and maps. */
export const cborDepthMax = 16;
/** Most data items (each key, value, array and map counts as one) in one CBOR text. */
export const cborItemsMax = 131_072;
/** Memory in which values are written before they are copied to where they stay, in bytes; longer ones get their own. */
export const scratchBytes = 64 * KiB;
/** Encoded keys that are kept. */
export const cborKeysKept = 256;

/** Public keys kept ready for verification, in keys. */
export const keysReadyMax = 1024;

/** Most bytes waiting to be sent to one peer. */
export const queueBytesPerPeerMax = 8 * MiB;
/** Longest name of a topic, in UTF-8 bytes. */
export const topicBytesMax = 64;
/** Peers, chosen by chance, that a rumour is told to: who finds it new tells it on (Demers et al., 1987). */
export const rumourPeersMax = 6;
/** Peers of which is remembered that rumours came of them lately. */
export const tellersMax = 16;

/** How long an answer is waited for, in milliseconds, unless the asker says otherwise. */
export const askMs = 10_000;
/** How long an answerer may work on one question, in milliseconds. */
export const answerMs = 60_000;
/** Questions to one peer, or from one peer, that are open at the same time. */
export const asksPerPeerMax = 64;
/** Length of the id of a message, in bytes: nobody guesses it. */
export const messageIdBytes = 16;
/** Longest name of a method, in UTF-8 bytes. */
export const methodBytesMax = 64;
/** Latest message ids remembered per peer, so that a duplicate is not handled twice. */
export const seenPerPeerMax = 256;
/** Peers about which something is remembered (ids seen, complaints logged). */
export const peersMax = 1024;
/** Longest text of a fault that travels, in UTF-16 code units. */
export const faultTextMax = 1024;

/** Items that a ring holds unless its maker says otherwise. */
export const ringItemsMax = 4096;

/** Hosts that one secret is sealed for, at most. */
export const sealRecipientsMax = 1000;
/** Longest header of a sealed file that is read, in bytes: 98 are needed for each host, and 70. */
export const sealHeaderBytesMax = 128 * KiB;
/** Shortest plaintext of a sealed file, padded, in bytes: whatever would be shorter looks the same. */
export const sealPaddedBytesMin = 256;
/** How much is sealed or unsealed before the event loop gets its turn, in bytes: some 6 ms of work. */
export const sealSliceBytes = 512 * KiB;

/** What one transport over a network may use, and how long it waits; each can be said otherwise to its constructor. */
export const transportLimits = {
  /** Connections in all, of peers and strangers. */
  connectionsMax: 256,
  /** Connections with one remote IP address. */
  connectionsPerAddressMax: 64,
  /** Connections with one peer; the oldest is cut off for a new one, because it may be dead. */
  connectionsPerPeerMax: 4,
  /** Connections that one remote IP address may open in a second. */
  connectionsPerAddressPerSecond: 32,
  /** Connections that the kernel keeps until we take them, so that a flood delays others less. */
  connectionsWaitingMax: 2048,
  /** Connections whose handshake is going on. */
  handshakesMax: 64,
  /** The same, from one remote IP address. */
  handshakesPerAddressMax: 8,
  /** How long a handshake may take, in milliseconds. */
  handshakeMs: 4_000,
  /** Streams that a peer may have open on one connection. */
  streamsPerConnectionMax: 64,
  /** How much of a stream may be on its way unread, in bytes: it grows up to this while the reader keeps up. */
  streamWindowBytesMax: 4 * MiB,
  /** How much of a stream may wait for a reader that never comes, in bytes. */
  unreadBytesMax: 512 * KiB,

  /** Strangers connected at a time: peers that proved a key and are not let in. */
  strangersMax: 64,
  /** The same, from one remote IP address. */
  strangersPerAddressMax: 16,
  /** Most bytes that are taken from a stranger on one connection. */
  strangerBytesMax: 4 * MiB,
  /** How long a connection may last on which no messages flow, in milliseconds: a stranger's, above all. */
  strangerMs: 10_000,
  /** Questions that are answered on one connection, and asked on it. */
  questionsMax: 32,
  /** Longest question and longest answer of an introduction, in bytes. */
  questionBytesMax: 64 * KiB,
  /** How long an answer to such a question may take, in milliseconds. */
  questionMs: 8_000,

  /** Peers that we keep dialling for; more may dial us. */
  connectionsWanted: 32,
  /** Dials at a time; one lasts until messages flow or the connection ends. */
  dialsMax: 16,
  /** How long one address may take to be dialled, with its handshake, in milliseconds. */
  dialMs: 4_000,
  /** Longest pause before the first dial that follows a failure or a lost connection, in milliseconds. */
  redialFirstMs: 250,
  /** How many times longer each further pause is. */
  redialFactor: 2,
  /** Longest pause between two dials of one peer, in milliseconds; half of it is added by chance. */
  redialMsMax: 300_000,
  /** Dials of an address that never worked and where somebody else answers, before it is forgotten. */
  foreignTriesMax: 8,
  /** How long a stream that was refused is left before it is tried again, in milliseconds. */
  reopenMs: 500,

  /** Peers whose addresses are remembered. */
  knownPeersMax: 1024,
  /** Addresses remembered of one peer. */
  addressesPerPeerMax: 8,
  /** Peers whose addresses are told to a new peer. */
  peersToldMax: 64,

  /** How often a peer to which nothing is sent hears that we are there, in milliseconds. */
  pulseMs: 10_000,
  /** How long a peer may be silent before its connection is cut off, in milliseconds. */
  silenceMs: 35_000,
  /** How often peers are looked for on the local network by one of them, in milliseconds; all of them answer each time. */
  discoverMs: 60_000,
};
