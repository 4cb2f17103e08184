// The real runner against the contract.
import { runnerContract } from "../tests/contract/runner.ts";
import { systemClock } from "../mq/mod.ts";
import { ProcessRunner } from "./run.ts";

runnerContract("ProcessRunner", () => new ProcessRunner(systemClock));
