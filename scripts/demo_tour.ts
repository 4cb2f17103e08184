// Demo tour: what a person types on hosta, hostb and hostc, from the first `init` to the proof that all are alike. Not a
// test: it uses what a stranger would use, and what they would see is what is printed.
import * as fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Fact, factsOf, printProof, saying, sideBySide, type Touched } from "./demo_proof.ts";
import { type Actor, asked, type Stage, title, type } from "./demo_stage.ts";

/** How often somebody on hosta looks whether hostb waits, ten times a second. */
const LOOKS_MAX = 100;

/** Goes through the tour. Returns how many facts differ between the hosts: 0 is what it is for. */
export async function tour(stage: Stage): Promise<number> {
  const { whole, top } = stage;
  const { hosta, hostb, hostc } = stage.hosts as { hosta: Actor; hostb: Actor; hostc: Actor };
  const tree = `${top}opt/demo`, conf = `${top}etc/greeter.conf`, note = `${top}etc/motd`;
  const on = (host: Actor) => (line: string) => type(stage, host, line);
  const [a, b, c] = [on(hosta), on(hostb), on(hostc)];
  const called = (name: string) => whole ? "" : ` --host ${name}`;

  title("hosta begins a domain");
  await a(`isconf init${called("hosta")}`);

  title("hostb joins: a token from hosta, and somebody there who compares the fingerprint");
  const token = (await a("isconf token")).trim();
  const joining = b(`isconf join${called("hostb")} ${token}`);
  await a(`isconf approve ${await waiting(hosta, joining)}`);
  await joining;
  await a("isconf hosts");

  title("work on hosta, journaled as it is done");
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

  title(
    whole ? "hostb loses its power; the work is checked in meanwhile" : "hostb stops; the work is checked in",
  );
  await hostb.off();
  for (const line of ["isconf wip", "isconf ci", "isconf log", "isconf status"]) await a(line);

  const touched: Touched[] = [
    { path: tree, snapped: true },
    { path: note, snapped: true },
    { path: conf, snapped: false },
    ...(whole ? PACKAGE : []),
  ];
  const proof = [await facts(hosta, touched, whole)];
  const clear = async (host: Actor, before: string) => {
    if (whole) return;
    title(
      `homes see the same files: those of ${before} are put aside, so that ${host.name} begins with none`,
    );
    await on(host)(`mkdir -p aside/${before} && mv opt etc aside/${before}/ && mkdir opt etc`);
  };

  title("hostb is back, and catches up over the network");
  await hostb.on();
  await clear(hostb, "hosta");
  await b("isconf -v up");
  await b("isconf up");
  proof.push(await facts(hostb, touched, whole));

  title("hostc joins late, with a token that needs nobody's approval");
  const late = (await a("isconf token --approve")).trim();
  await clear(hostc, "hostb");
  await c(`isconf join${called("hostc")} ${late}`);
  await c("isconf up");
  proof.push(await facts(hostc, touched, whole));
  await a("isconf status");

  title("the proof: everything that was touched, on all three");
  const rows = sideBySide(...proof);
  const differing = printProof(rows);
  process.stdout.write(
    differing === 0
      ? `\nproof: all ${rows.length} are the same on hosta, hostb and hostc\n`
      : `\nproof: ${differing} of ${rows.length} DIFFER between hosta, hostb and hostc\n`,
  );
  return differing;
}

/** The fingerprint of the host that waits to be let in. Throws when it gives up waiting first. */
async function waiting(host: Actor, joining: Promise<unknown>): Promise<string> {
  let failed: unknown;
  joining.catch((e) => failed = e);
  for (let looks = 0; looks < LOOKS_MAX && failed === undefined; looks++) {
    const { waiting: [first] } = await asked<{ waiting: { fingerprint: string }[] }>(host, "hosts");
    if (first !== undefined) return first.fingerprint;
    await sleep(100);
  }
  throw failed ?? new Error("nobody waits to be let in");
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
