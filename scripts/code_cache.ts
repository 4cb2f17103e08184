// code_cache: writes V8's code cache of a script. Run by the build under the very Node that is packed, with the
// executable's own flags, because V8 refuses a cache made under others. Not part of the executable.
// Arguments: the script, the file to write.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Script } from "node:vm";

const [source, output] = process.argv.slice(2) as [string, string];
const script = new Script(readFileSync(source, "latin1"), { filename: source });

// Running it first puts the functions that run at start into the cache, not only the outermost one.
const module = { exports: {} };
script.runInThisContext()(module.exports, createRequire(import.meta.url), module, source, "/");
writeFileSync(output, script.createCachedData());
process.exit(0);
