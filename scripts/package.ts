// package: makes what is released out of the two executables: a .deb and an archive for each architecture, their hashes, and with
// --key a signature. The same tree gives the same bytes. Not a build (build.ts): the executables have to be there.
// Usage: deno task package [--key FILE] [--out DIR]. Whoever releases names themselves by DEBFULLNAME and DEBEMAIL.
import { parseArgs } from "node:util";
import config from "../deno.json" with { type: "json" };
import { archiveFiles, debianFiles, type PackageFile, root } from "./package_files.ts";

export type DebArch = "amd64" | "arm64";

/** What is packed: bytes rather than files, so that tests can pack others. */
export interface Packed {
  version: string;
  arch: DebArch;
  executable: Uint8Array;
  licences: string;
  /** Seconds since 1970: the time of everything in it. */
  epoch: number;
  /** How hard xz tries, 0 to 9. */
  level: number;
}

const maintainer = () =>
  `${Deno.env.get("DEBFULLNAME") ?? "isconf"} <${
    Deno.env.get("DEBEMAIL") ?? "isconf@localhost.localdomain"
  }>`;

/** By what the executables, and the SQLite addon in them, ask the loader for; tests/root/package_test.ts compares. */
export const DEPENDS = {
  GLIBC: "libc6 (>= 2.34)",
  GCC: "libgcc-s1 (>= 4.2)",
  GLIBCXX: "libstdc++6 (>= 11)",
};

const SUMMARY = `keeps hosts congruent by replaying the same changes in the same order
 isconf keeps a fleet of Linux hosts congruent: what is changed on one host is
 journaled there (lock, snap, exec, ci) and replayed by every other host in the
 same order (up), also by hosts that are off today or not built yet. There is
 no central server: hosts tell each other, and keepers certify each entry.`;

/** Writes `isconf_VERSION_ARCH.deb` into `dir` and returns its name. */
export async function makeDeb(dir: string, packed: Packed): Promise<string> {
  const { version, arch, executable, licences, epoch, level } = packed;
  const when = new Date(epoch * 1000).toUTCString().replace("GMT", "+0000");
  const changelog = `isconf (${version}) unstable; urgency=medium

  * What has changed is in NEWS.gz.

 -- ${maintainer()}  ${when}
`;
  const files = await debianFiles(version, executable, licences, changelog);
  const kib = files.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / 1024), 0);
  const control = `Package: isconf
Version: ${version}
Architecture: ${arch}
Maintainer: ${maintainer()}
Installed-Size: ${kib}
Depends: ${Object.values(DEPENDS).join(", ")}
Recommends: man-db, less
Section: admin
Priority: optional
Description: ${SUMMARY}
`;
  const sums = await Promise.all(
    files.map(async ({ path, bytes }) => `${await digest("md5sum", bytes)}  ${path}\n`),
  );
  const about: PackageFile[] = [
    { path: "DEBIAN/control", bytes: new TextEncoder().encode(control), mode: 0o644 },
    { path: "DEBIAN/md5sums", bytes: new TextEncoder().encode(sums.join("")), mode: 0o644 },
  ];
  for (const name of ["postinst", "prerm", "postrm"]) {
    about.push({
      path: `DEBIAN/${name}`,
      bytes: await Deno.readFile(`${root}scripts/debian/${name}`),
      mode: 0o755,
    });
  }
  const name = `isconf_${version}_${arch}.deb`;
  await inTree([...about, ...files], async (tree) => {
    const words = [
      "--root-owner-group",
      "-Zxz",
      `-z${level}`,
      "--threads-max=1",
      "--build",
      tree,
      `${dir}/${name}`,
    ];
    await run("dpkg-deb", words, { SOURCE_DATE_EPOCH: String(epoch) });
  });
  return name;
}

