// Limits of the agent, each with its unit. Nothing in agent/ grows without one of these.

import { type Limits, transportLimits } from "../mq/mod.ts";

/** Bytes of a request body on the local socket (not blobs or bundles, which stream). */
export const requestBytesMax = 4 * 1024 * 1024;
/** Bytes of one command's arguments together, and how many there may be: Linux's own order of magnitude. */
export const argvBytesMax = 896 * 1024;
export const argvItemsMax = 20_000;
/** Bytes of a lock message, a path, a name of a branch, domain or host. */
export const messageBytesMax = 4096;
export const pathBytesMax = 4096;
export const nameBytesMax = 64;
/** Variables carried with a command, and bytes of one value. */
export const envItemsMax = 256;
export const envValueBytesMax = 16 * 1024;
/** The last moment that a date can say, in milliseconds since 1970 (ECMA-262). */
export const timeMsMax = 8_640_000_000_000_000;
/**
 * Commands that are kept on record of one uid beyond those that entries count on, and refusals; when that many more have come,
 * the oldest go. Bytes of arguments kept of each.
 */
export const executionsPerUidMax = 4096;
export const refusalsPerUidMax = 256;
export const executionsPruneEach = 64;
export const executionArgvBytesMax = 64 * 1024;
export const refusalArgvBytesMax = 4096;
/** Refusals of one uid that are recorded in so many milliseconds; the others are counted. */
export const refusalsMax = 32;
export const refusalsMs = 60_000;
/** Executions that are told of with a journald, or a file: bytes of arguments, bytes of a file, and files that are kept. */
export const auditArgvBytesMax = 8 * 1024;
export const auditFileBytesMax = 8 * 1024 * 1024;
export const auditFilesKept = 4;
/** Bytes of output kept with a command: so much of its beginning and so much of its end. */
export const outputHeadBytesMax = 48 * 1024;
export const outputTailBytesMax = 16 * 1024;
/** Bytes of a command's standard input that can be journaled. */
export const stdinBytesMax = 64 * 1024 * 1024;
/**
 * Paths that are recorded of what one command changed, bytes of that list, bytes of files that are hashed for it, names that are followed while it runs, and milliseconds
 * between two looks at what the kernel tells; of the paths that differ elsewhere, as many are kept by name.
 */
export const effectsPathsMax = 50_000;
export const effectsBytesMax = 16 * 1024 * 1024;
export const effectsHashedMax = 4 * 1024 * 1024 * 1024;
export const effectsNamesMax = 400_000;
export const effectsReadMs = 25;
export const differencesKeptMax = 100;
/** Pieces of 64 KiB that are read of that at one look, and how many times as many at the last: whoever writes faster is not recorded. */
export const effectsReadsMax = 64;
export const effectsLastReads = 64;
/** Paths that the disk is compared with in one go, and entries after which that tells how far it is. */
export const driftPathsMax = 4_000_000;
export const driftTellEach = 256;
/** Bytes of unread output after which a command waits for its reader. */
export const streamQueueBytesMax = 256 * 1024;
/** Milliseconds that output may trickle in after the command itself has ended. */
export const outputDrainMs = 200;
/** Bytes that a pipe can hold at the most (fs.pipe-max-size, unless root asks for more). */
export const pipeBytesMax = 1024 * 1024;
/**
 * Limits that every command begins with, soft and hard, whatever the agent or the caller has: those of a service under systemd;
 * bytes, files, seconds as setrlimit(2) has them. No core: it would have what the command knows.
 */
