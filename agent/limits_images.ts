// Limits of images, and of machines that are booted and installed from them, each with its unit. Not those of the boot servers themselves
// (netboot/limits.ts), and not of the rest of the agent (limits.ts).

/** Bytes of what an image says of itself, and different paths of two images that are told. */
export const imageRecordBytesMax = 16 * 1024;
export const imageDiffMax = 100_000;
/** Bytes at the beginning of a file by which it is told what it is. */
export const imageHeadBytes = 1024;
/** Level of zstd for what machines boot from the network: made once, and sent to each. docs/images.md says what others cost. */
export const initrdZstdLevel = 6;
/** Hosts that are to be rebuilt at the same time; of a twin: how often it says what it is, MiB of its memory beside its files, milliseconds of a step, bytes of its console that are looked at. */
export const rebuildsMax = 256;
export const twinSaysMax = 360;
export const twinMemoryMib = 1024;
export const twinStepMs = 45 * 60_000;
export const twinConsoleBytes = 1024 * 1024;
/** Interfaces on which machines are booted, name servers that they are told, profiles, and words of one line of one; and where HTTP for that listens. */
export const bootPlacesMax = 8;
export const bootDnsMax = 8;
export const bootProfilesMax = 1024;
export const bootValuesMax = 256;
export const bootGroupMax = 4096;
export const bootHttpPort = 8480;
/** Notes about machines that are kept for who asks, and milliseconds between two such questions. */
export const bootNotesMax = 4096;
export const bootFollowMs = 500;
/** Bytes of a kernel's command line that are read, and milliseconds: for the boot server to hear, between two tries, for a restart; tries to find an image, and by hand. */
export const orderBytesMax = 4096;
export const sayMs = 5_000;
export const joinAgainMs = 10_000;
export const imageTriesMax = 6;
export const handTriesMax = 2;
export const restartMs = 120_000;
/** Bytes of a disk beside an image: partitions to boot from, ext4's journal, what a store leaves free, what a system begins with. */
export const installBesideBytes = 512 * 1024 * 1024;
