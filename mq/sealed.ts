// Sealed files: for hosts, by their public keys, in the age format (age-encryption.org/v1, X25519 stanzas), padded.
// Not who may have a secret, and no proof of who sealed it: that is the signature of the entry that names the file.
//
// The keys of the cipher come from crypto.getRandomValues, inside the library, and not from a Clock: a seed that could
// be played again must never decide them. The file key is new for each file, so that nothing is equal in two of them.
import { Decrypter, Encrypter } from "age-encryption";
import { compareBytes } from "./bytes.ts";
import { Fault } from "./fault.ts";
import { sealHeaderBytesMax, sealRecipientsMax } from "./limits.ts";
import { pad, unpad } from "./sealed_padding.ts";
import { through } from "./sealed_stream.ts";

const AGAIN = "isconf put --secret: seals it anew, on a host that has the source";

/**
 * Seals `source` for `recipients` (`age1…`, as `recipientOf` gives them), 1 to {@link sealRecipientsMax}; who is named
 * twice counts once. The file tells how many they are and neither who nor in which order they were given, and of the
 * length of `source` no more than its padding (sealed_padding.ts). Memory does not grow with the length.
 * @throws {Fault} usage, for no recipient or too many; corrupt, for what is no X25519 recipient of age; else what `source` throws
 */
export async function* seal(
  source: AsyncIterable<Uint8Array>,
  recipients: Iterable<string>,
): AsyncGenerator<Uint8Array> {
  const distinct = [...new Set(recipients)];
  if (distinct.length < 1 || distinct.length > sealRecipientsMax) {
    const message = `a secret is sealed for 1 to ${sealRecipientsMax} hosts, not for ${distinct.length}`;
    throw new Fault("seal", "usage", message, { hint: "isconf hosts" });
  }
  const encrypter = new Encrypter();
  for (const recipient of shuffle(distinct)) addRecipient(encrypter, recipient);
  yield* through(pad(source), (stream) => encrypter.encrypt(stream), noRecipient);
}

/**
 * What was sealed, for the holder of one of these identities (`AGE-SECRET-KEY-1…`, as `identityOf` gives it). Nothing is handed out
 * before its chunk of 64 KiB is authenticated; that the end is there is known at the end only, so that what was handed
 * out counts when the generator has ended without a fault. Memory does not grow with the length.
 * @throws {Fault} denied, when it was sealed for others; corrupt, for whatever else `seal` did not write; else what `source` throws
 */
export async function* unseal(
  source: AsyncIterable<Uint8Array>,
  ...identities: string[]
): AsyncGenerator<Uint8Array> {
  const decrypter = new Decrypter();
  decrypter.addIdentity({ unwrapFileKey: ({ length }) => length > sealRecipientsMax ? tooLong() : null });
  for (const identity of identities) addIdentity(decrypter, identity);
  decrypter.addIdentity({ unwrapFileKey: notForUs }); // asked when those before it opened nothing
  yield* unpad(through(boundHeader(source), (stream) => decrypter.decrypt(stream), notSealed));
}

/** In an order that nobody can foresee: a host's place in the file is not its place in any list. */
function shuffle(recipients: string[]): string[] {
  return recipients
    .map((recipient) => ({ recipient, rank: crypto.getRandomValues(new Uint8Array(16)) }))
    .sort((a, b) => compareBytes(a.rank, b.rank))
    .map(({ recipient }) => recipient);
}

function addRecipient(encrypter: Encrypter, recipient: string): void {
  if (!recipient.startsWith("age1") || recipient.length !== 62) throw noRecipient(undefined);
  try {
    encrypter.addRecipient(recipient);
  } catch (cause) {
    throw noRecipient(cause);
  }
}

function addIdentity(decrypter: Decrypter, identity: string): void {
  try {
    if (!identity.startsWith("AGE-SECRET-KEY-1")) throw new Error("another type of identity");
    decrypter.addIdentity(identity);
  } catch {
    // The cause is left out: it could say a part of the secret key.
    throw new Fault("unseal", "corrupt", "the key is no X25519 identity of age", { hint: "isconf doctor" });
  }
}

/** The same pieces, as long as the header, which ends with the first line that begins with two dashes, is not too long. */
async function* boundHeader(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const LF = 0x0a, DASH = 0x2d;
  let inHeader = true, seen = 0, column = 0, dashes = 0;
  for await (const piece of source) {
    for (let i = 0; inHeader && i < piece.length; i++) {
      if (++seen > sealHeaderBytesMax) tooLong();
      if (piece[i] === LF) {
        inHeader = dashes < 2;
        column = dashes = 0;
      } else if (column++ < 2 && piece[i] === DASH) dashes++;
    }
    yield piece;
  }
}

function tooLong(): never {
  const message = `a sealed file whose header is for more than ${sealRecipientsMax} hosts or longer than ` +
    `${sealHeaderBytesMax} bytes`;
  throw new Fault("unseal", "corrupt", message, { hint: AGAIN });
}

function notForUs(): never {
  throw new Fault("unseal", "denied", "it was sealed for other hosts than this one", { hint: AGAIN });
}

/** What the library says is no part of the message: it can quote the file. */
function notSealed(cause: unknown): Fault {
  if (cause instanceof Fault) return cause;
  return new Fault("unseal", "corrupt", "this is no sealed file, or it was changed or cut off", {
    hint: AGAIN,
    cause,
  });
}

function noRecipient(cause: unknown): Fault {
  return new Fault("seal", "corrupt", "one of the recipients is no X25519 recipient of age", {
    hint: "isconf hosts",
    cause,
  });
}
