// Limits of the page, each with its unit. Not the agent's (agent/limits.ts), which bound what it answers.

/** How long an answer may take before it is given up, and before people are told that it takes long. */
export const answerMs = 30_000;
export const slowMs = 2_000;
/** Of what reads the disk or asks every host, and of what waits for its turn: how long that may take. */
export const workMs = 10 * 60_000;
/** Bytes of one answer; of one line or event of a stream. */
export const answerBytesMax = 64 * 1024 * 1024;
export const lineBytesMax = 1024 * 1024;
/** How often status is asked for: where the agent tells events, where it does not, and at the most when events come. */
export const statusEachMs = 60_000;
export const pollEachMs = 15_000;
export const eventRestMs = 3_000;
/** How often it is asked how far machines that boot have come, while that is looked at. */
export const bootEachMs = 3_000;
/** How long until a stream that ended is asked for again: at first, and at the most. */
export const againMs = 1_000;
export const againMsMax = 30_000;
/** Events that are kept to be shown; those said aloud by a screen reader, in so many milliseconds at the most. */
export const eventsKept = 500;
export const sayEachMs = 4_000;
/** Rows of a page of a table; entries of a journal at first, and at the most. */
export const rowsPerPage = 50;
export const entriesFirst = 50;
export const entriesMax = 10_000;
/** Characters of a text that stays on one line of a table. */
export const shortMax = 28;
/** Characters of one text, lines and characters of one output: the rest is counted. */
export const textMax = 4_000;
export const outputMax = 256 * 1024;
/** Lines of progress that an act shows. */
export const progressLinesMax = 2_000;
