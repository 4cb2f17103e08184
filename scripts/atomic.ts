// atomic: the one routine that Node takes from libatomic, as machine code for both architectures.
// Not an assembler: the sources are atomic_x64.s and atomic_arm64.s, and tests/exe/atomic_test.ts assembles
// them again and compares. Node calls it with n = 8 only (V8's wasm code pointers); the other sizes are here
// so that a later Node that passes them still works.

/** Name of the library that the routine replaces. */
export const ATOMIC_LIBRARY = "libatomic.so.1";

/** Name of the symbol that the routine implements. */
export const ATOMIC_SYMBOL = "__atomic_compare_exchange";

/** Architectures that an executable is built for. */
export type Arch = "x64" | "arm64";

/** Position-independent machine code of the routine. */
export const ATOMIC_CODE: Record<Arch, Uint8Array> = {
  x64: hex(`
    4883ff08741a4883ff0474294883ff0274344883ff0174434883ff10744e0f0b488b02488b09f0480fb10e4889020f94c00fb6
    c0c38b028b09f00fb10e89020f94c00fb6c0c3668b02668b0966f00fb10e6689020f94c00fb6c0c38a028a09f00fb00e88020f
    94c00fb6c0c3534989d0488b19488b4908498b00498b5008f0480fc70e498900498950080f94c00fb6c05bc3`),
  arm64: hex(`
    1f2000f1400100541f1000f1400200541f0800f1400300541f0400f1400400541f4000f14005005400000000440040f9650040
    f926fc5fc8df0004eba700869a27fc08c888ffff35460000f9e0179f1ac0035fd6440040b9650040b926fc5f88df00046ba700
    861a27fc088888ffff35460000b9e0179f1ac0035fd6440040796500407926fc5f48df00046ba700861a27fc084888ffff3546
    000079e0179f1ac0035fd6440040396500403926fc5f08df00046ba700861a27fc080888ffff3546000039e0179f1ac0035fd6
    441440a9661c40a929a87fc83f0104eb400145facb00899aec008a9a2bb028c848ffff35492800a9e0179f1ac0035fd6`),
};

function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (byte) => parseInt(byte, 16));
}
