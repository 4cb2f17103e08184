// content errors: put, get, gc and fsck when a system call returns an error, and on disks that are really full: said
// clearly, nothing harmed, and the next try works. Not kills (content_inject_test.ts).
import assert from "node:assert/strict";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import { begunHome, OPERATIONS } from "./content_operations.ts";
import {
  afterPlace,
  attachNet,
  faulty,
  isThorough,
  needLean,
  needSound,
  netPid,
  pointsOfNet,
} from "./contents.ts";
import { cannotTrace, each } from "./strace.ts";
import { ISCONF, makeBox, type Outcome, run, skipIf } from "./tools.ts";

const skip = cannotTrace();
/** Places tried at the most for each operation. */
const pointsMax = isThorough ? 1_000 : 6;
const ERRORS = ["ENOSPC", "EIO", "EDQUOT"];

/** Calls by which the net half writes to the disk, and to nobody's socket. */
const NET_CALLS = [
  "pwrite64",
  "pwritev",
  "fsync",
  "fdatasync",
  "ftruncate",
  "fallocate",
  "unlink",
  "rename",
  "mkdir",
];
const CLI_CALLS = [
  "pwrite64",
  "fsync",
  "rename",
  "renameat",
  "mkdirat",
  "linkat",
  "symlinkat",
  "fchownat",
  "fchmod",
  "utimensat",
];

/** Exit 125, the verb, what the disk said, a hint; no stack and no word of bugs. */
function needClear(where: string, { status, err, out }: Outcome): void {
  assert.equal(status, 125, `${where}: ${err}${out}`);
  assert.match(
    err,
    /^isconf [a-z.]+: .*(ENOSPC|EIO|EDQUOT|disk|no space|quota|full|I\/O).*\n {2}\S/im,
    `${where}: ${err}`,
  );
  assert.doesNotMatch(err, /unexpected:|\bat .*:[0-9]+:[0-9]+|undefined/, `${where}: ${err}`);
  assert.equal(out, "", where);
}

/** The places, each with one error, in turn; or with every one. */
const withErrors = <P>(points: P[]): (P & { error: string })[] =>
  isThorough
    ? points.flatMap((p) => ERRORS.map((error) => ({ ...p, error })))
    : points.map((p, i) => ({ ...p, error: ERRORS[i % ERRORS.length]! }));

test(
  "an error of the disk at any write or sync of the net half: told, nothing harmed, and the next try works",
  skipIf("errors during put, get, gc and fsck", skip),
  async (t) => {
    const some = OPERATIONS.filter(({ title }) => !/get of a directory|all bytes/.test(title));
    await each(some, 2, async ({ title, operation }) => {
      const box = makeBox(t);
      const kept = await begunHome(box);
      const trial = await operation.prepare(box, 0);
      const { points, counted } = await pointsOfNet(
        box,
        NET_CALLS,
        pointsMax,
        () => box.isconf(operation.words(box, trial)),
      );
      await operation.after(box, trial, false, "no error");
      const pid = await netPid(box);
      const seen = { told: 0, passedOver: [] as string[] };
      for (const [i, { comm, name, n, error }] of withErrors(points).entries()) {
        const where = `${title}, ${error} at ${name} ${n} of ${comm}`;
        const made = await operation.prepare(box, i + 1);
        // Once, or from then on: of some calls a single error is not believed, and they are tried again (mq/libc.ts).
        const inject = `inject=${name}:error=${error}:when=${n}${i % 2 === 0 ? "+" : ""}`;
        const tracer = await attachNet(box, ["-e", `trace=${name}`, "-e", inject], comm);
        const got = await box.isconf(operation.words(box, made));
        await tracer.detach("SIGTERM");
        if (got.status === 0 || (operation.damages && got.status === 226)) seen.passedOver.push(name);
        else {
          needClear(where, got);
          seen.told++;
        }
        if (!operation.damages) await needSound(box, where);
        await kept.check(box, where);
        await operation.after(box, made, got.status === 0, where);
        await needLean(box, where);
        assert.equal(await netPid(box), pid, `${where}: the net half has died of it`);
      }
      const passed = [...new Set(seen.passedOver)].map((name) =>
        `${name} ${seen.passedOver.filter((other) => other === name).length}`
      );
      console.log(
        `${title}: ${points.length} of ${counted} calls, ${seen.told} told, passed over: ${passed}`,
      );
      assert.ok(seen.told > 0, `${title}: no error was told`);
    });
  },
);

