// Content sets: what is put and got, by which ways of ours, and what is aimed at. Not how it is measured (content.ts).
import { makeBlobs, makeImage, makeSecondImage, makeTree } from "./content_data.ts";
import type { Aim } from "./content_figures.ts";
import type { Shape } from "./content_peers.ts";

/** One way of ours to put, with the words that it needs before the name, and what it is held against. */
export interface Way {
  name: string;
  words: string[];
  /** Which peers; all unless given. */
  peers?: string[];
  aims: Aim[];
}

export interface ContentSet {
  /** What it is called on the command line, and in figures. */
  title: "image" | "files" | "blobs";
  name: string;
  shape: Shape;
  /** Makes the versions in directories of these names, each called `content`. */
  make(v1: string, v2: string): void;
  hasSecond: boolean;
  rounds: number;
  ways: Way[];
}

const mib = 1024 * 1024;

/** The most memory of all our processes together. */
const memory: Aim[] = ["put, peak memory", "get, peak memory"].map((value) => ({ value, max: 200 * mib }));
/** What is there already is not written again; a few KiB are the database's names and times. */
const again: Aim = { value: "put again, store grows by", max: mib / 16 };
const than = (max: number, value: string, ...peers: string[]): Aim[] =>
  peers.map((peer) => ({ value, peer, max }));

/** Ours does not compress unless asked, so that what is aimed at against restic is so with and without its compression. */
const resticBoth = ["restic", "restic off"];

const image: ContentSet = {
  title: "image",
  name: "image of 1 GiB",
  shape: "file",
  make(v1, v2) {
    makeImage(`${v1}/content`, 1024 * mib);
    makeSecondImage(`${v2}/content`, `${v1}/content`);
  },
  hasSecond: true,
  rounds: 3,
  ways: [{
    name: "isconf",
    words: [],
    aims: [
      ...than(0.5, "put, CPU", ...resticBoth),
      ...than(0.5, "put, wall", ...resticBoth),
      ...than(1, "get, CPU", ...resticBoth, "borg", "borg none"),
      ...than(1, "get, wall", ...resticBoth),
      ...memory,
      again,
      { value: "put v2, store grows by", part: "store after v1", max: 0.05 },
    ],
  }, {
    name: "isconf --compress",
    words: ["--compress"],
    peers: ["restic", "borg", "casync"],
    aims: [
      ...than(1.03, "store after v1", "casync"),
      ...than(0.5, "put, wall", "casync"),
      ...memory,
      again,
    ],
  }],
};

const tree: ContentSet = {
  title: "files",
  name: "20,000 files",
  shape: "dir",
  make: (v1) => makeTree(`${v1}/content`, 20_000),
  hasSecond: false,
  rounds: 3,
  ways: [{
    name: "isconf",
    words: [],
    aims: [...than(1.3, "put, wall", "cp -a"), ...than(1.3, "get, wall", "cp -a"), ...memory, again],
  }],
};

const blobs: ContentSet = {
  title: "blobs",
  name: "100,000 blobs",
  shape: "dir",
  make: (v1) => makeBlobs(`${v1}/content`, 100_000),
  hasSecond: false,
  rounds: 3,
  ways: [{
    name: "isconf",
    words: [],
    aims: [...than(1, "put, wall", ...resticBoth), ...memory, again],
  }],
};

export const CONTENT_SETS: readonly ContentSet[] = [image, tree, blobs];
