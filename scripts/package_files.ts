// package_files: what a package of isconf has in it, as paths below / and bytes, for a .deb and for other systems. Not how they are packed.
import { gzipSync } from "node:zlib";
import { completionScript, manualPage, sysusersFile, tmpfilesFile, unitFile, VERBS } from "../agent/mod.ts";

/** One file of a package. */
export interface PackageFile {
  path: string;
  bytes: Uint8Array;
  mode: number;
}

export const root = new URL("../", import.meta.url).pathname;

const encode = (text: string) => new TextEncoder().encode(text);
const file = (path: string, of: string | Uint8Array, mode = 0o644): PackageFile => ({
  path,
  bytes: typeof of === "string" ? encode(of) : of,
  mode,
});
/** As gzip -9n makes it: without a name and a time. */
const gz = (of: string | Uint8Array): Uint8Array => gzipSync(of, { level: 9 });

/** What both kinds of package have, below `prefix`. */
export function commonFiles(prefix: string, version: string, executable: Uint8Array): PackageFile[] {
  const man = (page: string, section: number) =>
    file(`${prefix}/share/man/man${section}/${page}.${section}.gz`, gz(manualPage(page, VERBS, version)));
  return [
    file(`${prefix}/bin/isconf`, executable, 0o755),
    man("isconf", 1),
    man("isconf-policy", 5),
    man("isconf.conf", 5),
    file(`${prefix}/share/bash-completion/completions/isconf`, completionScript("bash")),
  ];
}

/** Of a .deb, for Debian's version of the same words. */
export async function debianFiles(
  version: string,
  executable: Uint8Array,
  licences: string,
  changelog: string,
): Promise<PackageFile[]> {
  const doc = "usr/share/doc/isconf";
  return [
    ...commonFiles("usr", version, executable),
    file("usr/share/zsh/vendor-completions/_isconf", completionScript("zsh")),
    file("usr/share/fish/vendor_completions.d/isconf.fish", completionScript("fish")),
    file("usr/lib/systemd/system/isconf.service", unitFile("/usr/bin/isconf")),
    file("usr/lib/sysusers.d/isconf.conf", sysusersFile()),
    file("usr/lib/tmpfiles.d/isconf.conf", tmpfilesFile()),
    file(`${doc}/copyright`, COPYRIGHT),
    file(`${doc}/LICENCES.txt.gz`, gz(licences)),
    file(`${doc}/changelog.gz`, gz(changelog)),
    file(`${doc}/NEWS.gz`, gz(await Deno.readFile(`${root}CHANGELOG.md`))),
    file(
      "usr/share/lintian/overrides/isconf",
      await Deno.readFile(`${root}scripts/debian/lintian-overrides`),
    ),
  ];
}

/** Of an archive for other systems: to be unpacked in /usr/local, or anywhere. */
export async function archiveFiles(
  version: string,
  executable: Uint8Array,
  licences: string,
): Promise<PackageFile[]> {
  const doc = "share/doc/isconf";
  return [
    ...commonFiles("", version, executable).map((one) => ({ ...one, path: one.path.slice(1) })),
    file("share/zsh/site-functions/_isconf", completionScript("zsh")),
    file("share/fish/vendor_completions.d/isconf.fish", completionScript("fish")),
    file(`${doc}/README.md`, await Deno.readFile(`${root}README.md`)),
    file(`${doc}/CHANGELOG.md`, await Deno.readFile(`${root}CHANGELOG.md`)),
    file(`${doc}/LICENCES.txt`, licences),
  ];
}

const COPYRIGHT =
  `This package was made from the repository of isconf by its own build; no source package of Debian's stands behind it.

The executable has Node.js and npm packages in it. Their authors and licences, in full, are in LICENCES.txt.gz beside this file;
/usr/share/common-licenses has the text of Apache-2.0, under which some of them are.

Copyright (C) 2026 the authors of isconf, and those named in LICENCES.txt.gz.
License: what is isconf's own, as its repository says; the rest as in LICENCES.txt.gz.
`;