export const COMMAND_LIMITS: Limits = {
  cpu: [Infinity, Infinity],
  fsize: [Infinity, Infinity],
  data: [Infinity, Infinity],
  stack: [8 * 1024 * 1024, Infinity],
  core: [0, 0],
  rss: [Infinity, Infinity],
  nproc: [Infinity, Infinity],
  nofile: [1024, 524_288],
  memlock: [8 * 1024 * 1024, 8 * 1024 * 1024],
  as: [Infinity, Infinity],
  locks: [Infinity, Infinity],
  sigpending: [65_536, 65_536],
  msgqueue: [819_200, 819_200],
  nice: [0, 0],
  rtprio: [0, 0],
  rttime: [Infinity, Infinity],
};
/** Times that processes are looked for which a command has started before it was in its cgroup. */
export const cgroupTakesMax = 100;
/** Milliseconds between TERM and KILL for a command that is out of time. */
export const killGraceMs = 2_000;
/** Milliseconds that `start` waits for the agent to answer. */
export const startMs = 60_000;
/** Milliseconds that a request to the net half may take. */
export const seamAskMs = 120_000;
/** Milliseconds until a net half that has died is followed by another: at first, at the most; each time twice as long. */
export const netAgainFirstMs = 250;
export const netAgainMsMax = 60_000;
/** Milliseconds after which a net half has not died young. */
export const netSteadyMs = 60_000;
/** Files and connections that the net half may have open at one time. */
export const netFilesMax = 16_384;
/** Milliseconds that a net half is given to end when its pipe has. */
export const netEndMs = 5_000;
/** Bytes of one line that the net half writes for the log, lines that are written down in so many milliseconds. */
export const netLineBytesMax = 4096;
export const netLinesMax = 256;
export const netLinesMs = 60_000;
/** Places at which this host can be reached that it speaks of, and characters of one. */
export const listeningMax = 64;
export const placeCharsMax = 128;
/** Requests of one half that the other works on at the same time. */
export const seamOpenMax = 1024;
/** Bytes of requests of one half that the other works on at the same time. */
export const seamOpenBytesMax = 64 * 1024 * 1024;
/** Bytes that one half may leave unread before the other says no more to it. */
export const seamQueueBytesMax = 128 * 1024 * 1024;
/** Operations in one entry, entries in one check-in, bytes of one entry. */
export const opsPerEntryMax = 64;
export const entriesPerCommitMax = 100_000;
export const entryBytesMax = 1024 * 1024;
/** Branches of one domain: an entry that revokes a key names the end of each, and has to have room for them. */
export const branchesMax = 256;
/** Bytes of one entry of the control journal: with its certificate it fits into one answer to a stranger, who may join. */
export const controlEntryBytesMax = 32 * 1024;
/** Bytes of a certificate: 64 votes. It is not signed as a whole, so that who passes it on could pad it. */
export const certBytesMax = 16 * 1024;
/** Bytes of one operation: an entry of one fits into what is decoded at once, with room for its other fields. */
export const opBytesMax = 960 * 1024;
/** How far above the terms seen so far a term may be (2^20), so that a hostile one cannot use them up. */
export const termStepMax = 1_048_576;
/** At the most between two tries to extend the control journal where others do so too, in milliseconds. */
export const controlAgainMs = 500;
/** Proofs of one kind about one key, or one branch, that are kept while nobody has acknowledged them. */
export const forksPerKeyMax = 64;
/** Proofs that one comparison with a peer names. */
export const forksToldMax = 4096;
/** Keepers that a domain may have. */
export const keepersMax = 7;
/** Root keys of a domain: the signatures of all fit into one entry beside the ends of `branchesMax` branches. */
export const rootKeysMax = 15;
/** Entries that one new epoch can say do not count, and so forks that it can end. */
export const dropsMax = 16;
/** Characters of a proposal to the root keys: an entry of the control journal with as many signatures again, in base64. */
export const proposalCharsMax = 64 * 1024;
/** Terms in a row that may end without anything certified, each of which a proof has to explain; and its length in bytes. */
export const proofTermsMax = 64;
export const proofBytesMax = 256 * 1024;
/** Connections at one time on the socket of one user. */
export const connectionsPerUidMax = 256;
/** Milliseconds for the head of a request to arrive. */
export const requestHeadMs = 10_000;
/** Milliseconds that answers under way are given when the agent stops. */
export const doorCloseMs = 1_000;
/** Milliseconds that a starting agent waits for one that is ending on the same home. */
export const agentEndMs = 3_000;
/** Changes that may wait for their turn at one time. */
export const turnsWaitingMax = 256;
/** Depth of includes in main.cf, stanzas and bytes of it. */
export const includeDepthMax = 8;
export const configBytesMax = 1024 * 1024;
/** How many entries ahead `up` fetches contents. */
export const prefetchEntriesMax = 64;
/** Bytes of a file from which on it is put in place while its contents still come. */
export const aheadBytesMin = 16 * 1024 * 1024;
/** Entries that `log` answers with unless asked for another number, and at the most. */
export const logEntriesDefault = 50;
export const logEntriesMax = 10_000;
/** Bytes of one frame of a bundle, and of the contents that are stored together while reading one. */
export const bundleFrameBytesMax = 5 * 1024 * 1024;
export const bundleBatchBytes = 4 * 1024 * 1024;
/** Entries and bytes of them in one answer to a peer. */
export const pageEntriesMax = 256;
export const pageBytesMax = 900 * 1024;
/** Entries from a peer that are checked and kept together, before others get their turn. */
export const intakeGroupMax = 64;
/** Milliseconds that a peer is given to answer for its journal. */
export const pullAskMs = 3_000;
/** Fork proofs that are being brought at one time; those beyond come at a later contact. */
export const forksComingMax = 64;
/** Complaints about one peer that are written to the log. */
export const complaintsMax = 32;
/** How often this host compares its journal with one peer, rumours or not, in milliseconds. */
export const sweepMs = 30_000;
/** Milliseconds until a host that did not give what it has is asked again; twice that the next time, up to `sweepMs`. */
export const lookAgainMs = 500;
/** Other hosts that are asked for newer entries when no keeper can be reached. */
export const syncPeersMax = 3;
/** Other hosts that are asked for entries of which it is known that they were decided. */
export const fetchPeersMax = 5;
/** Milliseconds from its start in which an agent waits for its first connections before it says that nobody is there. */
export const settleInMs = 3_000;
/** Milliseconds after which this host tries again to listen where it could not. */
export const listenAgainMs = 5_000;
/** Milliseconds by which clocks of hosts may differ before the doctor says so */
export const clockOffMs = 30_000;
/** Bytes, and files, that the disk of the state directory must have room for. */
export const stateFreeBytesMin = 64 * 1024 * 1024;
export const stateFilesMin = 1024;
/** Milliseconds between two rumours of one growing chain. */
export const tellMs = 100;
/** Milliseconds that a keeper is given to answer. */
export const keeperAskMs = 3_000;
/** Milliseconds that a keeper is given to answer where it has to ask an etcd: each of its members may be silent for a while. */
export const registerAskMs = 15_000;
/** Milliseconds that one member of an etcd is given to answer; bytes of an answer. */
export const etcdAskMs = 3_000;
export const etcdAnswerBytesMax = 8 * 1024 * 1024;
/** Members of an etcd that a host may name. */
export const etcdMembersMax = 9;
/** Bytes of entries that one check-in may have in an etcd, and of the value that says where a branch stands. */
export const etcdBatchBytesMax = 64 * 1024 * 1024;
export const standBytesMax = 16 * 1024;
/** Values that are put into an etcd at once: it takes 128 operations in one transaction. */
export const etcdPutsMax = 100;
/** Times that a keeper decides anew because another one was first, and milliseconds at the most between two. */
export const registerTriesMax = 10;
export const registerAgainMs = 200;
/** Milliseconds that a keeper is given to check a part of a check-in, or to keep the whole. */
export const keeperWorkMs = 60_000;
/**
 * Bytes of one part of a check-in on its way to a keeper, of all that a keeper holds of unfinished ones, how many of them,
 * and milliseconds after which it forgets one that does not go on.
 */
