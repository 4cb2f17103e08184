// The limits of virtual machines, each with its unit. Deadlines of scripts stand in their templates.

/** The longest script that is run: it goes to the shell as one argument, of which Linux takes 128 KiB. */
export const scriptBytesMax = 64 * 1024;

/** The longest path of a UNIX socket, in bytes (sun_path less its NUL). */
export const socketPathBytesMax = 107;

/** The longest command line of a kernel, in bytes (COMMAND_LINE_SIZE of x86 less its NUL). */
export const appendBytesMax = 2047;

/** How much of a script's output is read back when it has ended, in bytes: the last of it. */
export const outputBytesMax = 64 * 1024;

/** A log longer than this begins anew, in bytes. */
export const logBytesMax = 1024 * 1024;

/** The longest vm.json, in bytes. */
export const recordBytesMax = 64 * 1024;

/** How long a machine has to answer on its control socket, in milliseconds. */
export const qmpAnswerMs = 5_000;

/** The longest answer of a machine, in bytes. */
export const qmpBytesMax = 256 * 1024;

/** How long the accelerator has to run one instruction, in milliseconds; without one it takes 200. */
export const probeMs = 5_000;

/** How often it is looked whether a machine has stopped, or has written to its console, in milliseconds. */
export const lookMs = 100;

/** How long is waited for whoever else works on a machine, in milliseconds. */
export const lockWaitMs = 2_000;

/** How long it takes at the most until a port or a socket has said whether somebody listens, in milliseconds. */
export const connectMs = 1_000;

/** How many machines are listed. */
export const machinesMax = 4096;

/** How many bytes at a disk's beginning have to be noughts so that it is empty: tables of partitions and file systems begin there. */
export const emptyBytes = 1024 * 1024;
