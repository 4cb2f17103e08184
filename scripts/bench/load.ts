// Load: requests a second and latency of the API, over TCP and on the user's own socket, against a bare server of node:http that gives the same bytes
// from memory: wrk over TCP, h2load over the socket. Not the command line (exec.ts).
import { type Figure, median, skipped } from "./figure.ts";
import { BenchHost, nodeOfOurs, TempDir } from "./host.ts";
import { isThere, run } from "./run.ts";

const rounds = 5;
const seconds = 4;
const connections = 8;
/** Bytes of the contents, and what ours may be of the bare server's requests a second, for small answers and for contents. */
const blobBytes = 1024 * 1024;
const [smallMin, blobMin] = [0.5, 0.8];

const BARE = `
const http = require("node:http"), fs = require("node:fs");
const [dir, port] = process.argv.slice(1);
const files = { "/v1/status": "status", "/v1/blob/bench": "blob" };
const bytes = Object.fromEntries(Object.entries(files).map(([path, name]) => [path, fs.readFileSync(dir + "/" + name)]));
const answer = (req, res) => {
  const body = bytes[req.url];
  res.writeHead(200, { "content-type": "application/octet-stream", "content-length": body.length });
  res.end(body);
};
http.createServer(answer).listen(Number(port), "127.0.0.1", () => http.createServer(answer).listen(dir + "/bare.sock", () => console.log("ready")));
`;

interface Took {
  perSecond: number;
  medianMs: number;
  lateMs: number;
}

export async function load(): Promise<Figure[]> {
  const lacks = ["/usr/bin/wrk", "/usr/bin/h2load"].filter((file) => !isThere(file));
  if (lacks.length > 0) {
    return [skipped("the API under load", `${lacks.join()}: apt-get install wrk nghttp2-client`)];
  }
  using temp = new TempDir();
  await using host = new BenchHost(`${temp.path}/home`);
  const [ours, bare] = [freePort(), freePort()];
  Deno.mkdirSync(`${host.home}/etc`, { recursive: true });
  Deno.writeTextFileSync(`${host.home}/etc/isconf.conf`, `http = 127.0.0.1:${ours}\nlisten = none\n`);
  await host.isconf("init", "--host", "hosta");
  const blob = crypto.getRandomValues(new Uint8Array(65536));
  Deno.writeFileSync(
    `${temp.path}/blob`,
    new Uint8Array(blobBytes).map((_, i) => blob[i % 65536]! ^ (i >> 16)),
  );
  await host.isconf("put", "--label", "bench", `${temp.path}/blob`);
  const token = (await host.isconf("token", "api")).stdout.trim();
  const status = await fetch(`http://127.0.0.1:${ours}/v1/status`, {
    headers: { authorization: `Bearer ${token}` },
  });
  Deno.writeFileSync(`${temp.path}/status`, new Uint8Array(await status.arrayBuffer()));
  const server = new Deno.Command(nodeOfOurs, {
    args: ["-e", BARE, temp.path, String(bare)],
    stdout: "piped",
  }).spawn();
  try {
    await server.stdout.getReader().read(); // ready
    const figures: Figure[] = [];
    for (
      const [what, path, min] of [["status", "/v1/status", smallMin], [
        "1 MiB",
        "/v1/blob/bench",
        blobMin,
      ]] as const
    ) {
      const tcp = (port: number) => () => wrk(`http://127.0.0.1:${port}${path}`, token);
      const own = (socket: string) => () => h2load(socket, path, what === "status" ? 20_000 : 2_000);
      figures.push(
        ...compare(`${what} over TCP`, await inTurns(tcp(ours), tcp(bare)), min),
        ...compare(
          `${what} on one's own socket`,
          await inTurns(own(`${host.home}/run/${Deno.uid()}.sock`), own(`${temp.path}/bare.sock`)),
          min,
        ),
      );
    }
    return figures;
  } finally {
    server.kill("SIGKILL");
    await server.status;
  }
}

/** One after the other again and again, the first round for nothing. */
async function inTurns(ours: () => Promise<Took>, bare: () => Promise<Took>): Promise<[Took[], Took[]]> {
  const took: [Took[], Took[]] = [[], []];
  for (let i = 0; i <= rounds; i++) {
    const [a, b] = [await ours(), await bare()];
    if (i === 0) continue;
    took[0].push(a);
    took[1].push(b);
  }
  return took;
}

function compare(name: string, [ours, bare]: [Took[], Took[]], min: number): Figure[] {
  const middle = (list: Took[], key: keyof Took) => median(list.map((one) => one[key]));
  const [a, b] = [middle(ours, "perSecond"), middle(bare, "perSecond")];
  const ms = (key: keyof Took): Figure => ({
    name: `${name}, ${key === "medianMs" ? "median" : "99 %"}`,
    ours: `${middle(ours, key).toFixed(2)} ms`,
    peer: `bare ${middle(bare, key).toFixed(2)} ms`,
    ratio: middle(ours, key) / middle(bare, key),
  });
  const rate = {
    name: `${name}, requests a second`,
    ours: a.toFixed(0),
    peer: `bare ${b.toFixed(0)}`,
    ratio: a / b,
  };
  return [{ ...rate, aim: `ratio >= ${min}`, ok: a / b >= min }, ms("medianMs"), ms("lateMs")];
}

async function wrk(url: string, token: string): Promise<Took> {
  const words = [
    "-t1",
    `-c${connections}`,
    `-d${seconds}s`,
    "--latency",
    "-H",
    `Authorization: Bearer ${token}`,
    url,
  ];
  const { stdout } = await run(["/usr/bin/wrk", ...words]);
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(stdout);
  const ms = (percent: number) => inMs(new RegExp(`^ +${percent}% +([0-9.]+)(us|ms|s)$`, "m").exec(stdout));
  return {
    perSecond: Number(/^Requests\/sec: +([0-9.]+)/m.exec(stdout)![1]),
    medianMs: ms(50),
    lateMs: ms(99),
  };
}

async function h2load(socket: string, path: string, count: number): Promise<Took> {
  const log = Deno.makeTempFileSync();
  try {
    const words = [
      "--h1",
      `-n${count}`,
      `-c${connections}`,
      `--log-file=${log}`,
      `--base-uri=unix:${socket}`,
      `http://isconf${path}`,
    ];
    const { stdout } = await run(["/usr/bin/h2load", ...words]);
    if (!stdout.includes(`${count} succeeded, 0 failed, 0 errored`)) throw new Error(stdout);
    // Each line has when it began, its status, and how long it took in microseconds.
    const took = Deno.readTextFileSync(log).trim().split("\n").map((line) =>
      Number(line.split("\t")[2]) / 1000
    ).sort((a, b) => a - b);
    const at = (part: number) => took[Math.min(took.length - 1, Math.floor(part * took.length))]!;
    return { perSecond: Number(/([0-9.]+) req\/s/.exec(stdout)![1]), medianMs: at(0.5), lateMs: at(0.99) };
  } finally {
    Deno.removeSync(log);
  }
}

function inMs(found: RegExpExecArray | null): number {
  const [, value, unit] = found!;
  return Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit as "us" | "ms" | "s"];
}

/** A port that nobody listened on a moment ago. */
function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}
