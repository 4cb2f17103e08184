// Limits: every maximum of isfs, by name and with its unit. Not a place for policy.

const KiB = 1024;
const MiB = 1024 * KiB;

/** Largest object that a store takes, in bytes: what one message between hosts can carry. */
export const objectBytesMax = MiB;
/** Most bytes in one call of `put`, or in one answer of `get`. */
export const batchBytesMax = 8 * MiB;
/** Most ids in one call of a store. */
export const batchIdsMax = 8192;

/** Length of the chunks that `fixedCutter` cuts, in bytes. */
export const chunkBytes = MiB;
/** Largest file that is carried inside its manifest, in bytes. */
export const inlineBytesMax = 4 * KiB;
/** Most parts in one manifest; a file with more gets manifests of manifests. */
export const manifestPartsMax = 8192;
/** Deepest manifest of manifests; at 1 MiB a chunk, more than any file system holds. */
export const manifestLevelMax = 3;
/** Chunk bytes gathered before they go to the store, and fetched ahead of a reader. */
export const windowBytes = 4 * MiB;

/** Largest encoded node of a tree, in bytes: what the CBOR reader takes at once. */
export const nodeBytesMax = MiB;
/** A node that is longer than this stands as an object of its own and not inside its directory, in bytes. */
export const nodeInlineBytesMax = 8 * KiB;
/** Encoded entries after which a directory starts its next page, in bytes. */
export const pageBytes = 128 * KiB;
/** Most pages of a directory: about 40 million names. */
export const pagesMax = 16_384;
/** Deepest directory of a tree below its root; one descriptor is open for each level. */
export const treeDepthMax = 512;
/** Most data runs of a sparse file; beyond it the smallest holes are kept as zeros. */
export const runsMax = 16_384;
/** Bytes read from a file at a time. */
export const readBytes = MiB;
/** Most symbolic links followed on the way to a path. */
export const linksFollowedMax = 40;
/** A temporary file of a crashed process is removed when it is older than this, in milliseconds. */
export const leftoverMs = 3_600_000;
/** Directories remembered as already searched for leftovers. */
export const sweptMax = 10_000;

/** Shortest prefix of an id that is looked up, in hex digits. */
export const idPrefixMin = 6;
/** Longest label of a catalog row, in UTF-8 bytes. */
export const labelBytesMax = 4096;
/** How long a database that another process is writing to is waited for, in milliseconds. */
export const busyMs = 10_000;
/** How often a new database is switched to WAL while another process does the same. */
export const walTriesMax = 100;
/** Objects that `fsck` reads before it lets others run. */
export const fsckBatch = 64;
/** Prepared statements kept per database. */
export const statementsMax = 512;
