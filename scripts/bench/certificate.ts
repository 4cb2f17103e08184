// Certificate: how long Node takes to read a certificate and to check each vote in it, as every host does for every entry. Run by
// keepers.ts, prints JSON.
import { entries } from "../../agent/mod.ts";
import { encode, generateKeyPair, sha256, VirtualClock } from "../../mq/mod.ts";

const { openVote, sealVote, votesOf } = entries;
const times = 2_000;
const clock = new VirtualClock(1);
const domain = sha256(Uint8Array.of(1)), id = sha256(Uint8Array.of(2));

const told = [1, 2, 3].map((quorum) => {
  const keys = Array.from({ length: quorum }, () => generateKeyPair(clock));
  const cert = encode(keys.map((key) => sealVote({ epoch: 0, term: 7, seq: 1000, id }, domain, "main", key)));
  const check = () => {
    for (const [i, { bytes }] of votesOf(cert).entries()) openVote(bytes, domain, "main", keys[i]!.publicKey);
  };
  for (let i = 0; i < times / 10; i++) check();
  const begin = process.cpuUsage();
  for (let i = 0; i < times; i++) check();
  const { user, system } = process.cpuUsage(begin);
  return { quorum, bytes: cert.length, us: (user + system) / times };
});
console.log(JSON.stringify(told));
