// try
import { test } from "node:test";
import { makeBridge } from "./bridge.ts";
import { open, startChromium } from "./chromium.ts";
import { MadeAgent } from "./made.ts";
test("look", async (t) => {
  const browser = await startChromium(t);
  const bridge = await makeBridge(t, new MadeAgent({ isForked: false }).answer);
  for (const scheme of ["light", "dark"] as const) {
    for (const width of [1600, 320]) {
      const o = await open(browser, bridge, { scheme, width });
      for (
        const [v, h] of [
          ["hosts", "Hosts"],
          ["journal", "Journal"],
          ["journal/web/398", "Journal"],
          ["journal/+commands", "Journal"],
          ["live", "Replay"],
          ["drift", "Drift"],
          ["locks", "Locks"],
          ["contents", "Contents"],
          ["keepers", "Keepers"],
          ["mesh", "Mesh"],
        ] as const
      ) {
        await o.view(v, h);
        await o.page.waitForTimeout(400);
        await o.picture(`zz-${v.replaceAll("/", "-")}-${scheme}-${width}`);
        try {
          await o.needAccessible(v);
        } catch (e) {
          console.log(v, scheme, width, String(e).slice(0, 1500));
        }
      }
      try {
        o.needQuiet();
      } catch (e) {
        console.log(String(e).slice(0, 2000));
      }
      await o.page.context().close();
    }
  }
});
