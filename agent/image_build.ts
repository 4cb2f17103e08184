// Image build: the root of a Debian made anew by mmdebstrap, by a script that is shown and straight like those of machines (vm/), and captured
// as a base image. Not what is captured of a running host (image_make.ts).
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault, systemClock, toHex } from "../mq/mod.ts";
import type { ContentCli } from "./content_client.ts";
import { captureImage, type ImageArgs, type MadeImage } from "./image_make.ts";
import { checkContentName } from "./names.ts";
import { look, missingFault, needDone, placeHere, readTemplate, runScript, scriptsOf } from "./vm/mod.ts";

const BUILD = readTemplate(
  "build",
  "mmdebstrap",
  "linux",
  `
about Makes the root of a Debian in a directory of its own, which goes when it was captured.
deadline 7200
find mmdebstrap program mmdebstrap | apt-get install mmdebstrap
[deb?] find cp program cp | apt-get install coreutils
[deb?] find rm program rm | apt-get install coreutils
[deb?] find chroot program chroot | apt-get install coreutils
[deb?] need readable {deb:path} | ls -l {deb:path}
need writable {dir:path} | isconf image build --dir DIRECTORY
need room {dir:path} {gib:gib} | isconf image build --dir DIRECTORY
step build
# Packages are fetched and checked by apt, with the keys that this host trusts.
{mmdebstrap:path} --variant={variant:variant} [include? --include={include:packages}]
  {suite:suite} {root:path} [mirror? {mirror:url}]
[deb? {cp:path} {deb:path} {root:path}/isconf-package.deb]
[deb? {chroot:path} {root:path} dpkg -i /isconf-package.deb]
[deb? {rm:path} {root:path}/isconf-package.deb]
`,
);

/** GiB that have to be free where it is built. */
const ROOM_GIB = "2";

/** The script as it would run, and what is in its way. */
export interface BuildPlan {
  script: string;
  missing: { why: string; hint: string }[];
}

interface Prepared extends BuildPlan {
  root: string;
}

/** What would run. Throws usage, for a value that does not fit. */
export async function planBuild(args: ImageArgs): Promise<Prepared> {
  const [name = ""] = args.words;
  checkContentName("image", name);
  const dir = path.resolve(args.dir ?? "/var/tmp");
  const root = path.join(dir, `isconf-build-${toHex(systemClock.random(6))}`);
  const given = {
    dir,
    root,
    gib: ROOM_GIB,
    suite: args.suite ?? "bookworm",
    variant: args.variant ?? "minbase",
    include: args.include,
    mirror: args.mirror,
    deb: args.deb === undefined ? undefined : path.resolve(args.deb),
  };
  const { values, missing } = await look(placeHere(undefined), BUILD, given);
  const [script] = scriptsOf(BUILD, `image build ${name}`, values);
  return { script: script!.text, missing, root };
}

/** `image build NAME`: runs it, captures what came of it, and takes that away again, however it ended. */
export async function buildImage(cli: ContentCli, args: ImageArgs): Promise<MadeImage> {
  const { script, missing, root } = await planBuild(args);
  if (missing.length > 0) throw missingFault("image", "the build was not begun", missing);
  if (process.geteuid?.() !== 0) {
    throw new Fault("image", "denied", "a root is made by root", { hint: "sudo isconf image build" });
  }
  try {
    cli.term.say("isconf image: the script runs; --plan shows it");
    const ran = await runScript(placeHere(undefined), script, undefined, BUILD.deadlineSeconds * 1000);
    needDone("image", ran, "isconf image build --plan");
    fs.chmodSync(root, 0o755); // it was made with a umask that lets nobody in
    return await captureImage(cli, { ...args, root });
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
}
