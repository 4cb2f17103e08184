// Demo tour: what a person types on hosta and hostb, from the first `init` to the proof that both are alike. Not a
// test: it uses what a stranger would use, and what they would see is what is printed.
import * as fs from "node:fs";
import { type Fact, factsOf, printProof, saying, sideBySide, type Touched } from "./demo_proof.ts";
import { type Actor, type Stage, title, type } from "./demo_stage.ts";

/** Goes through the tour. Returns how many facts differ between the two hosts: 0 is what it is for. */
export async function tour(stage: Stage): Promise<number> {
  const { hosta, hostb, whole, top } = stage;
  const tree = `${top}opt/demo`, conf = `${top}etc/greeter.conf`, note = `${top}etc/motd`;
  const on = (host: Actor) => (line: string) => type(stage, host, line);
  const [a, b] = [on(hosta), on(hostb)];

  title("hosta begins a domain");
  await a(`isconf init${whole ? "" : " --host hosta"}`);
  await a('isconf lock "the greeter service, version one"');

  title("a tree: a setuid program, a hard link, symbolic links, a sparse file, an empty directory");
  for (const line of treeLines(tree, whole)) await a(line);
  await a(`isconf snap ${tree}`);

  if (whole) {
    title("a package with a conffile and a postinst, snapped as a file and installed by a command");
    await a(packageLines);
    await a("dpkg-deb --build --root-owner-group greeter /opt/greeter_1.0_all.deb");
    await a("isconf snap /opt/greeter_1.0_all.deb");
    await a("isconf exec dpkg -i /opt/greeter_1.0_all.deb");

    title("a service account, made by the command that everybody knows");
    await a("isconf exec useradd --system --no-create-home --shell /usr/sbin/nologin greeter");
  } else {
    await a(`mkdir -p ${top}etc && echo greeting=hello >${conf} && isconf snap ${conf}`);
  }

  title("a configuration edited by a command, and a file edited by hand");
  await a(`isconf exec sed -i 's/^greeting=.*/greeting=good morning/' ${conf}`);
  await a(`echo 'kept congruent by isconf' >${note} && isconf snap ${note}`);

  title("what would be checked in, and the check-in");
  for (const line of ["isconf wip", "isconf ci", "isconf log"]) await a(line);

  const touched: Touched[] = [
    { path: tree, snapped: true },
    { path: note, snapped: true },
    { path: conf, snapped: false },
    ...(whole ? PACKAGE : []),
  ];
  const before = await facts(hosta, touched, whole);
  const bundle = "main.bundle";

  title("the journal goes to hostb as a file: no network between them");
  await a(`isconf bundle export ${bundle}`);
  const { domain } = JSON.parse((await hosta.run("isconf --json status", () => {})).stdout);
  if (whole) fs.copyFileSync(hosta.seen(bundle), hostb.seen(bundle));
  process.stdout.write(`carried: ${fs.statSync(hostb.seen(bundle)).size} bytes\n`);
  if (!whole) {
    title("both homes see the same files: hosta's are put aside, so that hostb begins with none");
    await b(`mkdir aside && mv opt etc aside/ && mkdir opt etc`);
  }
  await b(`isconf bundle import ${bundle} --domain ${domain} --host hostb`);
  await b("isconf -v up");
  await b("isconf up");

  title("the proof: everything that was touched, on both hosts");
  const rows = sideBySide(before, await facts(hostb, touched, whole));
  const differing = printProof(rows);
  process.stdout.write(
    differing === 0
      ? `\nproof: all ${rows.length} are the same on hosta and hostb\n`
      : `\nproof: ${differing} of ${rows.length} DIFFER between hosta and hostb\n`,
  );
  return differing;
}

function treeLines(tree: string, whole: boolean): string[] {
  const licences = "/usr/share/common-licenses";
  return [
    `mkdir -p ${tree}/bin ${tree}/share ${tree}/empty`,
    `printf '#!/bin/sh\\necho hello from $(hostname)\\n' >${tree}/bin/hello && chmod 4755 ${tree}/bin/hello`,
    `ln ${tree}/bin/hello ${tree}/bin/hello-again && ln -s ../bin/hello ${tree}/share/latest`,
    `truncate -s 64M ${tree}/share/sparse && echo end >>${tree}/share/sparse`,
    ...(fs.existsSync(licences) ? [`cp -a ${licences} ${tree}/share/licences`] : []),
    `chmod 1770 ${tree}/empty && chmod 2750 ${tree}/share${
      whole ? ` && chown daemon:adm ${tree}/share` : ""
    }`,
  ];
}

const packageLines = `mkdir -p greeter/DEBIAN greeter/etc greeter/usr/bin
cat >greeter/DEBIAN/control <<END
Package: greeter
Version: 1.0
Architecture: all
Maintainer: The Demo <demo@example.org>
Description: greets
END
echo /etc/greeter.conf >greeter/DEBIAN/conffiles
printf '#!/bin/sh\\nset -e\\ninstall -d -m 0750 /var/lib/greeter\\necho "greeter: ready"\\n' >greeter/DEBIAN/postinst
echo greeting=hello >greeter/etc/greeter.conf
printf '#!/bin/sh\\n. /etc/greeter.conf\\necho "$greeting"\\n' >greeter/usr/bin/greeter
chmod 0755 greeter/DEBIAN/postinst greeter/usr/bin/greeter`;

const PACKAGE: Touched[] = [
  { path: "/opt/greeter_1.0_all.deb", snapped: true },
  { path: "/usr/bin/greeter", snapped: true }, // dpkg gives files the times that the package has
  { path: "/var/lib/greeter", snapped: false },
  { path: "/var/lib/dpkg/info/greeter.conffiles", snapped: false },
  { path: "/var/lib/dpkg/info/greeter.postinst", snapped: false },
];

async function facts(host: Actor, touched: Touched[], whole: boolean): Promise<Fact[]> {
  const asked = whole ? ["dpkg -s greeter", "getent passwd greeter", "getent group greeter"] : [];
  const said: Fact[] = [];
  for (const line of asked) {
    const { status, stdout } = await host.run(line, () => {});
    said.push(saying(line, status === 0 ? stdout.trim().replaceAll("\n", " ") : `ended with ${status}`));
  }
  return [...factsOf(touched, host.seen), ...said];
}
