// Limits: every maximum of isfs, by name and with its unit. Not a place for policy.

const KiB = 1024;
const MiB = 1024 * KiB;

/** Largest object that a store takes, in bytes: what one message between hosts can carry. */
export const objectBytesMax = MiB;
/** Most bytes in one call of `put`, or in one answer of `get`. */
export const batchBytesMax = 8 * MiB;
/** Most ids in one call of a store. */
export const batchIdsMax = 8192;

/** Lengths of the chunks that `contentCutter` cuts, in bytes: the shortest, about the mean, the longest. */
export const cutBytesMin = 16 * KiB;
export const cutBytes = 64 * KiB;
export const cutBytesMax = 256 * KiB;
/** Largest file that is carried inside its manifest, in bytes. */
export const inlineBytesMax = 4 * KiB;
/** Most parts in one manifest; a file with more gets manifests of manifests. */
export const manifestPartsMax = 8192;
/** Deepest manifest of manifests; at 1 MiB a chunk, more than any file system holds. */
export const manifestLevelMax = 3;
/** Chunk bytes gathered before they go to the store, and fetched ahead of a reader. */
export const windowBytes = 4 * MiB;

/** Bytes of a file that are read, cut and put together, and how many times as much may be written and not durable yet. */
export const putWindowBytes = 4 * MiB;
export const putWindowsMax = 16;

/** What is written to a pack at once and is at least so large is not kept in the memory of the system when it is on the disk. */
export const uncachedBytes = MiB;

/** Memory for what a reader of one file is given at once: `windowBytes` of objects, and what stands between them. */
export const readRoomBytes = windowBytes + MiB;

/** Bytes of objects that are held because a reader will ask for them. */
export const aheadBytesMax = 16 * MiB;
/** Names of a directory whose contents are read together. */
export const aheadNames = 256;
/** Bytes of contents that are read together. */
export const aheadBytes = 4 * MiB;

/** Bytes after which objects that nobody has asked for yet are sent. */
export const walkedBytes = 256 * KiB;
/** Bytes of such objects that are kept until they are asked for. */
export const walkedHeldBytes = 16 * MiB;

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
/** A file of a tree of at most so many bytes is read at once. */
export const smallFileBytes = 256 * KiB;
/** Contents of large files that are remembered while a tree is put; with more, what it reaches is looked for at the end. */
export const othersMax = 65_536;
/** Bytes of files, names and attributes that are told of a tree at once. */
export const stepBytes = MiB;
/** Items of CBOR after which what is told is sent; the largest node then still goes into one message with them. */
export const stepItemsMax = 49_152;
/** Bytes read from a file at a time. */
export const readBytes = MiB;
/** Most symbolic links followed on the way to a path. */
export const linksFollowedMax = 40;
/** A temporary file of a crashed process is removed when it is older than this, in milliseconds. */
export const leftoverMs = 3_600_000;
/** Directories remembered as already searched for leftovers. */
export const sweptMax = 10_000;

/** Longest pax header, or long name, of a tar entry, in bytes: what other readers take too. */
export const tarPaxBytesMax = MiB;
/** Largest file of a cpio archive of the form newc, in bytes: its sizes have 32 bits. */
export const cpioFileBytesMax = 0xffff_ffff;
/** Longest path in such an archive, in bytes: the kernel passes over what is longer, and says nothing. */
export const cpioPathBytesMax = 4095;
/** Bytes of such an archive that are given at a time. */
export const cpioPieceBytes = 256 * KiB;
/** Largest index, manifest or configuration of an OCI image, in bytes: what registries take. */
export const ociJsonBytesMax = 4 * MiB;
/** Most names in an OCI archive. */
export const ociNamesMax = 16_384;
/** Most indexes and manifests looked at when an image is picked. */
export const ociManifestsMax = 1024;
/** Deepest index inside indexes. */
export const ociIndexDepthMax = 4;
/** Most layers of an image. */
export const ociLayersMax = 512;
/** Longest name of an image in an archive, in characters. */
export const ociRefMax = 255;
/** Longest OCI archive, and most bytes that the layers of an image unpack to, in bytes. */
export const ociBytesMax = 65_536 * MiB;
/** Memory for the names and attributes of all layers of an image together, in bytes: about a million names. */
export const ociTreeBytesMax = 512 * MiB;
/** What a name counts for in that, besides its own bytes. */
export const ociNameBytes = 512;
/** Memory that a zstd layer may ask for, as a power of two: 128 MiB, what zstd itself allows unasked. */
export const zstdWindowLogMax = 27;
/** Bytes of a layer unpacked at a time. */
export const unpackBytes = 64 * KiB;
/** Bytes of zeros given at a time for a hole. */
export const zeroBytes = 64 * KiB;
/** Pieces of such zeros before others run. */
export const zeroBatch = 64;

