// oci_programs: images judged by skopeo(1) and umoci(1), which share no code with us: what goes out is unpacked by them
// to the same files, what they make comes in as the files that they unpack.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createReadStream, createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { capture } from "./capture.ts";
import { attributes, isRoot, look, sh, testIn, trySetXattr } from "./fixture.ts";
import { exportOci } from "./oci_export.ts";
import { importOci } from "./oci_import.ts";
import { restore } from "./restore.ts";
import { MemoryStore } from "./store.ts";

/** Why these tests cannot run here, or false. */
function lacking(): string | false {
  const missing = ["skopeo", "umoci"].filter((name) => spawnSync(name, ["--version"]).error !== undefined);
  if (missing.length > 0) return `needs ${missing.join(" and ")} (scripts/ci_setup.sh)`;
  return isRoot ? false : "needs root";
}
const options = { skip: lacking() };

/** Marked with attributes, the kinds that an image carries. */
function mark(dir: string, names: string[]): void {
  const [file, folder] = names as [string, string];
  const netRaw = Buffer.from("0100000200200000000000000000000000000000", "hex");
  trySetXattr(`${dir}/${file}`, "user.bytes", new Uint8Array([0, 255, 10, 61, 128]));
  trySetXattr(`${dir}/${file}`, "security.capability", netRaw);
  trySetXattr(`${dir}/${folder}`, "user.folder", new Uint8Array(3000).fill(7));
  trySetXattr(`${dir}/${folder}`, "trusted.folder", new Uint8Array([1]));
}

const marks = (dir: string, names: string[]) => names.map((name) => attributes(`${dir}/${name}`));

testIn("skopeo and umoci unpack an exported tree to the same files", async (dir) => {
  sh(
    dir,
    `mkdir -p a/empty a/deep/er a/$(printf 'n%.0s' $(seq 200))/$(printf 'm%.0s' $(seq 200)); cd a
    printf hello > hello; : > zero; printf x > 'new line'; printf y > $'\\xff\\xfe bytes'; printf u > größe
    printf s > setuid; chmod 4755 setuid; chmod 1777 deep; chmod 2750 deep/er; printf n > none; chmod 0 none
    head -c 3000000 /dev/urandom > big; head -c 512 /dev/zero > block; ln hello deep/hello2; ln big $(echo n*/m*)/big2
    ln $'\\xff\\xfe bytes' $'\\xfe hard'; ln -s hello link; ln -s /etc/passwd out; ln -s $'\\xff/x' $'\\xfelink'
    truncate -s 1M sparse; printf d | dd of=sparse bs=1 seek=500000 conv=notrunc status=none
    chown 12345:54321 setuid; chmod 4755 setuid; chown -h 7:8 link; chown 3000000:9 deep
    touch -d '2038-01-20 00:00:00.000000001 UTC' hello; touch -h -d '2001-02-03 04:05:06.123456789 UTC' link
    touch -d '1975-01-01 00:00:00.5 UTC' zero; touch -d '2200-01-01 UTC' block`,
  );
  const marked = ["setuid", "deep", "hello"];
  mark(`${dir}/a`, marked);
  sh(
    dir,
    "chmod 4755 a/setuid; find a -depth -type d -exec touch -d '2020-02-02 02:02:02.02020202 UTC' {} +",
  );
  const store = new MemoryStore();
  const { id } = await capture(store, `${dir}/a`);
  await pipeline(Readable.from(exportOci(store, id, { ref: "v1" })), createWriteStream(`${dir}/image.tar`));
  const said = JSON.parse(sh(dir, "skopeo inspect oci-archive:image.tar"));
  assert.deepEqual([said.Architecture, said.Os, said.Layers.length], ["amd64", "linux", 1]);
  assert.match(said.Created, /^2020-02-02T02:02:02\.02020202/);
  sh(
    dir,
    "skopeo copy --quiet oci-archive:image.tar:v1 oci:layout:v1; umoci unpack --image layout:v1 bundle",
  );
  assert.deepEqual(look(`${dir}/bundle/rootfs`), look(`${dir}/a`));
  assert.deepEqual(marks(`${dir}/bundle/rootfs`, marked), marks(`${dir}/a`, marked));
  const root = "stat -c '%a %u:%g %y'";
  assert.equal(sh(dir, `${root} bundle/rootfs`), sh(dir, `${root} a`));
  sh(
    dir,
    "for name in hello deep/hello2; do stat -c %i bundle/rootfs/$name; done | uniq | wc -l | grep -qx 1",
  );
}, options);

testIn("an image of umoci with whiteouts comes in as the files that umoci unpacks", async (dir) => {
  const layers = [
    `mkdir -p a/b/c gone/x merged replaced; printf 1 > gone/x/y; printf 2 > a/b/c/d; printf 3 > merged/old
    printf keep > merged/keep; printf f > file-to-dir; printf x > replaced/x; head -c 2000000 /dev/urandom > big
    printf hl > one; ln one two; ln -s a/b link; printf b > $'\\xff\\xfe'; mkdir $(printf 'n%.0s' $(seq 150))
    printf long > $(echo nnn*)/$(printf 'm%.0s' $(seq 150)); chown 12:34 a/b; chmod 2755 a/b; chown -h 5:6 link
    printf s > setuid; chmod 4711 setuid; printf old > changed`,
    `rm -r gone merged/old; printf new > merged/new; rm file-to-dir; mkdir file-to-dir; printf z > file-to-dir/z
    rm -r replaced; printf file > replaced; printf changed > changed; chmod 600 changed; rm link; ln -s elsewhere link
    ln a/b/c/d a/linked; rm two; chmod 700 merged`,
    `rm -r a/b/c; printf last > last; rm nnn*/mmm*`,
  ];
  sh(dir, "umoci init --layout img; umoci new --image img:v");
  for (const [i, script] of layers.entries()) {
    sh(dir, "umoci unpack --image img:v bundle");
    sh(`${dir}/bundle/rootfs`, script);
    if (i === 0) mark(`${dir}/bundle/rootfs`, ["setuid", "merged"]);
    sh(dir, "umoci repack --image img:v bundle; rm -r bundle");
  }
  sh(
    dir,
    "skopeo copy --quiet oci:img:v oci-archive:image.tar:v; tar xOf image.tar blobs | grep -qa 'tar+gzip'; " +
      "umoci unpack --image img:v bundle",
  );
  const store = new MemoryStore();
  const { id, skipped } = await importOci(store, createReadStream(`${dir}/image.tar`), { ref: "v" });
  assert.equal(skipped, 0);
  await restore(store, id, `${dir}/b`);
  assert.deepEqual(look(`${dir}/b`), look(`${dir}/bundle/rootfs`));
  for (const name of ["setuid", "merged"]) {
    const got = attributes(`${dir}/b/${name}`);
    assert.deepEqual(got, attributes(`${dir}/bundle/rootfs/${name}`));
    assert.ok(got.length > 0, name);
  }
  assert.match(sh(dir, "find b -links +1 -type f; ls b"), /last/);
}, options);