export const stagePartBytesMax = 900 * 1024;
export const stageBytesMax = 256 * 1024 * 1024;
export const stagesMax = 8;
export const stageIdleMs = 120_000;
/** What a keeper has voted for may be as much as a check-in may be, and no message is; in bytes and items of CBOR. */
export const acceptedLimits = { bytesMax: 2 * stageBytesMax, itemsMax: 4 * entriesPerCommitMax };
/** Answers too long for a message that a keeper keeps until they are fetched. */
export const answersMax = 16;
/**
 * Milliseconds after which a keeper says anew where a branch ends, and in which it does not although it has grown; milliseconds
 * without a new word of a quorum after which a host is stale; bytes of such a word.
 */
export const headEveryMs = 60_000;
export const headAgainMs = 1_000;
export const headStaleMs = 600_000;
export const headWordBytesMax = 512;
/** Milliseconds that a host is given to say how it stands. */
export const reportAskMs = 1_500;
/** Bytes of a whole report, and milliseconds in which one that says the same is not made anew. */
export const reportBytesMax = 8 * 1024;
export const reportFreshMs = 1_000;
/** Characters of one text in a report, and hosts that are asked about in one question. */
export const reportTextMax = 1_000;
export const reportHostsMax = 1_000;
/** Bytes that may wait for the disks and are synced by the agent itself, which answers nobody meanwhile. */
export const syncHereBytesMax = 16 * 2 ** 20;
/** Characters that are kept of what a program says that could not sync. */
export const syncSaidMax = 500;
/** How long a token is good for, in hours: unless asked for otherwise, and at the most. */
export const tokenHoursDefault = 24;
export const tokenHoursMax = 24 * 30;
/** Bytes of records in one answer to a stranger: what such an answer may have in all, less what wraps them. */
export const introductionBytesMax = transportLimits.questionBytesMax - 4 * 1024;
/** Hosts that may wait for approval at one time, those of them that asked with an open token, and tokens that are kept. */
export const joinersMax = 256;
export const openJoinersMax = joinersMax / 2;
export const tokensMax = 4096;
/** Milliseconds between two looks whether a host that waits has been approved, and how long `join` waits in all. */
export const joinPollMs = 1_000;
export const joinWaitMs = 600_000;
/** Times that a control entry is tried again because another came first. */
export const controlTriesMax = 5;
/** Addresses of others that are written down, and how often, in milliseconds. */
export const addressesKeptMax = 1024;
export const keepAddressesMs = 300_000;
/** Bytes that stay free on the store's disk when contents are fetched. */
export const storeReserveBytes = 64 * 1024 * 1024;
/** Fetches in a row in which those whom the DHT named were of no help, until it is called suspect. */
export const dhtMissesMax = 3;
/**
 * Connections of command lines to the content thread at one time; milliseconds in which who was let in has to connect, and for
 * the first byte of a connection.
 */
