// Boot: the first loader by TFTP against tftpd-hpa and dnsmasq, a large image by HTTP against nginx, from hosts of one small network to a client in it. The
// agent of the shipped executable serves out of its store. Not how long a machine takes to boot (tests/machines).
import { makeHost } from "../../tests/hosts.ts";
import { DNSMASQ, Lan, type Running } from "../../tests/netboot/lan.ts";
import { type Figure, median, seconds, skipped, tell } from "./figure.ts";
import { isThere, run } from "./run.ts";

const rounds = 5;
const loaderBytes = 8 * 1024 * 1024 - 1;
const imageBytes = 512 * 1024 * 1024;
const [OURS, PEER, CLIENT] = ["10.78.0.9", "10.78.0.2", "10.78.0.3"];
const MAC = "52:54:00:4e:00:02";
const PROGRAMS = [
  "/usr/bin/atftp",
  "/usr/bin/curl",
  "/usr/sbin/in.tftpd",
  "/usr/sbin/dnsmasq",
  "/usr/sbin/nginx",
];

export async function boot(): Promise<Figure[]> {
  const lacks = PROGRAMS.filter((file) => !isThere(file));
  if (lacks.length > 0) {
    return [
      skipped("boot files", `${lacks.join()}: apt-get install atftp curl tftpd-hpa dnsmasq-base nginx-light`),
    ];
  }
  const after: (() => Promise<void>)[] = [];
  const lan = new Lan();
  try {
    await lan.open();
    const host = await makeHost({ after: (fn) => void after.push(fn) }, "bootsrv", {
      network: lan.networkOf("agent", "02:00:0a:4e:00:09", OURS),
    });
    await lan.must("client", ["ip", "address", "replace", `${CLIENT}/24`, "dev", "eth0"]);
    const dir = `${lan.dir}/files`;
    Deno.mkdirSync(dir);
    await run(["/bin/sh", "-euc", MAKE, "sh", dir, String(loaderBytes), String(imageBytes)]);
    await host.ok("start");
    for (const name of ["loader", "image"]) {
      await host.write(`/srv/${name}`, Deno.readFileSync(`${dir}/${name}`));
      await host.ok("put", "--label", name, `/srv/${name}`);
    }
    await host.write("/etc/isconf/netboot.d/all.profile", "for = any\nkernel = image\nloader = loader\n");
    await host.ok("netboot", "on", "eth0");
    return [...await tftp(lan, dir), ...await http(lan, dir)];
  } finally {
    for (const fn of after.reverse()) await fn();
    await lan.close();
  }
}

const MAKE =
  `head -c "$2" /dev/urandom > "$1/loader"; head -c "$3" /dev/urandom > "$1/image"; chmod 755 "$1"; chmod 644 "$1"/*`;

/** Seconds of each of several clients' runs, in turn, the first round for nothing. */
async function inTurn(runs: Record<string, () => Promise<number>>): Promise<Record<string, number[]>> {
  const took: Record<string, number[]> = Object.fromEntries(Object.keys(runs).map((name) => [name, []]));
  for (let i = 0; i <= rounds; i++) {
    for (const [name, once] of Object.entries(runs)) {
      const s = await once();
      if (i > 0) took[name]!.push(s);
    }
  }
  for (const [name, list] of Object.entries(took)) tell(`${name}: ${list.map(seconds).join(", ")}`);
  return took;
}

/** A client's run from its start to its end, and that it got all of it. */
async function client(lan: Lan, argv: string[], file: string, bytes: number): Promise<number> {
  const from = performance.now();
  await lan.must("client", argv, 120_000);
  const s = (performance.now() - from) / 1000;
  const { size } = Deno.statSync(file);
  if (size !== bytes) throw new Error(`${argv.join(" ")} got ${size} bytes, not ${bytes}`);
  Deno.removeSync(file);
  return s;
}

async function tftp(lan: Lan, dir: string): Promise<Figure[]> {
  const got = `${lan.dir}/got`;
  const ours = `${MAC.replaceAll(":", "-")}/loader`;
  const fetch = (name: string, at: string, options: string[]) => () => {
    const words = options.flatMap((option) => ["--option", option]);
    return client(lan, ["atftp", ...words, "-g", "-r", name, "-l", got, at, "69"], got, loaderBytes);
  };
  const SIZE = ["blksize 1428"], WINDOW = [...SIZE, "windowsize 16"];
  const figures: Figure[] = [];
  for (
    const [peer, start] of [
      [
        "tftpd-hpa",
        () =>
          lan.start("site", [
            "in.tftpd",
            "--foreground",
            "--user",
            "root",
            "--address",
            `${PEER}:69`,
            "--secure",
            dir,
          ]),
      ],
      ["dnsmasq", () => lan.start("site", [...DNSMASQ, "--enable-tftp", `--tftp-root=${dir}`])],
    ] as [string, () => Running][]
  ) {
    const server = start();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const took = await inTurn({
      ours: fetch(ours, OURS, SIZE),
      window: fetch(ours, OURS, WINDOW),
      peer: fetch("loader", PEER, SIZE),
      peerWindow: fetch("loader", PEER, WINDOW),
    });
    await server.stop();
    const middle = (name: string) => median(took[name]!);
    const [a, b] = [middle("window"), Math.min(middle("peer"), middle("peerWindow"))];
    figures.push(
      {
        name: "TFTP, 8 MiB, a window",
        ours: seconds(a),
        peer: `${peer} ${seconds(b)}`,
        ratio: a / b,
        aim: "ratio <= 1",
        ok: a / b <= 1,
      },
      {
        name: "TFTP, 8 MiB, no window",
        ours: seconds(middle("ours")),
        peer: `${peer} ${seconds(middle("peer"))}`,
        ratio: middle("ours") / middle("peer"),
      },
    );
  }
  return figures;
}

async function http(lan: Lan, dir: string): Promise<Figure[]> {
  const conf = `${lan.dir}/nginx.conf`;
  Deno.writeTextFileSync(conf, nginxConf(lan.dir, dir));
  const server = lan.start("site", [
    "nginx",
    "-c",
    conf,
    "-e",
    `${lan.dir}/nginx.error`,
    "-g",
    "daemon off;",
  ]);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const fetch = (url: string) => () => {
    const got = `${lan.dir}/got`;
    return client(lan, ["curl", "-fsS", "-o", got, url], got, imageBytes);
  };
  try {
    const took = await inTurn({
      ours: fetch(`http://${OURS}:8480/boot/${MAC}/kernel`),
      nginx: fetch(`http://${PEER}:8080/image`),
    });
    const [a, b] = [median(took.ours!), median(took.nginx!)];
    return [{
      name: "HTTP, 512 MiB, bytes a second",
      ours: `${(imageBytes / a / 1e6).toFixed(0)} MB/s`,
      peer: `nginx ${(imageBytes / b / 1e6).toFixed(0)} MB/s`,
      ratio: b / a,
      aim: "ratio >= 0.8",
      ok: b / a >= 0.8,
    }];
  } finally {
    await server.stop();
  }
}

const nginxConf = (own: string, dir: string) => `
user root; worker_processes 1; pid ${own}/nginx.pid;
events {}
http {
  access_log off; sendfile on; client_body_temp_path ${own}/n1; proxy_temp_path ${own}/n2; fastcgi_temp_path ${own}/n3;
  uwsgi_temp_path ${own}/n4; scgi_temp_path ${own}/n5;
  server { listen ${PEER}:8080; root ${dir}; }
}
`;
