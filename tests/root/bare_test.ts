// bare: the executable alone on the smallest Debian: no Node, no node_modules, no libatomic, nothing configured.
import assert from "node:assert/strict";
import { BARE_ROOT, testWith } from "../exe/tools.ts";
import { carry, checkIn, lacksHosts, makePair, type Owner, status, until } from "../hosts.ts";

const ends: (() => Promise<void>)[] = [];
const owner: Owner = { after: (end) => void ends.push(end) };

testWith(
  [BARE_ROOT, ...(lacksHosts() === false ? [] : ["root"])],
  "the whole tour on bare roots",
  async () => {
    try {
      const [a, b] = await makePair(owner, { lower: BARE_ROOT, conf: null });
      for (const missing of ["node", "deno", "npm"]) {
        assert.notEqual(
          (await a.run(["sh", "-c", `command -v ${missing}`])).status,
          0,
          `${missing} is there`,
        );
      }
      assert.equal(await a.sh("find / -xdev -name 'libatomic*' -o -xdev -name node_modules"), "");

      await a.sh(
        "mkdir -p /srv/app/bin; echo one >/srv/app/one; ln -s ../one /srv/app/bin/two; chmod 4711 /srv/app/one",
      );
      await checkIn(a, "an application", ["snap", "/srv/app"], ["exec", "useradd", "--system", "app"]);
      await carry(a, b);
      await b.ok("up");
      const { at, of, state } = await status(b);
      assert.deepEqual({ at, of, state }, { at: 2, of: 2, state: "current" });
      const look = "find /srv/app -printf '%p %m %u %T@ %l\\n' | sort; cat /srv/app/one; getent passwd app";
      assert.equal(await b.sh(look), await a.sh(look));
      await b.ok("verify");
      await b.ok("restart");
      await b.ok("stop");
      await until("the agent is gone", () => b.processes().length === 0);
    } finally {
      await Promise.all(ends.map((end) => end()));
    }
  },
);