export const contentSessionsMax = 64;
export const contentAdmitMs = 30_000;
export const contentHelloMs = 2_000;
/** Milliseconds after which a content thread that nobody has called ends. */
export const contentIdleMs = 30_000;
/** Characters of a directory's listing that are gathered before they are sent. */
export const listingPieceChars = 64 * 1024;
/** Seconds for which an answer to a whole id, which never changes, may be kept: a year, the longest that is usual. */
export const blobAgeSeconds = 31_536_000;
/** A file with holes of at least so many bytes is put as a tree of one name, which keeps its holes. */
export const sparseBytesMin = 1024 * 1024 * 1024;
/** Milliseconds until progress is shown for the first time, and between two times. */
export const progressFirstMs = 500;
export const progressMs = 200;
/** Characters of an id that are shown, where it is not the thing itself that is asked for; and how many of a confirmation's are enough. */
export const idChars = 16;
export const confirmIdCharsMin = 4;
/** What a screen holds where nobody says: lines, and columns of them. */
export const screenRows = 24;
export const screenColumns = 80;
/** Milliseconds that an agent has to say what a word could be, words that a shell is offered, and characters of what is said of one. */
export const completeMs = 1_000;
export const completionsMax = 1_000;
export const completionAboutMax = 60;
/** Roots that journal and work may count on: their ids fit into one message across the seam. */
export const gcRootsMax = 262_144;
/** Roots that another host may ask about at once. */
export const copiesIdsMax = 64;
/** Characters of the name of a content, and bytes of one record that says what it is. */
export const contentNameMax = 200;
export const nameRecordBytesMax = 4096;
/** Names that a domain has, and names of which one person can have said something; withdrawn ones count. */
export const namesMax = 8192;
export const namesPerAuthorMax = 1024;
/** Persons whose newest word on one name is kept: as many values can stand side by side, and be replaced by one record. */
export const nameValuesMax = 64;
/** How far above what counts the seq of a revoked key's record may be, so that the next has a higher one (2^20). */
export const nameSeqStepMax = 1_048_576;
/** Versions of one name that are kept. */
export const nameVersionsKept = 16;
/** How many hosts shall keep what has a name: unless said otherwise, and at the most. */
export const nameCopiesDefault = 2;
export const nameCopiesMax = 1024;
/** Ids of records in one answer, ids that are gone through in one comparison, and records that are asked for at once. */
export const namePageIds = 4096;
export const nameIdsMax = 262_144;
export const nameAskIds = 64;
/** Rumours of one person's names that are listened to in `nameRumoursMs` milliseconds; the sweep brings what is beyond. */
export const nameRumoursMax = 256;
export const nameRumoursMs = 30_000;
/** Records that could not be kept and are not asked for again, until the control journal grows. */
export const nameRefusedMax = 4096;
/** Milliseconds that another host is given to say what it has, and between two looks at what this host is to keep. */
export const copiesAskMs = 10_000;
export const copiesLookMs = 60_000;
/** Milliseconds between two looks whether a store that is being made anew answers again. */
export const rebuildPollMs = 200;
/** Such looks without anybody there, until that is given up. */
export const rebuildPollsMax = 300;
/** Bytes of a policy file, characters of a line of it, and lines that say something. */
export const rulesBytesMax = 256 * 1024;
export const ruleLineMax = 4096;
export const rulesMax = 2048;
/** Policy files, and milliseconds between two looks whether they, or the users they speak of, have changed. */
export const ruleFilesMax = 64;
export const rulesLookMs = 5_000;
/** Longest password that is asked about, in bytes, and milliseconds that the helper may take. */
export const passwordBytesMax = 1024;
export const passwordCheckMs = 10_000;
/**
 * Acts of one user that may wait to be confirmed, how often who waits looks, how long each waits, both in
 * milliseconds, and the longest that can be shown, in
 * characters. Wrong passwords in so many milliseconds after which no more are looked at.
 */
