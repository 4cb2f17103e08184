// Limits of netboot, each with its unit. Nothing in agent/netboot grows without one of these.
// Not settings: what an operator chooses (range, router, lease time) is handed in.

const KiB = 1024;
const MiB = 1024 * KiB;

/** Bytes of a DHCP packet that is read, as much as one Ethernet frame carries, and of one that is written. */
export const dhcpPacketBytesMax = 1472;
export const dhcpReplyBytesMax = 1200;
/** Bytes that a BOOTP packet has at the least (RFC 1542, 2.1): shorter ones are filled up. */
export const dhcpPacketBytesMin = 300;
/** Questions by DHCP whose answer is being looked for at the same time; further ones are dropped, and are asked again. */
export const dhcpAsksMax = 64;
/** How long a probe waits for the offer of another server, in milliseconds, and how often it asks. */
export const probeMs = 1_500;
export const probeTries = 2;

/** Addresses that a range may have. */
export const leaseAddressesMax = 4096;
/** How long a lease may be at the least and at the most, in seconds. */
export const leaseSecondsMin = 60;
export const leaseSecondsMax = 30 * 24 * 3600;
/** How much longer than its holder was told a lease is kept, in milliseconds; who stays sooner than that after the last time costs no write. */
export const leaseGraceMs = 5_000;
/** How long an address that was offered waits for its client, in milliseconds. */
export const offerMs = 15_000;
/** How long an address that somebody else was found to use is left alone, in milliseconds. */
export const declinedMs = 600_000;
/** How long a lease whose holder nobody has seen working stays when all addresses are taken, in milliseconds. */
export const unprovenMs = 30_000;
/** New clients that are offered something, a second and at once: those that boot, and all others. */
export const bootClientsPerSecond = 200;
export const bootClientsAtOnce = 400;
export const otherClientsPerSecond = 20;
export const otherClientsAtOnce = 100;
/** How often leases that are over are taken out, in milliseconds. */
export const sweepMs = 1_000;

/** Bytes of a TFTP request, and of the name in it. */
export const tftpRequestBytesMax = 512;
/** Bytes of a block: with the headers of TFTP, UDP and IP it fills an Ethernet frame of 1500. */
export const tftpBlockBytesMax = 1468;
export const tftpBlockBytesMin = 8;
/** Blocks that are sent before one is acknowledged (RFC 7440). */
export const tftpWindowBlocksMax = 16;
/** How long a block waits for its acknowledgement at first and at the most, in milliseconds; a client may ask for another time. */
export const tftpWaitMs = 1_000;
export const tftpWaitMsMax = 4_000;
export const tftpAskedSecondsMax = 10;
/** How often a block is sent: before anything was acknowledged (nobody may be there), and after that. */
export const tftpFirstTries = 4;
export const tftpTries = 8;
/** How long one transfer may take, in milliseconds. */
export const tftpTransferMs = 300_000;
/** Transfers at the same time, in all and to one address. */
export const tftpTransfersMax = 64;
export const tftpTransfersPerAddressMax = 8;
/** Bytes of a file that is handed out by TFTP: first loaders are small, everything else goes over HTTP. */
export const tftpFileBytesMax = 8 * MiB;
/** Bytes that a transfer reads ahead. */
export const tftpReadBytes = 64 * KiB;

/** Characters of a name by which a file is asked for. */
export const placeNameMax = 100;

/** Connections at the same time, in all and from one address. */
export const httpConnectionsMax = 256;
export const httpConnectionsPerAddressMax = 16;
/** Bytes of a request's head, and milliseconds that it may take. */
export const httpHeadBytesMax = 8 * KiB;
export const httpHeadMs = 10_000;
/** How long a connection may stand still, in milliseconds, and stay open with nothing asked. */
export const httpIdleMs = 60_000;
export const httpKeepAliveMs = 5_000;
/** Characters that a machine may say of its way at once. */
export const httpSaidBytesMax = 512;
/** Bytes after which it is told again how far a machine has come with a file. */
export const httpTellBytes = MiB;
/** Bytes of a script for iPXE. */
export const scriptBytesMax = 64 * KiB;

/** Machines that are remembered, steps of each, and characters of what is said with one. */
export const logMachinesMax = 1024;
export const logStepsMax = 64;
export const logTextMax = 200;
/** Bytes of a template, of what is made of one, and of the values of one blank. */
export const templateBytesMax = 16 * KiB;
export const templateValuesMax = 64;
/** Bytes of a kernel's arguments (x86: COMMAND_LINE_SIZE). */
export const kernelWordsBytesMax = 2047;

/** Lines about strangers that are written to the log, a second and at once; the others are counted. */
export const linesPerSecond = 5;
export const linesAtOnce = 100;

/** How long a Booter may take to say what a machine gets, in milliseconds. */
export const booterMs = 10_000;
