// page: bundles the web page of agent/page/ into the static files that page_files.ts serves. Not the server, and not a watcher.
// Usage: deno run -A scripts/page.ts; `deno task build` does it too, and packs them into the executable.
import * as esbuild from "esbuild";

const root = new URL("../", import.meta.url).pathname;

/**
 * Writes the page's files into `folder`, and returns their names, and the source files that went in. The same tree gives the same
 * bytes. Warnings are errors.
 */
export async function bundlePage(
  folder = `${root}dist/page`,
): Promise<{ files: string[]; inputs: string[] }> {
  await Deno.mkdir(folder, { recursive: true });
  const result = await esbuild.build({
    entryPoints: { page: "agent/page/main.tsx", style: "agent/page/page.css" },
    absWorkingDir: root,
    bundle: true,
    outdir: folder,
    entryNames: "page",
    platform: "browser",
    target: ["chrome120", "firefox121", "safari17.4"],
    format: "iife",
    jsx: "automatic",
    jsxImportSource: "preact",
    minify: true,
    legalComments: "none", // the licences go into a file beside the executable
    metafile: true,
    logLevel: "silent",
  });
  for (const { text, location } of result.warnings) {
    throw new Error(`esbuild warns: ${text} (${location?.file}:${location?.line})`);
  }
  const copied = ["index.html", "icon.svg"];
  for (const name of copied) await Deno.copyFile(`${root}agent/page/${name}`, `${folder}/${name}`);
  return { files: ["page.js", "page.css", ...copied], inputs: Object.keys(result.metafile.inputs) };
}

if (import.meta.main) {
  await bundlePage();
  await esbuild.stop();
}
