// Again: work that is done in the background, one run at a time; who asks for it while it runs gets one more run after it.
// Not a queue: what there is to do is looked up by each run itself.
import { Fault } from "../mq/mod.ts";

export class Again {
  readonly #run: () => Promise<void>;
  readonly #failed: (fault: Fault) => void;
  #isRunning = false;
  #isWanted = false;

  /** `failed` hears of what ends a run; it is not tried again before somebody asks. */
  constructor(run: () => Promise<void>, failed: (fault: Fault) => void) {
    this.#run = run;
    this.#failed = failed;
  }

  /** Sees to it that a run begins after this moment. */
  goOn(): void {
    this.#isWanted = true;
    if (!this.#isRunning) void this.#loop();
  }

  async #loop(): Promise<void> {
    this.#isRunning = true;
    while (this.#isWanted) {
      this.#isWanted = false;
      await this.#run().catch((e) => this.#failed(Fault.from("agent", e)));
    }
    this.#isRunning = false;
  }
}