test(
  "an error of the disk at any write or sync of the command line: told, the target is whole or not there, and the next try works",
  skipIf("errors of the command line during get", skip),
  async (t) => {
    const gets = OPERATIONS.filter(({ title }) => title.startsWith("get"));
    await each(gets, 2, async ({ title, operation }) => {
      const box = makeBox(t);
      const kept = await begunHome(box);
      let tried = 0;
      for (const name of CLI_CALLS) {
        for (let n = 1, isThrough = false; !isThrough; n = afterPlace(n)) {
          const error = ERRORS[tried % ERRORS.length]!;
          const where = `${title}, ${error} at ${name} ${n} of the command line`;
          assert.ok(n < 100, `${where}: there is no end of it`);
          const made = await operation.prepare(box, ++tried);
          const got = await faulty(box, `${name}:error=${error}:when=${n}+`, operation.words(box, made));
          isThrough = got.status === 0;
          if (!isThrough) needClear(where, got);
          await operation.after(box, made, isThrough, where);
        }
      }
      await kept.check(box, title);
      await needSound(box, title);
      console.log(`${title}: ${tried - CLI_CALLS.length} errors of the command line told`);
      assert.ok(tried > CLI_CALLS.length);
    });
  },
);

function needDiskFull(name: string, { status, words }: { status: number; words: string }): void {
  assert.equal(status, 125, `${name}: ${words}`);
  assert.match(words, /ENOSPC|full|no space/i, name);
  assert.doesNotMatch(words, /unexpected:/, name);
}

/**
 * Typed in a mount namespace of its own, in which "disk" is a small one with the home on it; the mount and its loop
 * device go with the namespace. Each answer is `NAME STATUS WORDS`.
 */
const SMALL_DISK = `
set -u
cd "$DIR"
mkdir disk out
case $KIND in
ext4) truncate -s 48M image; mkfs.ext4 -q -m 0 -N 256 -O ^has_journal image && mount -o loop image disk;;
tmpfs) mount -t tmpfs -o size=32m tmpfs disk;;
esac || exit 9
mkdir -p disk/h/etc
printf 'reboot_command = /bin/true\\nreserve = 8M\\n' > disk/h/etc/isconf.conf
export ISCONF_HOME=$DIR/disk/h
"$ISCONF" agent 2>out/agent.log & agent=$!
trap 'kill -9 $agent; wait' EXIT
for i in $(seq 200); do "$ISCONF" status >/dev/null 2>&1 && break; sleep 0.05; done
say() { name=$1; shift; words=$(timeout 30 "$@" 2>&1); status=$?; echo "$name $status $(tr '\\n' ' ' <<<"$words")"; }
for name in kept gone new; do head -c 3000000 /dev/urandom > out/$name; done
mkdir out/tree; for i in 1 2 3 4 5 6 7 8; do head -c 200000 /dev/urandom > out/tree/$i; done
say kept "$ISCONF" put out/kept
say gone "$ISCONF" put out/gone
say tree "$ISCONF" put out/tree
`;

/** What is typed when a put has filled the disk itself. */
const FILLED = `
head -c 60000000 /dev/urandom > out/big
say put "$ISCONF" put out/big
say rm "$ISCONF" rm gone
say gc "$ISCONF" gc
say again "$ISCONF" put out/gone
say sound "$ISCONF" fsck --data
`;

