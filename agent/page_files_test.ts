// page_files: which files there are, and with which headers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PAGE_FILES, pageFile } from "./page_files.ts";

const bytes = new TextEncoder();
const read = (name: string) => bytes.encode(`bytes of ${name}`);

test("each path of the page has its bytes, type and ETag, and what a browser may do with them", () => {
  const index = pageFile("/", read), again = pageFile("/index.html", read);
  assert.deepEqual(index, again);
  assert.deepEqual(index?.body, bytes.encode("bytes of index.html"));
  const types = PAGE_FILES.map((name) => pageFile(`/${name}`, read)?.headers["content-type"]);
  assert.deepEqual(types, [
    "text/html; charset=utf-8",
    "text/javascript; charset=utf-8",
    "text/css; charset=utf-8",
    "image/svg+xml",
  ]);
  const etags = PAGE_FILES.map((name) => pageFile(`/${name}`, read)?.headers.etag);
  assert.equal(new Set(etags).size, PAGE_FILES.length);
  for (const etag of etags) assert.match(etag ?? "", /^"[\w-]{43}"$/);
  const other = pageFile("/page.js", () => bytes.encode("another"));
  assert.notEqual(other?.headers.etag, pageFile("/page.js", read)?.headers.etag);
});

test("every file forbids what the page does not need", () => {
  for (const name of PAGE_FILES) {
    const headers = pageFile(`/${name}`, read)?.headers ?? {};
    const csp = (headers["content-security-policy"] ?? "").split("; ");
    for (
      const rule of [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "trusted-types 'none'",
      ]
    ) assert.ok(csp.includes(rule), `${name}: ${rule}`);
    assert.ok(!csp.join().includes("unsafe"), name);
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["cache-control"], "no-cache");
  }
});

test("no other path leads to a file", () => {
  const paths = [
    "",
    "//",
    "/x",
    "/index.html/",
    "/../page.js",
    "/%70age.js",
    "/page.js?x",
    "/__proto__",
    "page.js",
  ];
  for (const path of paths) assert.equal(pageFile(path, read), undefined, path);
});