/** Writes `isconf_VERSION_linux-ARCH.tar.xz` into `dir` and returns its name. */
export async function makeArchive(dir: string, packed: Packed): Promise<string> {
  const { version, arch, executable, licences, epoch, level } = packed;
  const top = `isconf-${version}`;
  const files = await archiveFiles(version, executable, licences);
  const name = `isconf_${version}_linux-${arch}.tar.xz`;
  await inTree(files.map((one) => ({ ...one, path: `${top}/${one.path}` })), async (tree) => {
    const same = [
      "--sort=name",
      "--format=gnu",
      "--owner=0",
      "--group=0",
      "--numeric-owner",
      `--mtime=@${epoch}`,
    ];
    const words = [...same, "-C", tree, "-I", `xz -T1 -${level}`, "-cf", `${dir}/${name}`, top];
    await run("tar", words);
  });
  return name;
}

/** Writes SHA256SUMS of files of a directory, and with a key its signature (ssh-keygen(1), -Y sign) beside it. */
export async function makeSums(dir: string, names: readonly string[], key?: string): Promise<void> {
  const lines = await Promise.all(
    [...names].sort().map(async (name) =>
      `${await digest("sha256sum", await Deno.readFile(`${dir}/${name}`))}  ${name}\n`
    ),
  );
  await Deno.writeTextFile(`${dir}/SHA256SUMS`, lines.join(""));
  await Deno.remove(`${dir}/SHA256SUMS.sig`).catch(() => {});
  if (key !== undefined) {
    await run("ssh-keygen", ["-q", "-Y", "sign", "-f", key, "-n", "isconf", `${dir}/SHA256SUMS`]);
  }
}

/** Files on disk, with the modes they have whatever our umask is, for as long as `fn` takes. Who packs them gives them their time. */
async function inTree(files: PackageFile[], fn: (tree: string) => Promise<void>): Promise<void> {
  const tree = await Deno.makeTempDir({ prefix: "isconf-package-" });
  try {
    await Deno.chmod(tree, 0o755);
    for (const { path, bytes, mode } of files) {
      await Deno.mkdir(`${tree}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true, mode: 0o755 });
      await Deno.writeFile(`${tree}/${path}`, bytes);
      await Deno.chmod(`${tree}/${path}`, mode);
    }
    await run("find", [tree, "-type", "d", "-exec", "chmod", "755", "{}", "+"]);
    await fn(tree);
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
}

async function digest(program: "md5sum" | "sha256sum", bytes: Uint8Array): Promise<string> {
  const child = new Deno.Command(program, { stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(bytes);
  await writer.close();
  return new TextDecoder().decode((await child.output()).stdout).split(" ")[0]!;
}

/** Runs a program and returns what it printed; throws what it said when it fails. */
async function run(program: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, env, stdin: "null" }).output();
  const text = new TextDecoder();
  if (success) return text.decode(stdout);
  throw new Error(`${program} ${args.join(" ")} failed:\n${text.decode(stdout)}${text.decode(stderr)}`);
}

/** The time of what is packed: SOURCE_DATE_EPOCH, or when the commit was made. */
async function epochNow(): Promise<number> {
  return Number(
    Deno.env.get("SOURCE_DATE_EPOCH") ?? await run("git", ["-C", root, "log", "-1", "--format=%ct"]),
  );
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      key: { type: "string" },
      out: { type: "string", default: `${root}dist` },
      level: { type: "string", default: "6" },
    },
  });
  const epoch = await epochNow();
  const names: string[] = [];
  const hostArch = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
  for (const arch of ["amd64", "arm64"] as DebArch[]) {
    const built = `${root}dist/isconf${arch === hostArch ? "" : `-${arch === "amd64" ? "x64" : arch}`}`;
    const packed: Packed = {
      version: config.version,
      arch,
      executable: await Deno.readFile(built),
      licences: await Deno.readTextFile(`${built}.LICENCES.txt`),
      epoch,
      level: Number(values.level),
    };
    names.push(await makeDeb(values.out, packed), await makeArchive(values.out, packed));
  }
  await makeSums(values.out, names, values.key);
  for (const name of names) {
    console.log(
      `${values.out}/${name}: ${((await Deno.stat(`${values.out}/${name}`)).size / 1e6).toFixed(1)} MB`,
    );
  }
}