export const confirmAskedMax = 16;
export const confirmLookMs = 1_000;
export const confirmWaitMs = 600_000;
export const confirmActBytesMax = 16 * 1024;
export const confirmTriesMax = 3;
export const confirmTriesMs = 60_000;
/** Symbolic links that the way to a command may lead through, as the kernel has it. */
export const pathLinksMax = 40;
/** Previews at one time, and milliseconds that one may take. */
export const previewsMax = 4;
export const previewMs = 24 * 60 * 60 * 1000;
/** Bytes in memory, and files, that one preview may write; of the bytes at most half of the machine's memory. */
export const previewBytesMax = 1024 * 1024 * 1024;
export const previewFilesMax = 262_144;
/** Bytes in memory of its own /run, and of its own /dev/shm. */
export const previewOwnBytesMax = 64 * 1024 * 1024;
/** Mounts that this host may have when something is previewed. */
export const previewMountsMax = 512;
/** Paths that a preview lists, and bytes of them in one message. */
export const previewChangesMax = 100_000;
export const previewPageBytes = 256 * 1024;
/** Bytes of a file that is compared line by line, lines that may differ, milliseconds for it, and bytes of all that it says. */
export const diffFileBytesMax = 512 * 1024;
export const diffLinesMax = 4_000;
export const diffMs = 1_000;
export const diffBytesMax = 64 * 1024;
export const diffsBytesMax = 4 * 1024 * 1024;
/** Milliseconds that a preview's processes are given to be gone once they are killed. */
export const previewEndMs = 10_000;