/** Shortest prefix of an id that is looked up, in hex digits. */
export const idPrefixMin = 6;
/** Longest label of a catalog row, in UTF-8 bytes. */
export const labelBytesMax = 4096;
/** How long a database that another process is writing to is waited for, in milliseconds. */
export const busyMs = 10_000;
/** How often the journal of a database is switched while another process does the same. */
export const journalTriesMax = 100;
/** A pack of at least so many bytes is not appended to any more. */
export const packBytes = 256 * MiB;
/** Bytes that stay free on the disk when objects are put: gc writes before it gives anything back. */
export const diskReserveBytes = 8 * MiB;
/** Bytes that are put until it is looked again how much of its quota a store takes. */
export const roomLookBytes = 256 * MiB;
/** Shorter objects are not compressed, in bytes. */
export const compressBytesMin = 256;
/** An object is kept compressed when that saves at least this share of it. */
export const compressSavesMin = 1 / 16;
/** Bytes of an object that are tried, before the whole of it is. */
export const compressTrialBytes = 8 * KiB;
/** Packs that are kept open for reading. */
export const packsOpenMax = 64;
/** Objects that `fsck` reads before it lets others run. */
export const fsckBatch = 64;
/** Rows whose sums `fsck` compares in one statement before it lets others run. */
export const fsckRowsBatch = 16_384;
/** Bytes of a pack that a rebuild of the database reads at a time. */
export const rebuildReadBytes = 4 * MiB;
/** Objects that a rebuild writes in one transaction before it lets others run. */
export const rebuildBatch = 1024;
/** Bytes of a page of a database: what SQLite makes them unless it is told otherwise. */
export const databasePageBytes = 4 * KiB;
/** What SQLite says of a damaged database: at most so many sentences. */
export const databaseComplaintsMax = 100;
/** Objects that `gc` drops, or extents that it keeps, before it lets others run. */
export const gcBatch = 1024;
/** Objects that `gc` marks or checks in one statement before it lets others run. */
export const gcMarkBatch = 16_384;
/** Objects that are looked into before others run, when what roots reach is followed. */
export const reachBatch = 256;
/** Packs are given back to the disk in blocks of so many bytes. */
export const blockBytes = 4 * KiB;
/** Objects that `share` marks in one transaction before it lets others run. */
export const shareBatch = 256;
/** Prepared statements kept per database. */
export const statementsMax = 512;

/** Most ids in one question of a peer which objects are here. */
export const haveIdsMax = 1024;
/** Most ids in one question of a peer for objects. */
export const getIdsMax = 128;

