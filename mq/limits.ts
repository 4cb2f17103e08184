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
/** Deepest nesting of arrays and maps. */
export const cborDepthMax = 16;
/** Most data items (each key, value, array and map counts as one) in one CBOR text. */
export const cborItemsMax = 131_072;

/** Public keys kept ready for verification, in keys. */
export const keysReadyMax = 1024;

/** Most bytes waiting to be sent to one peer. */
export const queueBytesPerPeerMax = 8 * MiB;
/** Longest name of a topic, in UTF-8 bytes. */
export const topicBytesMax = 64;
/** Peers, chosen by chance, that a rumour is told to: who finds it new tells it on (Demers et al., 1987). */
export const rumourPeersMax = 6;

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
