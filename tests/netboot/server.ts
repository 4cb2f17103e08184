// server: all boot servers of agent/netboot as a process of their own, for tests that run it in a network of theirs: one argument, JSON; says "ready" and
// then each step of a machine. Not the agent: nothing of it is here but the servers.
import * as fs from "node:fs";
import {
  BootLog,
  grubConfig,
  httpPath,
  ipxeScript,
  MemoryBooter,
  memoryFile,
  MemoryLeases,
  noteText,
  openBootServer,
  padded,
  tftpName,
} from "../../agent/netboot/mod.ts";
import type { Arch, Bind, BootFile, End, FileStep } from "../../agent/netboot/mod.ts";
import { systemClock } from "../../mq/mod.ts";

export interface ServerSettings {
  address: string;
  /** First loaders, by what runs them: their names and where they are on this machine. */
  loaders: Partial<Record<Arch, { name: string; path: string }>>;
  files: Record<string, { path: string; step?: FileStep }>;
  /** What iPXE boots: names of files, and words for the kernel. */
  kernel?: { kernel: string; initrds: string[]; args: string[] };
  /** Whether firmware is told something only when it asks by HTTP. */
  httpOnly?: boolean;
  /** Whether the first script of iPXE is to load a whole other iPXE over TFTP. */
  isChained?: boolean;
  /** The machine for which there is a grub.cfg, which says to GRUB what the script says to iPXE. */
  grubFor?: string;
  /** Whether its ports are handed over, as descriptors from 3 on. */
  isHandedOver?: boolean;
  /** Addresses that it gives; else it is a ProxyDHCP server. */
  own?: { from: string; to: string };
}

const httpPort = 8080;

async function main(settings: ServerSettings): Promise<void> {
  const { address } = settings;
  const bind = (end: End, fd: number): Bind => settings.isHandedOver ? { fd } : end;
  let scripts = 0;
  const read = (path: string) => new Uint8Array(fs.readFileSync(path));
  const booter = new MemoryBooter({
    loaders: Object.fromEntries(
      Object.entries(settings.loaders).map(([arch, { name, path }]) => [arch, { name, bytes: read(path) }]),
    ),
    files: Object.fromEntries(
      Object.entries(settings.files).map((
        [name, { path, step }],
      ) => [name, { bytes: read(path), ...(step && { step }) }]),
    ),
    script({ mac }) {
      if (settings.kernel === undefined) return "#!ipxe\nexit 1\n";
      if (settings.isChained && scripts++ === 0) {
        return `#!ipxe\nchain tftp://${address}/${
          tftpName({ mac, name: settings.loaders.bios!.name })
        } || exit 1\n`;
      }
      const url = (name: string) => `http://${address}:${httpPort}${httpPath({ mac, name })}`;
      const { kernel, initrds, args } = settings.kernel;
      return ipxeScript({ kernel: url(kernel), initrds: initrds.map(url), args });
    },
  });
  const grub = grubFile(settings);
  const asInitrd = (file: BootFile | undefined) => file?.step === "initrd" ? padded(file) : file;
  const steps = new BootLog(systemClock);
  await openBootServer({
    clock: systemClock,
    steps,
    booter: {
      loaderFor: async (machine) =>
        settings.httpOnly && machine.program === "rom" ? undefined : await booter.loaderFor(machine),
      scriptFor: (machine) => booter.scriptFor(machine),
      fileAt: async (place) => place.name === "grub.cfg" ? grub : asInitrd(await booter.fileAt(place)),
    },
    server: { address, httpPort, relays: [] },
    binds: {
      dhcp: {
        all: bind({ address: "0.0.0.0", port: 67 }, 3),
        own: bind({ address, port: 67 }, 4),
        pxe: bind({ address, port: 4011 }, 5),
        client: bind({ address: "0.0.0.0", port: 68 }, 6),
      },
      tftp: bind({ address, port: 69 }, 7),
      http: bind({ address, port: httpPort }, 8),
    },
    ...(settings.own && {
      own: {
        ...settings.own,
        mask: "255.255.255.0",
        router: address,
        dns: [],
        leaseSeconds: 600,
        keeper: new MemoryLeases(),
      },
    }),
    log: (line) => console.log(`log: ${line}`),
  });
  let told = 0;
  setInterval(() => {
    const { last, notes } = steps.since(told);
    for (const note of notes) console.log(noteText(note));
    told = last;
  }, 20);
  console.log(`runs as ${process.getuid?.()}`);
  console.log("ready");
}

function grubFile({ address, kernel, grubFor: mac }: ServerSettings): BootFile | undefined {
  if (mac === undefined || kernel === undefined) return undefined;
  const path = (name: string) => httpPath({ mac, name });
  const words = { kernel: path(kernel.kernel), initrds: kernel.initrds.map(path), args: kernel.args };
  return memoryFile(new TextEncoder().encode(grubConfig({ address, httpPort }, words)));
}

try {
  await main(JSON.parse(process.argv[2]!));
} catch (e) {
  console.log(`failed: ${(e as Error).message}`);
  process.exit(1);
}
