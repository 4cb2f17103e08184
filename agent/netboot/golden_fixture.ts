// Golden fixture: packets of clients as they came over the wire, written so that a person can read them. For the tests only.

/** How many mutations tests try: 100,000, and with ISCONF_TEST_EVERY set, which takes longer, a million. */
export const mutations = process.env.ISCONF_TEST_EVERY === undefined ? 100_000 : 1_000_000;

/** The bytes of lines like `01 01 06 00   what it is`: hexadecimal pairs, then words; `00*64` is a byte so many times. */
export function bytesFrom(lines: string): Uint8Array {
  const bytes: number[] = [];
  for (const line of lines.split("\n")) {
    for (const word of line.trim().split(/ {2,}/)[0]!.split(" ").filter(Boolean)) {
      const [pair = "", times = "1"] = word.split("*");
      if (!/^[0-9a-f]{2}$/.test(pair)) throw new Error(`no byte: ${word}`);
      for (let n = 0; n < Number(times); n++) bytes.push(parseInt(pair, 16));
    }
  }
  return new Uint8Array(bytes);
}

const HEAD = (xid: string, flags: string) => `
01 01 06 00           a request, Ethernet, six bytes, no hops
${xid}           transaction
00 04                 seconds since the client began
${flags}                 flags
00*16                 ciaddr, yiaddr, siaddr, giaddr
52 54 00 12 34 56     the client's hardware address
00*10                 and what is left of its field
00*64                 sname
00*128                file
63 82 53 63           the cookie
`;

/** BIOS firmware by PXE (Intel's boot agent and its likes). */
export const BIOS_DISCOVER = bytesFrom(`${HEAD("01 02 03 04", "80 00")}
35 01 01              53: DISCOVER
37 05 01 03 06 3c 43  55: wants mask, router, dns, vendor class, boot file
39 02 05 c0           57: takes packets of 1472 bytes
5d 02 00 00           93: BIOS
5e 03 01 02 01        94: UNDI 2.1
61 11 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff 00  97: its UUID
3c 20 50 58 45 43 6c 69 65 6e 74 3a 41 72 63 68 3a 30 30 30 30 30 3a 55 4e 44 49 3a 30 30 32 30 30 31  60: PXEClient:Arch:00000:UNDI:002001
ff                    end
00*16`);

/** iPXE on BIOS. */
export const IPXE_DISCOVER = bytesFrom(`${HEAD("0a 0b 0c 0d", "00 00")}
35 01 01              53: DISCOVER
5d 02 00 00           93: BIOS
5e 03 01 02 01        94: UNDI 2.1
3c 20 50 58 45 43 6c 69 65 6e 74 3a 41 72 63 68 3a 30 30 30 30 30 3a 55 4e 44 49 3a 30 30 32 30 30 31  60: PXEClient:Arch:00000:UNDI:002001
4d 04 69 50 58 45     77: iPXE, without a length of its own
af 06 13 01 01 15 01 01  175: what this iPXE can do
61 11 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff 00  97: its UUID
ff                    end`);

/** UEFI firmware of x64 by PXE. */
export const UEFI_DISCOVER = bytesFrom(`${HEAD("00 00 00 07", "80 00")}
35 01 01              53: DISCOVER
5d 02 00 07           93: UEFI x64
5e 03 01 03 10        94: UNDI 3.16
61 11 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff 00  97: its UUID
3c 20 50 58 45 43 6c 69 65 6e 74 3a 41 72 63 68 3a 30 30 30 30 37 3a 55 4e 44 49 3a 30 30 33 30 31 36  60: PXEClient:Arch:00007:UNDI:003016
ff                    end`);

/** UEFI firmware of x64 by HTTP. */
export const HTTP_DISCOVER = bytesFrom(`${HEAD("00 00 00 10", "80 00")}
35 01 01              53: DISCOVER
5d 02 00 10           93: UEFI x64 by HTTP
5e 03 01 03 10        94: UNDI 3.16
61 11 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff 00  97: its UUID
3c 21 48 54 54 50 43 6c 69 65 6e 74 3a 41 72 63 68 3a 30 30 30 31 36 3a 55 4e 44 49 3a 30 30 33 30 31 36  60: HTTPClient:Arch:00016:UNDI:003016
ff                    end`);

/** UEFI firmware asking a second time, on port 4011, now that it has an address. */
export const UEFI_REQUEST_4011 = bytesFrom(`
01 01 06 00           a request, Ethernet, six bytes, no hops
00 00 00 07           transaction
00 00 00 00           seconds, flags
0a 00 00 32           ciaddr: 10.0.0.50
00*12                 yiaddr, siaddr, giaddr
52 54 00 12 34 56     the client's hardware address
00*10                 and what is left of its field
00*64                 sname
00*128                file
63 82 53 63           the cookie
35 01 03              53: REQUEST
5d 02 00 07           93: UEFI x64
5e 03 01 03 10        94: UNDI 3.16
61 11 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff 00  97: its UUID
3c 20 50 58 45 43 6c 69 65 6e 74 3a 41 72 63 68 3a 30 30 30 30 37 3a 55 4e 44 49 3a 30 30 33 30 31 36  60: PXEClient:Arch:00007:UNDI:003016
ff                    end`);

/** A computer that wants an address and nothing else. */
export const PLAIN_DISCOVER = bytesFrom(`${HEAD("11 11 11 11", "00 00")}
35 01 01              53: DISCOVER
3d 07 01 52 54 00 12 34 56  61: its hardware address again
0c 09 24 28 72 65 62 6f 6f 74 29  12: its name, $(reboot)
37 03 01 03 06        55: wants mask, router, dns
ff                    end`);

/** The answer of a server with all its fields used: options in file and sname, a long option in two parts. */
export const OVERLOADED_OFFER = bytesFrom(`
02 01 06 00           an answer
de ad be ef           transaction
00 00 00 00           seconds, flags
00*4                  ciaddr
0a 00 00 32           yiaddr
0a 00 00 01           siaddr
00*4                  giaddr
52 54 00 12 34 56     the client's hardware address
00*10                 and what is left of its field
43 02 65 66 ff        sname: the end of option 67
00*59
43 02 63 64           file: a piece of option 67
03 04 0a 00 00 01 ff  3: the router
00*117
63 82 53 63           the cookie
34 01 03              52: options go on in file, then in sname
35 01 02              53: OFFER
43 02 61 62           67: its beginning
36 04 0a 00 00 01     54: the server
ff                    end`);
