// planted: what somebody puts in the way of root's writing and reading in their own directory, and in one that everybody may write to,
// whether the kernel protects links, fifos and files there (fs.protected_symlinks and its kin) or does not. Not races (fs/attack_test.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { carry, checkIn, type Host, hostTest, makePair } from "../hosts.ts";

const SETTINGS = ["symlinks", "hardlinks", "fifos", "regular"].map((what) =>
  `/proc/sys/fs/protected_${what}`
);

/** Runs something with these settings of the machine, and puts back what they were, however it ends. */
async function withSettings(values: string[], fn: () => Promise<void>): Promise<void> {
  const before = SETTINGS.map((file) => fs.readFileSync(file, "utf8"));
  const set = (all: string[]) => SETTINGS.forEach((file, i) => fs.writeFileSync(file, all[i]!));
  const back = () => set(before);
  process.once("exit", back);
  try {
    set(values);
    await fn();
  } finally {
    back();
    process.off("exit", back);
  }
}

/** What must not change: bytes, owners, modes and times of what is root's. */
const PRECIOUS =
  `cd /; find etc/shadow etc/passwd etc/cron.d root/precious srv/closed -printf '%p %y %m %U %G %T@ %s %l %n\\n' | sort
  cat etc/shadow etc/passwd root/precious/* srv/closed/*`;
const MAKE =
  `mkdir -p /root/precious /srv/closed /home/alice/tree/sub /home/alice/dir; chmod 700 /srv/closed; echo p >/root/precious/p
  echo c >/srv/closed/c; install -d -m 1777 /srv/sticky; mkdir /srv/sticky/app; echo old >/home/alice/tree/sub/f
  for n in soft hard fifo socket mount; do echo old >/home/alice/$n; done; echo old >/srv/sticky/app/f; chown -R alice:alice /home/alice
  chown alice /srv/sticky/app`;
/** As alice: what she can plant, where entries will write. Hard links only where the kernel lets her. */
const PLANT =
  `cd /home/alice; rm soft hard fifo socket; ln -s /etc/shadow soft; ln /etc/shadow hard 2>/dev/null || ln -s /etc/shadow hard
  mkfifo -m 666 fifo; perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "socket", Listen => 1) or die'
  rm -r tree/sub; ln -s /root/precious tree/sub; rm -r /srv/sticky/app; ln -s /srv/closed /srv/sticky/app`;

const as = (host: Host, script: string) =>
  host.must(["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "sh", "-euc", script]);

for (
  const [what, values] of [["unprotected", ["0", "0", "0", "0"]], ["protected", [
    "1",
    "1",
    "2",
    "2",
  ]]] as const
) {
  hostTest(
    `links, fifos, sockets and mounts planted where root writes and reads change and give away nothing: ${what}`,
    async (t) => {
      const [a, b] = await makePair(t, { users: ["alice"] });
      for (const host of [a, b]) await host.sh(MAKE);
      await withSettings([...values], async () => {
        await a.sh(
          "for n in soft hard fifo socket; do echo new >/home/alice/$n; done; echo new >/home/alice/tree/sub/f",
        );
        const files = ["soft", "hard", "fifo", "socket"].map((name) => ["snap", `/home/alice/${name}`]);
        await checkIn(a, "replaced", ...files, ["snap", "/home/alice/tree"]);
        await carry(a, b);
        await as(b, PLANT);
        const before = await b.sh(PRECIOUS);
        const first = await b.isconf("up");
        // Root's own directory entry would hide what the link of alice's leads to: who owns it decides.
        assert.equal(
          await b.sh(PRECIOUS),
          before.replace(/^(etc\/shadow .*) 2$/m, "$1 1"),
          "something of root's was changed",
        );
        assert.deepEqual(
          [first.status, /tree\/sub is not a directory/.test(first.stderr)],
          [1, true],
          first.stderr,
        );
        await b.sh("rm /home/alice/tree/sub");
        await b.ok("up");
        assert.equal(
          await b.sh(
            "cd /home/alice; stat -c '%n %F %U %h' soft hard fifo socket tree/sub/f; cat soft hard fifo socket tree/sub/f",
          ),
          ["soft", "hard", "fifo", "socket", "tree/sub/f"].map((name) => `${name} regular file alice 1\n`)
            .join("") +
            "new\nnew\nnew\nnew\nnew",
        );

        // In a sticky directory of root's, alice's link on the way is not followed, by nobody and for nothing.
        await a.sh("echo new >/srv/sticky/app/f");
        await checkIn(a, "through a link", ["snap", "/srv/sticky/app/f"]);
        await carry(a, b);
        const stopped = await b.isconf("up");
        assert.deepEqual(
          [stopped.status, /\/srv\/sticky\/app/.test(stopped.stderr)],
          [1, true],
          stopped.stderr,
        );
        assert.equal(await b.sh("ls /srv/closed"), "c");
        await b.sh("rm /srv/sticky/app; install -d -o alice /srv/sticky/app");
        await b.ok("up");
        assert.equal(await b.sh("cat /srv/sticky/app/f"), "new");

        // What is mounted over the target stays mounted, and is not written to.
        await a.sh("echo new >/home/alice/mount");
        await checkIn(a, "below a mount", ["snap", "/home/alice/mount"]);
        await carry(a, b);
        await b.sh("mount --bind /root/precious/p /home/alice/mount");
        const mounted = await b.isconf("up");
        assert.deepEqual(
          [mounted.status, /\/home\/alice\/mount/.test(mounted.stderr)],
          [125, true],
          mounted.stderr,
        );
        assert.equal(
          await b.sh("cat /root/precious/p; umount /home/alice/mount; ls -A /home/alice | grep isconf- || :"),
          "p",
        );
        await b.ok("up");

        // Reading: what alice has put there is not root's to give away.
        await a.ok("lock", "reading");
        await as(
          a,
          `cd /home/alice; rm -rf soft hard tree; ln -s /etc/shadow soft; ln /etc/shadow hard 2>/dev/null || :; mkfifo pipe
          ln -s /srv/closed through; mkdir tree; ln -s /etc/shadow tree/link`,
        );
        const refused = [["pipe", /is a fifo/], ["through/c", /is not followed/], [
          "socket/x",
          /not a directory/,
        ]] as const;
        for (
          const [name, why] of what === "protected"
            ? refused
            : [...refused, ["hard", /several names/] as const]
        ) {
          const { status, stderr } = await a.isconf("snap", `/home/alice/${name}`);
          assert.notEqual(status, 0, name);
          assert.match(stderr, why, name);
        }
        await a.ok("snap", "/home/alice/soft");
        await a.ok("snap", "/home/alice/tree");
        const { items } = JSON.parse(await a.sh("isconf --json wip"));
        assert.match(items[0].text, /\(link, 1 files, 0 bytes\)/, "a link is kept as a link");
        assert.match(items[1].text, /\(dir, 1 files, 0 bytes\)/);
      });
      for (const file of SETTINGS) assert.match(fs.readFileSync(file, "utf8"), /^[012]\n$/);
    },
    "setpriv",
    "perl",
  );
}
