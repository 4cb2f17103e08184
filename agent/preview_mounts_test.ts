// preview_mounts: what mounts become, and where a hidden directory can be seen. The mounting itself: tests/root/preview_apart_test.ts.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { Fault } from "../mq/mod.ts";
import { previewMountsMax } from "./limits.ts";
import { placesOf, planOf, readMounts } from "./preview_mounts.ts";

/** Lines of mountinfo out of "dev root point type". */
const mounts = (...lines: string[]) =>
  readMounts(Buffer.from(
    lines.map((line, i) => {
      const [dev, root, point, type] = line.split(" ");
      return `${i + 30} 1 ${dev} ${root} ${point} rw,relatime shared:1 - ${type} source rw\n`;
    }).join(""),
    "latin1",
  ));

test("lines of mountinfo: escapes, bytes, no optional fields, many", () => {
  const [mount] = mounts("8:1 / /a\\040b\\012\\134\xff ext4");
  assert.deepEqual(mount, { dev: "8:1", root: "/", point: "/a b\n\\\xff", type: "ext4", isReadOnly: false });
  const [bare] = readMounts(Buffer.from("22 1 0:5 / /dev rw - devtmpfs devtmpfs rw\n"));
  assert.deepEqual(bare, { dev: "0:5", root: "/", point: "/dev", type: "devtmpfs", isReadOnly: false });
  const many = Array.from({ length: previewMountsMax + 1 }, (_, i) => `8:1 / /m${i} ext4`);
  assert.throws(() => mounts(...many), (e) => e instanceof Fault && e.kind === "refused");
});

test("what mounts become: a layer each, parents first, the last of a point; nothing for what is made anew", () => {
  const plan = planOf(mounts(
    "8:1 / / ext4",
    "8:2 / /srv/in/deep xfs",
    "0:5 / /proc proc",
    "0:6 / /sys/fs/cgroup cgroup2",
    "0:7 / /run/user/0 tmpfs",
    "8:3 / /srv ext4",
    "0:8 / /home autofs",
    "8:4 / /home ext4",
    "0:9 / /mnt/debug debugfs",
    "0:9 / /running tmpfs",
  ));
  assert.deepEqual(plan.map(({ point, as }) => `${point} ${as}`), [
    "/srv layer",
    "/home layer",
    "/running layer",
    "/mnt/debug absent",
    "/srv/in/deep layer",
  ]);
});

test("a hidden directory is hidden wherever its file system is mounted, whole or in part", () => {
  const all = mounts(
    "8:1 / / ext4",
    "8:1 /var /srv/var ext4",
    "8:1 /var/lib/isconf/keys /srv/keys ext4",
    "8:1 /varnish /srv/other ext4",
    "8:2 / /mnt ext4",
  );
  assert.deepEqual(placesOf(all, "/var/lib/isconf"), ["/var/lib/isconf", "/srv/var/lib/isconf", "/srv/keys"]);
  const own = mounts("8:1 / / ext4", "8:2 /@state /var/lib/isconf btrfs", "8:2 / /mnt btrfs");
  assert.deepEqual(placesOf(own, "/var/lib/isconf"), ["/var/lib/isconf", "/mnt/@state"]);
});
