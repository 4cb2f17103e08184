// Writes: a short message leaves in one piece. Noise hands the length of a frame and the frame to the socket one after the
// other, and the socket, which waits for nothing, makes two packets of them. Not a cipher, and long messages are as before.
import type { ConnectionEncrypter, MessageStream } from "@libp2p/interface";

/** Up to here a copy costs less than a packet, in bytes. */
const JOINED_BYTES_MAX = 16 * 1024;

/** What `make` makes, which then joins what it sends. */
export function inOnePiece<Components>(
  make: (components: Components) => ConnectionEncrypter,
): (components: Components) => ConnectionEncrypter {
  return (components) => {
    const encrypter = make(components);
    for (const side of ["secureInbound", "secureOutbound"] as const) {
      const secure = encrypter[side].bind(encrypter) as (
        connection: MessageStream,
        ...rest: unknown[]
      ) => unknown;
      Object.assign(encrypter, {
        [side]: (connection: MessageStream, ...rest: unknown[]) => {
          const send = connection.send.bind(connection);
          connection.send = (data) => send(data.byteLength <= JOINED_BYTES_MAX ? data.subarray() : data);
          return secure(connection, ...rest);
        },
      });
    }
    return encrypter;
  };
}
