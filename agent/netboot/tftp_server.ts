// TFTP server: read-only, hands out first loaders and nothing else. Each transfer has a port of its own, which is its identifier (RFC 1350, 4).
// Not what files there are: that the Booter knows.
import { type Clock, Fault } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import type { Booter, BootFile } from "./booter.ts";
import { tftpFileBytesMax, tftpTransfersMax, tftpTransfersPerAddressMax } from "./limits.ts";
import { type Place, placeOf } from "./place.ts";
import type { End } from "./proxy.ts";
import {
  decodeTftpAnswer,
  decodeTftpRequest,
  encodeTftpError,
  termsOf,
  TFTP_ERROR,
  type TftpRequest,
} from "./tftp.ts";
import { inTime } from "./rate.ts";
import { Transfer } from "./tftp_transfer.ts";
import { type Bind, openUdp, type Udp } from "./udp.ts";

export interface TftpParts {
  clock: Clock;
  booter: Pick<Booter, "fileAt">;
  bind: Bind;
  /** A client has all of a loader. */
  gave(place: Place, to: End): void;
  log(line: string): void;
}

export class TftpServer {
  readonly #p: TftpParts;
  #udp: Udp | undefined;
  /** By address and port of the client: one that asks again meanwhile gets no second one. */
  readonly #under = new Map<string, { address: string; stop(): Promise<void> }>();
  #isClosed = false;

  private constructor(parts: TftpParts) {
    this.#p = parts;
  }

  /** Begins to listen. Throws an environment fault when it cannot. */
  static async open(parts: TftpParts): Promise<TftpServer> {
    const server = new TftpServer(parts);
    server.#udp = await openUdp(parts.bind, {
      heard: (bytes, from) => void server.#heard(bytes, from),
      lost: (message) => parts.log(`tftp: ${message}`),
    });
    return server;
  }

  /** Where it listens. */
  get end(): End {
    return this.#udp!.end;
  }

  /** How many transfers are under way. */
  get transfers(): number {
    return this.#under.size;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([this.#udp?.close(), ...[...this.#under.values()].map(({ stop }) => stop())]);
  }

  async #heard(bytes: Uint8Array, from: End): Promise<void> {
    const request = decodeTftpRequest(bytes);
    const key = `${from.address}:${from.port}`;
    if (request === undefined || this.#isClosed || this.#under.has(key)) return;
    if (!this.#hasRoomFor(from)) {
      return this.#p.log(`tftp: too many transfers: ${from.address} has to ask again`);
    }
    this.#under.set(key, { address: from.address, stop: () => Promise.resolve() });
    try {
      const found = await this.#find(request);
      if (this.#isClosed) this.#under.delete(key);
      else await this.#begin(key, from, request, found);
    } catch (e) {
      this.#under.delete(key);
      this.#refuse(e, request, from);
    }
  }

  #hasRoomFor({ address }: End): boolean {
    const ofOne = [...this.#under.values()].filter((transfer) => transfer.address === address).length;
    return this.#under.size < tftpTransfersMax && ofOne < tftpTransfersPerAddressMax;
  }

  /** What a request gets. Throws a {@link Refusal}. */
  async #find({ op, name, mode }: TftpRequest): Promise<{ place: Place; file: BootFile }> {
    if (op === "write") throw new Refusal(TFTP_ERROR.denied, "nothing can be written here");
    if (mode !== "octet") throw new Refusal(TFTP_ERROR.illegal, "only mode octet is spoken here");
    const place = placeOf(name);
    if (place === undefined) throw new Refusal(TFTP_ERROR.denied, "this is no name");
    const file = await inTime(this.#p.clock, this.#p.booter.fileAt(place));
    if (file?.step !== "loader") throw new Refusal(TFTP_ERROR.noFile, "there is no such loader");
    if (file.bytes > tftpFileBytesMax) {
      throw new Refusal(TFTP_ERROR.other, "too big for TFTP, take it over HTTP");
    }
    return { place, file };
  }

  async #begin(
    key: string,
    to: End,
    request: TftpRequest,
    found: { place: Place; file: BootFile },
  ): Promise<void> {
    const { place, file } = found;
    const begun: { transfer?: Transfer } = {};
    const udp = await openUdp({ address: this.end.address, port: 0 }, {
      heard: (bytes, from) => {
        if (from.address === to.address && from.port === to.port) begun.transfer?.receive(bytes);
        else if (decodeTftpAnswer(bytes)?.op === "ack") {
          udp.send(encodeTftpError(TFTP_ERROR.unknownId, "this port is another transfer's"), from);
        }
      },
      lost: (message) => this.#p.log(`tftp: ${message}`),
    });
    if (this.#isClosed) return void await udp.close();
    const transfer = new Transfer({
      clock: this.#p.clock,
      file,
      terms: termsOf(request.options, file.bytes),
      send: (bytes) => udp.send(bytes, to),
      ended: (how) => {
        this.#under.delete(key);
        void udp.close();
        if (how === "done") this.#p.gave(place, to);
        else if (how !== "asked") this.#p.log(`tftp: ${place.name} to ${to.address}: ${inert(how.message)}`);
      },
    });
    begun.transfer = transfer;
    this.#under.set(key, { address: to.address, stop: async () => (transfer.stop(), await udp.close()) });
    transfer.start();
  }

  #refuse(e: unknown, { name }: TftpRequest, to: End): void {
    const { code, message } = e instanceof Refusal ? e : new Refusal(TFTP_ERROR.other, "not now");
    this.#udp?.send(encodeTftpError(code, message), to);
    const why = e instanceof Refusal ? message : Fault.from("tftp", e).message;
    this.#p.log(`tftp: ${inert(name)} to ${to.address}: ${inert(why)}`);
  }
}

/** Why a request gets no file, as its client is told. */
class Refusal extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
