// TFTP transfer: one file on its way to one client: which block is sent when, and again. Not sockets, and not who may have what (tftp_server.ts).
import { type Cancel, type Clock, Fault } from "../../mq/mod.ts";
import { type BootFile, bytesOf } from "./booter.ts";
import {
  tftpFirstTries,
  tftpReadBytes,
  tftpTransferMs,
  tftpTries,
  tftpWaitMs,
  tftpWaitMsMax,
} from "./limits.ts";
import {
  decodeTftpAnswer,
  encodeTftpData,
  encodeTftpError,
  encodeTftpOack,
  TFTP_ERROR,
  type TftpTerms,
} from "./tftp.ts";

export interface TransferParts {
  clock: Clock;
  file: BootFile;
  terms: TftpTerms;
  send(bytes: Uint8Array): void;
  /** Called once: `done`, or why not. A client that refuses the options only wanted to know the size: that is `asked`. */
  ended(how: "done" | "asked" | Fault): void;
}

/**
 * Blocks count from 1 without end; on the wire their numbers wrap. Only news leads to a block being sent: an acknowledgement of something that was
 * acknowledged already does nothing, so that doubled packets stay doubled only once (the sorcerer's apprentice, RFC 1123, 4.2.3.1).
 */
export class Transfer {
  readonly #p: TransferParts;
  /** The last one is shorter than the others, and may be empty. */
  readonly #blocks: number;
  #acknowledged = 0;
  #sent = 0;
  /** Whether the options are not yet acknowledged. */
  #isOffered: boolean;
  #wasHeard = false;
  #tries = 0;
  #isOver = false;
  #timer: Cancel = () => {};
  readonly #deadline: Cancel;
  #ahead = { from: 0, bytes: new Uint8Array(0) };

  constructor(parts: TransferParts) {
    this.#p = parts;
    this.#blocks = Math.floor(parts.file.bytes / parts.terms.blockBytes) + 1;
    this.#isOffered = parts.terms.agreed.length > 0;
    this.#deadline = parts.clock.after(tftpTransferMs, () => this.#end(late("it took too long")));
  }

  /** Sends the first packet. */
  start(): void {
    void this.#sendAgain();
  }

  /** A packet from the client's own port. What is none is passed over. */
  receive(bytes: Uint8Array): void {
    const answer = decodeTftpAnswer(bytes);
    if (answer === undefined || this.#isOver) return;
    if (answer.op === "error") return this.#end(refusal(answer, this.#acknowledged === 0));
    if (this.#isOffered) {
      if (answer.block !== 0) return;
      this.#isOffered = false;
      return this.#goOn();
    }
    const news = (answer.block - this.#acknowledged) & 0xffff;
    if (news === 0 || news > this.#sent - this.#acknowledged) return;
    this.#acknowledged += news;
    this.#goOn();
  }

  /** Ends it, as when the server does. */
  stop(): void {
    this.#end(late("the server was stopped"));
  }

  #goOn(): void {
    this.#wasHeard = true;
    this.#tries = 0;
    if (this.#acknowledged === this.#blocks) this.#end("done");
    else void this.#sendAgain();
  }

  /** Sends what comes after the last acknowledged block, and waits. */
  async #sendAgain(): Promise<void> {
    this.#timer();
    const { clock, terms, send } = this.#p;
    if (this.#isOffered) send(encodeTftpOack(terms.agreed));
    else {
      const from = this.#acknowledged;
      const until = Math.min(from + terms.windowBlocks, this.#blocks);
      const bytes = await this.#read(from * terms.blockBytes, until * terms.blockBytes);
      if (bytes === undefined || this.#isOver || this.#acknowledged !== from) return;
      for (let block = from; block < until; block++) {
        const at = (block - from) * terms.blockBytes;
        send(encodeTftpData(block + 1, bytes.subarray(at, at + terms.blockBytes)));
      }
      this.#sent = until;
    }
    this.#timer = clock.after(this.#waitMs(), () => {
      if (++this.#tries >= (this.#wasHeard ? tftpTries : tftpFirstTries)) this.#end(late("nobody answers"));
      else void this.#sendAgain();
    });
  }

  #waitMs(): number {
    const asked = this.#p.terms.waitSeconds;
    return asked === undefined ? Math.min(tftpWaitMs * 2 ** this.#tries, tftpWaitMsMax) : asked * 1000;
  }

  /** The bytes of some blocks, from what was read ahead or from the file; undefined when that fails. */
  async #read(from: number, until: number): Promise<Uint8Array | undefined> {
    const { file, send } = this.#p;
    const to = Math.min(until, file.bytes);
    const here = () => this.#ahead.bytes.subarray(from - this.#ahead.from, to - this.#ahead.from);
    if (from >= this.#ahead.from && to <= this.#ahead.from + this.#ahead.bytes.length) return here();
    try {
      const bytes = await bytesOf(file, from, Math.min(Math.max(to, from + tftpReadBytes), file.bytes));
      this.#ahead = { from, bytes: bytes as Uint8Array<ArrayBuffer> };
      return here();
    } catch (e) {
      if (!this.#isOver) send(encodeTftpError(TFTP_ERROR.other, "the file cannot be read"));
      this.#end(Fault.from("tftp", e));
      return undefined;
    }
  }

  #end(how: "done" | "asked" | Fault): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer();
    this.#deadline();
    this.#p.ended(how);
  }
}

/** A client that stops before the first block has only asked for the size: firmware does, and then comes again. */
function refusal({ code, text }: { code: number; text: string }, isBefore: boolean): "asked" | Fault {
  if (isBefore && (code === TFTP_ERROR.options || code === TFTP_ERROR.other)) return "asked";
  return new Fault("tftp", "gone", `the client broke off: ${code} ${text}`, { hint: "isconf boot" });
}

const late = (why: string) => new Fault("tftp", "gone", why, { hint: "isconf boot" });
