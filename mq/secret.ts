// The third door of mq: sealed files. It stands beside mod.ts so that who imports that one, the command line above all,
// does not load the library that ciphers. Not a place for code.
export { sealHeaderBytesMax, sealPaddedBytesMin, sealRecipientsMax } from "./limits.ts";
export { identityOf, recipientOf } from "./sealed_keys.ts";
export { seal, unseal } from "./sealed.ts";
