// docs/api.md: every line of shell in it is run, in order, on a host that has just been begun.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { lacks } from "../programs.ts";
import { freePort } from "../ports.ts";
import { ISCONF, makeBox, run, skipIf } from "./tools.ts";

const page = fileURLToPath(new URL("../../docs/api.md", import.meta.url));

test(
  "every line of shell in docs/api.md does what it says",
  skipIf("docs/api.md", lacks({ programs: ["curl", "bash"] })),
  async (t) => {
    const box = makeBox(t);
    const port = await freePort();
    box.conf(`http = 127.0.0.1:${port}\nlisten = none\n`);
    await box.begin();
    const bin = path.join(box.dir, "bin");
    fs.mkdirSync(bin);
    fs.symlinkSync(ISCONF, path.join(bin, "isconf"));
    const blocks = [...fs.readFileSync(page, "utf8").matchAll(/^```sh\n([^]*?)^```/gm)].map(([, block]) =>
      block!
    );
    assert.ok(blocks.length >= 10, `${blocks.length} blocks`);
    const script = blocks.join("\n").replaceAll("/run/isconf/", `${box.home}/run/`).replaceAll(
      "8470",
      String(port),
    )
      .replaceAll("/tmp/isconf-api-example", path.join(box.dir, "example"));
    const env = { ISCONF_HOME: box.home, HOME: box.dir, PATH: `${bin}:${process.env.PATH}` };
    // The README's own lines, too, where they ask the same socket.
    const readme = fs.readFileSync(new URL("../../README.md", import.meta.url), "utf8");
    const lines = [...readme.matchAll(/^curl --unix-socket \/run\/isconf\/0\.sock .*$/gm)].map(([line]) =>
      line
    );
    assert.ok(lines.length >= 3, lines.join("\n"));
    fs.writeFileSync(path.join(box.dir, "disk.img"), "an image\n");
    const more = lines.join("\n").replaceAll("/run/isconf/0.sock", box.socket);
    const { status, out, err } = await run("bash", [
      "-euo",
      "pipefail",
      "-x",
      "-c",
      `${script}\ncd "$HOME"\n${more}`,
    ], {
      env,
      timeoutMs: 120_000,
    });
    assert.equal(status, 0, `${err}\n${out}`);
    for (
      const said of [
        /"state":"current"/,
        /"kind":"notFound"/,
        /304$/m,
        /event: isconf\.entry/,
        /hello/,
        /isconf_entries_applied 1/,
        /"status":"ready"/,
      ]
    ) {
      assert.match(out, said);
    }
  },
);