/** Peers that are asked for objects at the same time. */
export const fetchPeersMax = 16;
/** Open questions for objects to one peer, each for about `objectBytesMax` bytes. */
export const fetchWindow = 3;
/** With several peers a question is for at least this many bytes, however little is left. */
export const fetchQuestionBytesMin = 64 * KiB;
/** An object of unknown length (structure) counts as this long when a question is filled, in bytes. */
export const fetchGuessBytes = 8 * KiB;
/** Objects that a fetch looks for at the same time; while there are more it walks no further. */
export const fetchWantedMax = 16_384;
/** Objects known by name but not yet looked at; a tree that needs more is refused. */
export const fetchStackMax = 262_144;
/** Objects that one fetch looks at, here or not; a root that needs more is refused. */
export const fetchLooksMax = 67_108_864;
/** Structure remembered as already looked at; what is forgotten is looked at again. */
export const fetchSeenMax = 65_536;
/** Links looked at in one go. */
export const fetchLookBatch = 1024;
/** Structure that is here and read at once while walking: at most `batchBytesMax` bytes. */
export const walkReadBatch = batchBytesMax / objectBytesMax;
/** Names of peers in the words of a fault. */
export const fetchNamesMax = 8;
/** Bytes gathered before they are stored in one transaction. */
export const fetchBatchBytes = 4 * MiB;
/** Objects gathered before they are stored in one transaction. */
export const fetchBatchObjects = 1024;
/** Longest time that something gathered waits for more before it is stored, in milliseconds. */
export const fetchFlushMs = 50;
/** Bytes that have come and are not stored; while there are more nothing is asked for. */
export const fetchBacklogBytes = 16 * MiB;
/** How long nothing may come, and nothing be waited for, until a fetch gives up, in milliseconds. */
export const fetchPatienceMs = 10_000;
/** How often a fetch looks after its peers, in milliseconds. */
export const fetchTickMs = 250;
/** How often a peer that has only some objects is asked which, in milliseconds. */
export const fetchPollMs = 500;
/** The same while much comes. */
export const fetchPollMsMin = 100;
/** Roots for which peers are looked for at the same time. */
export const fetchSearchesMax = 8;
/** First wait until more peers are looked for, in milliseconds; it doubles from time to time. */
export const fetchFindMs = 500;
/** Longest wait until more peers are looked for, in milliseconds. */
export const fetchFindMsMax = 8_000;
/** Time in which a peer has to begin to answer, in milliseconds. */
export const fetchAskMs = 10_000;
/** A peer that sends fewer bytes a second than this is too slow. */
export const fetchBytesPerSecondMin = 64 * KiB;
/** Unanswered questions in a row after which a peer that answered before is not asked any more in this fetch. */
export const fetchStrikesMax = 3;
/** How long a peer is left alone after it did not answer one question, in milliseconds. */
export const fetchRestMs = 1000;
/** After this time a peer that is not asked any more because it did not answer is asked again, in milliseconds. */
export const fetchReturnMs = 30_000;
/** A question is put to a second peer when the first takes this much longer than the second usually does. */
export const fetchStealFactor = 3;
/** But not before this time, in milliseconds. */
export const fetchStealMs = 500;
/** Peers remembered because they sent wrong bytes. */
export const fetchLiarsMax = 1024;

/** Objects of which a directory in memory knows the holders. */
export const directoryIdsMax = 65_536;
/** Connected peers that are asked at the same time whether they have an object. */
export const lanAsksMax = 32;
/** So many are asked first, and then so many more each time. */
export const lanWavePeers = 3;
/** How long answers are waited for before the second lot is asked, in milliseconds; twice as long before the next. */
export const lanWaveMs = 25;
/** The longest such pause, in milliseconds. */
export const lanWaveMsMax = 100;
/** How long such an answer is waited for, in milliseconds. */
export const lanAskMs = 2_000;
/** How long a finder is alone until the next one begins, in milliseconds. */
export const finderHeadStartMs = 750;

/** Longest signed record of where a peer is, in bytes. */
export const peerRecordBytesMax = 2048;
/** Most addresses in it. */
export const peerAddressesMax = 16;
/** Longest of them, in characters. */
export const peerAddressBytesMax = 64;
/** Rows that the DHT keeps for others on this host. */
export const dhtRowsMax = 65_536;
/** Of these, records that one peer has something. */
export const dhtRowsPerPeerMax = 4096;
/** Longest value of such a row, in bytes. */
export const dhtValueBytesMax = 4 * KiB;
/** How long such a row counts, in milliseconds: 48 hours, as in the specification of kad-dht. */
export const dhtAgeMs = 172_800_000;
/** How long a search in the DHT may take, in milliseconds. */
export const dhtFindMs = 15_000;
/** How long telling the DHT one thing may take, in milliseconds. */
export const dhtTellMs = 30_000;
/** How long a peer that the DHT named may take to get connected, in milliseconds. */
export const reachMs = 5_000;
/** Pause between two announcements, in milliseconds. */
export const dhtAnnounceMs = 250;
/** The same is not announced again for this long, in milliseconds: 12 hours. */
export const dhtAnnounceAgainMs = 43_200_000;
/** Announcements that wait; when there are more the oldest are dropped. */
export const dhtAnnounceQueueMax = 1024;
/** Announcements remembered, so that they are not repeated too soon. */
export const dhtAnnouncedMax = 16_384;
/** How often the DHT looks for the neighbours of this host, in milliseconds: an hour. */
export const dhtSelfQueryMs = 3_600_000;
/** When it does so for the first time, in milliseconds after the start. */
export const dhtSelfQueryFirstMs = 250;
/** When peers that are connected are tried again for the routing table, in milliseconds; it doubles each time. */
export const dhtKeepMs = 500;
/** Longest time between two such tries, in milliseconds. */
export const dhtKeepMsMax = 300_000;
/** Streams of the DHT on one connection, each way. */
export const dhtStreamsMax = 16;
