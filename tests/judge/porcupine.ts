// Porcupine: asks that checker about a history. Its source is not ours and not here: ISCONF_PORCUPINE says where a checkout of
// github.com/anishathalye/porcupine is; Debian's golang-go builds it with our model (porcupine/main.go).
import { execFile, execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { lacks } from "../programs.ts";
import { type History, writeHistory } from "./history.ts";
import type { Judgement } from "./solver.ts";

const model = fileURLToPath(new URL("porcupine/main.go", import.meta.url));

/** Why there is no such judge here; false when there is. */
export function lacksPorcupine(): string | false {
  if (!process.env.ISCONF_PORCUPINE) return "needs ISCONF_PORCUPINE, the path of a checkout of Porcupine";
  return lacks({ programs: ["go"], files: [path.join(process.env.ISCONF_PORCUPINE, "porcupine.go")] });
}

let built: string | undefined;

function build(dir: string): string {
  fs.copyFileSync(model, path.join(dir, "main.go"));
  const name = "github.com/anishathalye/porcupine";
  const source = path.resolve(process.env.ISCONF_PORCUPINE as string);
  fs.writeFileSync(
    path.join(dir, "go.mod"),
    `module judge\n\ngo 1.19\n\nrequire ${name} v0.0.0\n\nreplace ${name} => ${source}\n`,
  );
  const env = { ...process.env, GOFLAGS: "-mod=mod", GOPROXY: "off", GOCACHE: path.join(dir, "cache") };
  execFileSync("go", ["build", "-o", "judge", "."], { cwd: dir, env });
  return path.join(dir, "judge");
}

/** Asks Porcupine. Throws when it does not know. */
export async function judgeByPorcupine(history: History): Promise<Judgement> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-judge-"));
  try {
    const file = path.join(dir, "history.json");
    writeHistory(file, history);
    if (built === undefined) {
      built = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "isconf-porcupine-")), "judge");
      const made = build(dir);
      fs.copyFileSync(made, built);
      process.once("exit", () => fs.rmSync(path.dirname(built as string), { recursive: true, force: true }));
    }
    const { stdout } = await promisify(execFile)(built, [file]);
    const { result, operations, tookMs } = JSON.parse(stdout);
    if (result !== "Ok" && result !== "Illegal") throw new Error(`Porcupine says neither: ${result}`);
    return { isLinearizable: result === "Ok", operations, tookMs };
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}
