// Yamux with an end to what a peer may announce: @libp2p/yamux 8.0 keeps all bytes of a frame until the frame is whole,
// and a header may claim 4 GiB. Not another muxer: frames are looked at, and read by the library.
import type { MessageStream, StreamMessageEvent, StreamMuxerFactory } from "@libp2p/interface";
import { yamux, type YamuxMuxerInit } from "@libp2p/yamux";

const HEADER_BYTES = 12;
const TYPE_DATA = 0;

/** Yamux for libp2p; a connection on which a frame longer than `frameBytesMax` is announced is cut off. */
export function boundedYamux(init: YamuxMuxerInit, frameBytesMax: number): () => StreamMuxerFactory {
  return () => {
    const factory = yamux(init)();
    const create = factory.createStreamMuxer.bind(factory);
    factory.createStreamMuxer = (stream) => {
      const muxer = create(stream);
      watch(stream, frameBytesMax, (error) => {
        muxer.abort(error);
        stream.abort(error);
      });
      return muxer;
    };
    return factory;
  };
}

/** Follows the headers on a connection (https://github.com/hashicorp/yamux/blob/master/spec.md). */
function watch(stream: MessageStream, frameBytesMax: number, cut: (error: Error) => void): void {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  let headerLength = 0;
  let bodyLeft = 0;
  const onMessage = ({ data }: StreamMessageEvent) => {
    for (const piece of data instanceof Uint8Array ? [data] : data) {
      for (let at = 0; at < piece.length;) {
        if (bodyLeft > 0) {
          const skipped = Math.min(bodyLeft, piece.length - at);
          bodyLeft -= skipped;
          at += skipped;
          continue;
        }
        header.setUint8(headerLength++, piece[at++]!);
        if (headerLength < HEADER_BYTES) continue;
        headerLength = 0;
        if (header.getUint8(1) === TYPE_DATA) bodyLeft = header.getUint32(8);
        if (bodyLeft <= frameBytesMax) continue;
        stream.removeEventListener("message", onMessage);
        return cut(new Error(`a frame of ${bodyLeft} bytes was announced`));
      }
    }
  };
  stream.addEventListener("message", onMessage);
}
