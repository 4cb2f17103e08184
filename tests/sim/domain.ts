// Domain: the hosts, persons and keepers that a simulation begins with, as a disk that every host starts from. Made once for
// many seeds: keys are the same in all of them. Not what the hosts do.
import { entries, type EntryRecord, Journal, openAgentDb, setMeta, takeIn } from "../../agent/mod.ts";
import {
  encode,
  fromHex,
  keyId,
  type KeyPair,
  keyPairFromSecret,
  toHex,
  VirtualClock,
} from "../../mq/mod.ts";
import { Disk, insert } from "./disk.ts";

/** Nothing is read from or written to this path: the disk that is inserted counts (disk.ts). */
export const DATABASE = "/dev/null";
export const CONTROL = "@domain";
export const BRANCHES = ["main", "side"];

/** A host, and the person who works there. */
export interface Identity {
  name: string;
  id: string;
  host: KeyPair;
  net: KeyPair;
  person: KeyPair;
  author: string;
  branch: string;
  /** What the person may at the beginning. */
  role: "owner" | "append";
}

export interface Domain {
  id: Uint8Array;
  members: Identity[];
  /** Ids of the first keepers. */
  keepers: string[];
  quorum: number;
  template: Disk;
}

export interface DomainOptions {
  hosts: number;
  keepers: number;
  /** How many keepers have to agree. */
  quorum: number;
}

const known = new Map<string, Domain>();

export function domainOf({ hosts, keepers, quorum }: DomainOptions): Domain {
  const name = `${hosts} ${keepers} ${quorum}`;
  let domain = known.get(name);
  if (domain === undefined) known.set(name, domain = make(hosts, keepers, quorum));
  return domain;
}

const keys: KeyPair[] = [];

/** The n-th key of all simulations. */
function keyAt(n: number): KeyPair {
  while (keys.length <= n) {
    const secret = new Uint8Array(32).fill(7);
    new DataView(secret.buffer).setUint32(0, keys.length + 1);
    keys.push(keyPairFromSecret(secret));
  }
  return keys[n] as KeyPair;
}

function memberAt(i: number): Identity {
  const [host, net, person] = [keyAt(1 + 3 * i), keyAt(2 + 3 * i), keyAt(3 + 3 * i)] as const;
  return {
    name: `h${i + 1}`.padEnd(2, "-"),
    id: keyId(host.publicKey),
    host,
    net,
    person,
    author: keyId(person.publicKey),
    branch: BRANCHES[i >= 5 && i % 4 === 1 ? 1 : 0]!,
    role: i % 3 === 2 ? "append" : "owner",
  };
}

type Op = entries.Op;

/** How many hosts one entry of the control journal brings. */
const hostsPerEntry = 12;

function make(hosts: number, keepers: number, quorum: number): Domain {
  const members = Array.from({ length: hosts }, (_, i) => memberAt(i));
  const root = keyAt(0);
  const template = new Disk();
  insert(template);
  const db = openAgentDb(DATABASE);
  const journal = new Journal(db);
  const clock = new VirtualClock(1);
  const chosen = members.slice(0, keepers);
  let [domain, prev] = [new Uint8Array(0), new Uint8Array(0)];
  for (let from = 0, seq = 1; from < hosts; from += hostsPerEntry, seq++) {
    const some = members.slice(from, from + hostsPerEntry);
    const ops: Op[] = [
      ...(seq === 1 ? [{ op: "roots", keys: [root.publicKey], threshold: 1 } satisfies Op] : []),
      ...some.flatMap(opsFor),
      ...(seq === 1
        ? [
          {
            op: "keepers",
            hosts: chosen.map(({ id }) => fromHex(id)),
            quorum,
            cuts: {},
            terms: {},
          } satisfies Op,
          ...BRANCHES.map((name): Op => ({ op: "branch", name, from: null })),
        ]
        : []),
    ];
    const entry: entries.Entry = {
      level: entries.ENTRY_LEVEL,
      domain,
      branch: CONTROL,
      epoch: 0,
      seq,
      prev,
      term: 0,
      policy: prev,
      timeMs: 0,
      author: fromHex(keyId(root.publicKey)),
      origin: fromHex(members[0]!.id),
      message: "begun",
      ops,
    };
    const sealed = entries.sealEntry(entry, root, members[0]!.host);
    const vote = { epoch: 0, term: 0, seq, id: sealed.id };
    const votes = chosen.map(({ host }) => entries.sealVote(vote, domain, CONTROL, host));
    const record: EntryRecord = { entry: sealed.entry, origin: sealed.origin, cert: encode(votes) };
    takeIn({ db, journal, clock }, [record], { domain: toHex(sealed.id) });
    prev = sealed.id as typeof prev;
    if (seq === 1) domain = prev;
  }
  db.close();
  return { id: domain, members, keepers: chosen.map(({ id }) => id), quorum, template };
}

function opsFor({ host, net, person, name, author, role, branch }: Identity): Op[] {
  return [
    { op: "host", key: host.publicKey, net: net.publicKey, name },
    { op: "person", key: person.publicKey, name: `root@${name}` },
    { op: "grant", key: fromHex(author), role, branch: role === "owner" ? "*" : branch },
  ];
}

/** The disk of one host that has just come into the domain. */
export function diskOf({ template }: Domain, { name, branch }: Identity): Disk {
  const disk = new Disk(template);
  insert(disk);
  const db = openAgentDb(DATABASE);
  db.write((tx) => {
    setMeta(tx, "host_name", name);
    setMeta(tx, "branch", branch);
  });
  db.close();
  return disk;
}
