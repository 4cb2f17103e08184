// bench: measures the shipped executable against the peers it is held against, in one run on one machine.
// Not a test: a missed aim is reported and ends 0. Usage, as root: deno task bench [NAME …]; without names, all but the
// long ones: deno task bench:mesh runs those that need several hosts; content, or image, files and blobs of it, is run by name.
import { boot } from "./bench/boot.ts";
import { capture } from "./bench/capture.ts";
import { carry } from "./bench/carry.ts";
import { content } from "./bench/content.ts";
import { cost } from "./bench/cost.ts";
import { effects } from "./bench/effects.ts";
import { exec } from "./bench/exec.ts";
import { type Figure, table } from "./bench/figure.ts";
import { idle } from "./bench/idle.ts";
import { follow } from "./bench/follow.ts";
import { install } from "./bench/install.ts";
import { keepers } from "./bench/keepers.ts";
import { load } from "./bench/load.ts";
import { rest } from "./bench/rest.ts";
import { sim } from "./bench/sim.ts";
import { start } from "./bench/start.ts";
import { sudo } from "./bench/sudo.ts";
import { up } from "./bench/up.ts";
import { verify } from "./bench/verify.ts";

/** Every measurement by name. Each makes and removes what it needs. */
const MEASUREMENTS: Record<string, () => Promise<Figure[]>> = {
  up,
  idle,
  verify,
  start,
  exec,
  sudo,
  effects,
  load,
  rest,
  follow,
  carry,
  cost,
  keepers,
  sim,
  capture,
  boot,
  install,
  content,
  image: () => content("image"),
  files: () => content("files"),
  blobs: () => content("blobs"),
};

/** Those that take longer than a minute or two. */
const LONG = [
  "effects",
  "load",
  "carry",
  "cost",
  "keepers",
  "capture",
  "boot",
  "install",
  "content",
  "image",
  "files",
  "blobs",
];

if (Deno.uid() !== 0) {
  throw new Error("the benchmarks need root: as other users, commands and cgroups differ");
}
const names = Deno.args.length > 0
  ? Deno.args
  : Object.keys(MEASUREMENTS).filter((name) => !LONG.includes(name));
const figures: Figure[] = [];
let failed = false;
for (const name of names) {
  const measure = Object.hasOwn(MEASUREMENTS, name) ? MEASUREMENTS[name] : undefined;
  if (measure === undefined) {
    throw new Error(`no measurement ${name}: ${Object.keys(MEASUREMENTS).join(", ")}`);
  }
  console.error(name);
  try {
    figures.push(...await measure());
  } catch (e) {
    failed = true;
    console.error(`${name} failed: ${e instanceof Error ? e.stack ?? e.message : e}`);
  }
}
console.log(table(figures));
if (failed) Deno.exit(1);
