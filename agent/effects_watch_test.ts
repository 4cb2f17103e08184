// effects watch: which mounts stand for the file systems that are listened to. What the kernel then tells: tests/root/effects_test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mountsWatched } from "./effects_watch.ts";
import type { Mount } from "./preview_mounts.ts";

const mount = (line: string): Mount => {
  const [dev = "", root = "", point = "", type = "", ro] = line.split(" ");
  return { dev, root, point, type, isReadOnly: ro === "ro" };
};

test("each local file system once, where most of it can be seen; what could keep us waiting is only named", () => {
  const { local, remote } = mountsWatched([
    "8:1 /srv /bound ext4",
    "8:1 / / ext4",
    "8:2 / /home xfs",
    "8:3 / /iso iso9660 ro",
    "0:5 / /proc proc",
    "0:6 / /run/user/0 tmpfs",
    "0:7 / /tmp tmpfs",
    "0:8 / /mnt/far nfs4",
    "0:8 /in /mnt/far-too nfs4",
    "0:9 / /mnt/drive fuse.sshfs",
    "0:10 / /srv/memory tmpfs",
  ].map(mount));
  assert.deepEqual(local.map(({ point }) => point), ["/", "/home", "/srv/memory"]);
  assert.deepEqual(remote.map(({ point }) => point), ["/mnt/far", "/mnt/drive"]);
});
