// Limits of the API, each with its unit: events, tokens, answers that are given again, and what comes over TCP. The others are in limits.ts.

/**
 * Events that are kept, and after how many more the oldest go; entries before its first look that are told of; at one look; operations
 * of an entry that are named in its event; milliseconds that come together after a commit.
 */
export const eventsKeptMax = 50_000;
export const eventsPruneEach = 500;
export const eventBackfillMax = 500;
export const eventsLookMax = 500;
export const eventOpsMax = 50;
export const eventLookMs = 150;
/** Events in one answer; milliseconds for which somebody waits for one, and after which a stream says that it is still there. */
export const eventPageMax = 500;
export const eventWaitMsMax = 25_000;
export const eventPulseMs = 15_000;
/** Streams of events at the same time, of one uid. */
export const eventStreamsMax = 32;
/**
 * Tokens of the API: of one uid, days that one is good for unless said otherwise and at the most, characters of its note. Of a token's use
 * is noted that it was today or a moment ago, not each.
 */
export const apiTokensMax = 64;
export const apiTokenDaysDefault = 90;
export const apiTokenDaysMax = 3660;
export const apiTokenNoteMax = 200;
export const apiTokenUsedEachMs = 60_000;
/** Wrong tokens in so many milliseconds, after which none is looked at until they are over. */
export const apiTokenTriesMax = 100;
export const apiTokenTriesMs = 10_000;
/** Answers that are kept to be given again (Idempotency-Key): milliseconds, of one uid, bytes of one, characters of a key. */
export const answerKeptMs = 24 * 3_600_000;
export const answersPerUidMax = 1000;
export const answerBytesMax = 1024 * 1024;
export const answerKeyMax = 255;
/**
 * The API over TCP: connections, requests at the same time that ask root, those that wait for events, bytes of heads, of a target, of
 * an answer (contents stream), and milliseconds in which nothing comes or goes. Far below the files and the questions that a half may have open.
 */
export const httpConnectionsMax = 256;
export const httpAsksMax = 128;
export const httpStreamsMax = 64;
export const httpHeadBytesMax = 16 * 1024;
export const httpTargetBytesMax = 8 * 1024;
export const httpAnswerBytesMax = 16 * 1024 * 1024;
export const httpIdleMs = 60_000;
/**
 * Milliseconds for which an answer is given again over HTTP unless something has changed that we hear of, and how many such answers are kept.
 */
export const momentMs = 1_000;
export const momentsMax = 512;
/** Contents that stay in memory after they were read: bytes of one, of all, and milliseconds after which they go when nobody asks. */
export const blobMemoryOneMax = 4 * 1024 * 1024;
export const blobMemoryBytesMax = 32 * 1024 * 1024;
export const blobMemoryIdleMs = 30_000;
/** Roots of which is remembered what they are. */
export const blobMemoryRootsMax = 4096;
