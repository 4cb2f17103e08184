// cells: the contract, of the twin in memory.
import { cellsContract } from "../tests/contract/cells.ts";
import { MemoryCells } from "./cells.ts";

cellsContract("cells in memory", () => {
  const cells = new MemoryCells();
  return Promise.resolve([cells, cells]);
});
