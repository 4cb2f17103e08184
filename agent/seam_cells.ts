// Seam cells: root's way to an etcd cluster, which the net half speaks to. Not believed further than keeper_register.ts says.
import { type Cbor, Fault } from "../mq/mod.ts";
import type { Cell, Cells, Range } from "./cells.ts";
import type { EtcdSettings } from "./net_etcd.ts";
import { type Ask, malformed, type NetRequest } from "./seam.ts";

export class SeamCells implements Cells {
  readonly #ask: Ask<NetRequest>;

  constructor(ask: Ask<NetRequest>) {
    this.#ask = ask;
  }

  /** Says where the cluster is; null: nowhere. */
  async settle(settings: EtcdSettings | null): Promise<void> {
    await this.#ask("etcd", settings === null ? null : { ...settings });
  }

  async read(names: readonly string[]): Promise<Cell[]> {
    return readCells(await this.#ask("etcdRead", [...names]));
  }

  async swap(
    unchanged: Parameters<Cells["swap"]>[0],
    put: Parameters<Cells["swap"]>[1],
    remove: readonly Range[],
  ): Promise<boolean> {
    const ranges = remove.map(({ from, to }) => [from, to]);
    const done = await this.#ask("etcdSwap", [unchanged.map((u) => [...u]), put.map((p) => [...p]), ranges]);
    if (typeof done !== "boolean") throw malformed();
    return done;
  }
}

function readCells(v: Cbor): Cell[] {
  if (!Array.isArray(v)) throw malformed();
  return v.map((one) => {
    const [name, bytes, revision] = Array.isArray(one) ? one : [];
    const isCount = Number.isSafeInteger(revision) && (revision as number) > 0;
    if (typeof name !== "string" || !(bytes instanceof Uint8Array) || !isCount) throw malformed();
    return { name, bytes, revision: revision as number };
  });
}

/** The net half's answers to these, for a cluster that root names. */
export function answerCells(open: (settings: EtcdSettings) => Cells & { close(): void }) {
  let now: (Cells & { close(): void }) | undefined;
  const cells = (): Cells => {
    if (now !== undefined) return now;
    throw new Fault("etcd", "noQuorum", "the net half has not heard yet where etcd is", {
      hint: "isconf status",
    });
  };
  return {
    etcd: (v: Cbor) => {
      now?.close();
      now = v === null ? undefined : open(v as unknown as EtcdSettings);
      return Promise.resolve(null);
    },
    etcdRead: async (v: Cbor) =>
      (await cells().read(v as string[])).map(({ name, bytes, revision }): Cbor => [name, bytes, revision]),
    etcdSwap: async (v: Cbor) => {
      const [unchanged, put, remove] = v as [[string, number][], [string, Uint8Array][], [string, string][]];
      return await cells().swap(unchanged, put, remove.map(([from, to]) => ({ from, to })));
    },
    close: () => now?.close(),
  };
}
