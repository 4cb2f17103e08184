// Chromium: the browser of Debian, headless, for tests of the page: a new profile, every request noted, nothing asked of anybody but
// the page's own origin. Not the tests.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import axe from "axe-core";
import { type Browser, chromium, type Page } from "playwright-core";

/** The program, from Debian's package chromium. */
export const CHROMIUM = "/usr/bin/chromium";
/** Where pictures are left for a person to look at; they are not kept with the sources. */
const SCREENSHOTS = fileURLToPath(new URL("../../dist/screenshots", import.meta.url));

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * Starts it with a new, empty profile, and ends it `after` the tests of a file; each page has a context of its own. Where there is a
 * reason to skip them, there is none.
 */
export async function startChromium(
  skip: string | false,
  after: (fn: () => Promise<void>) => void,
  more: string[] = [],
): Promise<Browser> {
  if (skip !== false) return undefined as unknown as Browser; // nobody asks it for anything
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [...FLAGS, ...more],
    timeout: 30_000,
  });
  after(() => browser.close());
  return browser;
}

export interface Look {
  scheme?: "light" | "dark";
  width?: number;
  height?: number;
}

/** Where a page is, and a token for it. */
export interface Place {
  url: string;
  token: string;
}

/** A page, and what went on in it. */
export class Opened {
  readonly page: Page;
  readonly place: Place;
  /** Every request that the page made. */
  readonly requests: string[] = [];
  /** What the browser complained of: scripts that failed, policies that were broken. */
  readonly complaints: string[] = [];

  constructor(page: Page, place: Place) {
    this.page = page;
    this.place = place;
    page.setDefaultTimeout(30_000);
    page.on("request", (r) => this.requests.push(r.url()));
    page.on("websocket", (w) => this.requests.push(w.url()));
    page.on("pageerror", (e) => this.complaints.push(String(e)));
    page.on("dialog", (d) => {
      this.complaints.push(`a dialog: ${d.message()}`);
      void d.dismiss();
    });
    page.on("console", (m) => {
      // A refused or broken answer is told of by the browser as well: that is what some tests are about.
      if (m.type() === "error" && !/Failed to load resource/.test(m.text())) this.complaints.push(m.text());
    });
  }

  /** Goes to a view by its address, and waits until it is there. */
  async view(name: string, heading: string): Promise<void> {
    await this.page.evaluate((hash) => void (location.hash = hash), `/${name}`);
    await this.page.getByRole("heading", { level: 1, name: heading }).waitFor();
  }

  /** Leaves a picture of what is seen without scrolling: a page of a thousand hosts is long. */
  async picture(name: string): Promise<void> {
    fs.mkdirSync(SCREENSHOTS, { recursive: true });
    await this.page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) });
  }

  /** Has axe look at the page as it is: nothing serious or critical may be found. */
  async needAccessible(what: string): Promise<void> {
    await this.page.evaluate(axe.source);
    const { violations } = await this.page.evaluate(() =>
      (globalThis as unknown as { axe: typeof axe }).axe.run({ resultTypes: ["violations"] })
    );
    const found = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    const said = found.map(({ id, help, nodes }) =>
      `${id}: ${help}: ${
        nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`).join(
          "; ",
        )
      }`
    );
    assert.deepEqual(said, [], what);
  }

  /** That nothing was asked of anybody else, and that the browser had nothing to complain of. */
  needQuiet(): void {
    const foreign = this.requests.filter((url) => !url.startsWith(this.place.url));
    assert.deepEqual(foreign, [], "requests left the origin");
    assert.deepEqual(this.complaints, [], "the browser complained");
  }
}

/** Opens the page as `isconf page` would have it opened, and waits until it shows what the agent said. */
export async function open(browser: Browser, place: Place, look: Look = {}): Promise<Opened> {
  const { scheme = "light", width = 1280, height = 900 } = look;
  const context = await browser.newContext({
    colorScheme: scheme,
    viewport: { width, height },
    reducedMotion: "reduce",
    locale: "en-GB",
    timezoneId: "UTC",
  });
  const opened = new Opened(await context.newPage(), place);
  await opened.page.goto(`${place.url}#token=${place.token}`);
  await opened.page.getByRole("heading", { level: 1 }).waitFor();
  return opened;
}
