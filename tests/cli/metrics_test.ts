// metrics: what Prometheus reads, judged by Prometheus's own promtool and scraped by Prometheus itself; and the dashboard, which asks for nothing else.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort } from "../ports.ts";
import { begin, makeBox, run, skipIf, until } from "./tools.ts";

const cache = process.env.ISCONF_TEST_CACHE ?? "/var/tmp/isconf-test-cache";
const bin = path.join(cache, "prometheus/usr/bin");
const lacking = fs.existsSync(bin) ? false : "Prometheus is not unpacked: scripts/ci_setup.sh";
const dashboard = fileURLToPath(new URL("../../docs/grafana.json", import.meta.url));

test(
  "promtool finds nothing wrong, Prometheus scrapes it with a token, and the dashboard asks for what there is",
  skipIf("metrics", lacking),
  async (t) => {
    const box = makeBox(t);
    const port = await freePort();
    box.conf(`http = 127.0.0.1:${port}\nlisten = none\n`);
    await box.begin("metrics");
    await box.ok(["exec", "true"]);
    await box.ok(["ci"]);
    const { text } = await box.http("GET", "/metrics");
    const judged = await run(path.join(bin, "promtool"), ["check", "metrics"], { stdin: text });
    assert.deepEqual([judged.status, judged.out, judged.err], [0, "", ""]);
    const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
    assert.deepEqual(
      ["isconf_entries_applied", "isconf_entries_known", "isconf_lock_held", "isconf_ready"].map(value),
      [1, 1, 0, 1],
    );
    assert.ok(
      value("process_resident_memory_bytes") > 1e7 && value("isconf_net_resident_memory_bytes") > 1e7,
    );

    const token = (await box.ok(["token", "api"])).trim();
    fs.writeFileSync(path.join(box.dir, "token"), token);
    const own = await freePort();
    const config = path.join(box.dir, "prometheus.yml");
    fs.writeFileSync(
      config,
      `global: { scrape_interval: 1s }
scrape_configs:
- job_name: isconf
  authorization: { credentials_file: ${path.join(box.dir, "token")} }
  static_configs: [{ targets: ["127.0.0.1:${port}"] }]
`,
    );
    const words = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${path.join(box.dir, "tsdb")}`,
      `--web.listen-address=127.0.0.1:${own}`,
    ];
    const { child, done } = begin(path.join(bin, "prometheus"), words);
    t.after(async () => {
      child.kill("SIGKILL");
      await done;
    });
    const ask = async (query: string) => {
      const answer = await fetch(`http://127.0.0.1:${own}/api/v1/query?query=${encodeURIComponent(query)}`);
      return (await answer.json() as { status: string; data: { result: unknown[] } });
    };
    await until("it is scraped", async () => {
      try {
        return (await ask("isconf_ready == 1")).data.result.length === 1;
      } catch {
        return false;
      }
    }, 30_000);
    const panels = (JSON.parse(fs.readFileSync(dashboard, "utf8")) as {
      panels: { title: string; targets: { expr: string }[] }[];
    }).panels;
    assert.ok(panels.length > 10);
    const names = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
    for (const { title, targets } of panels) {
      for (const { expr } of targets) {
        const query = expr.replaceAll("$instance", ".*");
        assert.equal((await ask(query)).status, "success", `${title}: ${query}`);
        for (const [name] of query.matchAll(/(isconf|process)_\w+/g)) {
          assert.ok(names.has(name.replace(/_bucket$/, "")), `${title} asks for ${name}`);
        }
      }
    }
  },
);
