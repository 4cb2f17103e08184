// Install way: how far an image is on its way to a disk, as one number: half of the way it comes from other hosts, half of it it becomes files.
// Not what is done (install.ts), and not who is told (install_order.ts).
import type { Brought } from "./content.ts";

export interface Way {
  /** How much of it has come, from 0 to 1. */
  brought: number;
  /** How many bytes of files are laid out, of how many; 0: nobody has counted them. */
  laid: number;
  of: number;
}

/** Notes that so much has come. What is in the image is more than what comes, where it has things twice; begun anew, it is never less. */
export function come(way: Way, { bytes, of = way.of }: Brought): void {
  if (of > 0) way.brought = Math.max(way.brought, Math.min(1, bytes / of));
}

/** From 0 to 99: it is done when somebody says so. */
export function percentOf({ brought, laid, of }: Way): number {
  return Math.min(99, 50 * brought + (of === 0 ? 0 : 50 * laid / of));
}
