// Content data: an image and its second version, a tree like a Debian root, many small blobs; the same at every run. Not
// what is measured with them (content.ts), and not what their bytes are (content_bytes.ts).
import { SeededBytes } from "./content_bytes.ts";

/** An extent of an image is as long as a file of a disk often is, and begins where a block begins. */
const blockBytes = 4096;
const extentBlocksMin = 16;
const extentBlocksMax = 256;

/** Places where the second version differs, and the part of the first version's bytes that change there. */
const edits = 40;
const editedPart = 0.03;

/** A tree: the median of its files' sizes, and the deviation with which the mean is about 15 KiB. */
const fileMedianBytes = 4096;
const fileSigma = Math.sqrt(2 * Math.log(15 / 4));
const fileBytesMax = 32 * 1024 * 1024;
const filesPerDirectory = 10;
const filesPerLink = 20;
const filesPerHardLink = 100;
const depthMax = 8;

const blobBytes = 1024;
const blobsPerDirectory = 1000;

const bufferBytes = 1024 * 1024;

/** A file of extents of all kinds; zeros are written, so that it has no holes. */
export function makeImage(file: string, bytes: number): void {
  const seeded = new SeededBytes("image");
  using to = Deno.openSync(file, { write: true, createNew: true });
  for (let left = bytes; left > 0;) {
    const blocks = extentBlocksMin + seeded.below(extentBlocksMax - extentBlocksMin);
    const extent = Math.min(left, blocks * blockBytes);
    writeAll(to, seeded.of(seeded.kind(), extent));
    left -= extent;
  }
}

/**
 * The second version of an image: by turns something is overwritten, put in and taken out, once in each of equal
 * stretches. What is put in or taken out is no multiple of a block, so that all that follows is shifted.
 */
export function makeSecondImage(file: string, first: string): void {
  const seeded = new SeededBytes("second image");
  const { size } = Deno.statSync(first);
  const weights = Array.from({ length: edits }, () => 0.1 + seeded.part());
  const weight = weights.reduce((a, b) => a + b);
  const stretch = Math.floor(size / edits);
  using from = Deno.openSync(first);
  using to = Deno.openSync(file, { write: true, createNew: true });
  let at = 0;
  weights.forEach((w, i) => {
    const bytes = Math.floor(size * editedPart * w / weight);
    const edit = i * stretch + seeded.below(stretch - bytes);
    copy(from, at, to, edit - at);
    const [writes, skips] = [i % 3 !== 2, i % 3 !== 1];
    if (writes) writeAll(to, seeded.random(bytes));
    at = skips ? edit + bytes : edit;
  });
  copy(from, at, to, size - at);
}

/** Files of which many are small and a few large, in nested directories, some with a second name, and symbolic links. */
export function makeTree(dir: string, files: number): void {
  const seeded = new SeededBytes("tree");
  Deno.mkdirSync(dir);
  const directories = [{ path: dir, depth: 0 }];
  const pick = <T>(list: readonly T[]): T => list[seeded.below(list.length)] as T;
  while (directories.length < files / filesPerDirectory) {
    const { path, depth } = pick(directories);
    if (depth === depthMax) continue;
    const made = { path: `${path}/d${directories.length}`, depth: depth + 1 };
    Deno.mkdirSync(made.path);
    directories.push(made);
  }
  const written: string[] = [];
  for (let i = 0; i < files; i++) {
    const path = `${pick(directories).path}/f${i}`;
    const bytes = Math.min(fileBytesMax, Math.floor(seeded.logNormal(fileMedianBytes, fileSigma)));
    Deno.writeFileSync(path, seeded.of(seeded.kind(), bytes), { createNew: true });
    if (i % filesPerHardLink === 1) Deno.linkSync(pick(written), `${pick(directories).path}/h${i}`);
    if (i % filesPerLink === 1) Deno.symlinkSync(`../f${i}`, `${pick(directories).path}/l${i}`);
    written.push(path);
  }
}

/** Files of 1 KiB that nothing makes smaller and that are all different. */
export function makeBlobs(dir: string, blobs: number): void {
  const seeded = new SeededBytes("blobs");
  Deno.mkdirSync(dir);
  for (let i = 0; i < blobs; i++) {
    const of = `${dir}/d${Math.floor(i / blobsPerDirectory)}`;
    if (i % blobsPerDirectory === 0) Deno.mkdirSync(of);
    Deno.writeFileSync(`${of}/b${i}`, seeded.random(blobBytes), { createNew: true });
  }
}

function copy(from: Deno.FsFile, at: number, to: Deno.FsFile, bytes: number): void {
  from.seekSync(at, Deno.SeekMode.Start);
  const buffer = new Uint8Array(bufferBytes);
  for (let left = bytes; left > 0;) {
    const read = from.readSync(buffer.subarray(0, Math.min(left, bufferBytes)));
    if (read === null) throw new Error(`the first version ends ${left} bytes too early`);
    writeAll(to, buffer.subarray(0, read));
    left -= read;
  }
}

function writeAll(to: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}