/** What is typed on a disk that others have filled, or on which there are many small files. */
const FULL = `
fill() { case $1 in blocks) cat /dev/zero > disk/fill; sync; cat /dev/zero >> disk/fill;; inodes) mkdir disk/fill; i=0; while : > disk/fill/$((++i)); do :; done;; esac 2>/dev/null; }
for what in blocks inodes; do
  fill $what
  say $what-put "$ISCONF" put out/new
  say $what-get "$ISCONF" get kept disk/target
  say $what-getTree "$ISCONF" get tree disk/targetTree
  say $what-left sh -c 'ls -A disk | grep -v -e "^h$" -e "^fill$" -e lost+found -e "^targetTree$"'
  say $what-elsewhere "$ISCONF" get kept out/again
  say $what-same cmp out/kept out/again
  say $what-fsck "$ISCONF" fsck --data


  say $what-fsckAfter "$ISCONF" fsck --data
  rm -rf disk/fill disk/targetTree out/again
  say $what-newAfter "$ISCONF" put out/new
  say $what-getAfter "$ISCONF" get new disk/target
  say $what-sameAfter cmp out/new disk/target
  say $what-rmNew "$ISCONF" rm new
  say $what-goneAgain "$ISCONF" put out/gone
  say $what-gcAfter "$ISCONF" gc
  say $what-sound "$ISCONF" fsck --data
  rm -f disk/target
done
`;

/** What each line that was typed on a small disk came to. */
async function onSmallDisk(t: Parameters<typeof makeBox>[0], kind: "ext4" | "tmpfs", typed: string) {
  const { dir } = makeBox(t);
  const script = `${SMALL_DISK}${typed}say stop kill $agent\nwait $agent\n`;
  const words = ["-m", "-p", "-f", "--kill-child", "--mount-proc", "/bin/bash", "-c", script];
  const { out, err } = await run("unshare", words, {
    env: { DIR: dir, ISCONF, KIND: kind },
    timeoutMs: 120_000,
  });
  const said = new Map(
    out.trim().split("\n").map((line) => {
      const [name, status, ...rest] = line.split(" ");
      return [name as string, { status: Number(status), words: rest.join(" ") }];
    }),
  );
  return (name: string) => said.get(name) ?? { status: -1, words: `nothing said: ${out}${err}` };
}

const noDisk = lacks({
  root: true,
  programs: ["unshare", "mount", "mkfs.ext4"],
  files: ["/dev/loop-control"],
});

test(
  "a put filled the disk to the last byte, and gc, which writes before it gives anything back, could not",
  skipIf("a put that fills its disk", noDisk),
  async (t) => {
    const of = await onSmallDisk(t, "tmpfs", FILLED);
    needDiskFull("put", of("put"));
    for (const name of ["rm", "gc", "again", "sound", "stop"]) {
      assert.equal(of(name).status, 0, `${name}: ${of(name).words}`);
    }
    assert.match(of("gc").words, /the disk got .* MiB back/);
  },
);

test(
  "a disk that is full, and one without free inodes: put and get say so and leave nothing, and all works when there is room again",
  skipIf("a full ext4", noDisk),
  async (t) => {
    const of = await onSmallDisk(t, "ext4", FULL);
    const fine = ["elsewhere", "same", "fsck", "fsckAfter", "newAfter", "getAfter", "sameAfter"];
    for (const what of ["blocks", "inodes"]) {
      for (const name of [...fine, "rmNew", "goneAgain", "gcAfter", "sound"]) {
        assert.equal(of(`${what}-${name}`).status, 0, `${what}-${name}: ${of(`${what}-${name}`).words}`);
      }
      // What is put needs no file of its own as long as there is a pack with room in it.
      for (const name of what === "blocks" ? ["put", "get", "getTree"] : ["get", "getTree"]) {
        needDiskFull(`${what}-${name}`, of(`${what}-${name}`));
      }
      assert.equal(of(`${what}-left`).words.trim(), "", `${what}: left beside the target`);
    }
    assert.equal(of("stop").status, 0);
  },
);
