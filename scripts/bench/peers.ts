// Peers: the same work as a journal's steps, by a plain Node process and by a shell script. As text, so that they start
// with nothing to be translated. They are honest: whole or not at all, durable, one after the other.

/** `node -e NODE_STEPS DIR COUNT BYTES`: each step a file (temporary, fsync, rename), /bin/true, a durable record. */
export const NODE_STEPS = `
const fs = require("node:fs/promises");
const { spawn } = require("node:child_process");
const [dir, count, size] = process.argv.slice(1);
const bytes = Buffer.alloc(Number(size), "x");
async function place(name) {
  const file = await fs.open(name + ".new", "wx", 0o644);
  await file.writeFile(bytes);
  await file.sync();
  await file.close();
  await fs.rename(name + ".new", name);
}
function execute() {
  return new Promise((resolve, reject) => {
    const child = spawn("/bin/true", [], { stdio: ["ignore", "pipe", "pipe"] });
    child.on("error", reject);
    child.on("close", (code) => code === 0 ? resolve() : reject(new Error("status " + code)));
  });
}
(async () => {
  const record = await fs.open(dir + "/record", "a", 0o600);
  for (let i = 0; i < Number(count); i++) {
    await place(dir + "/file" + i);
    await execute();
    await record.write(JSON.stringify({ step: i, status: 0, ended: Date.now() }) + "\\n");
    await record.sync();
  }
  await record.close();
})();
`;

/** `sh -c SHELL_STEPS DIR COUNT BYTES`: the same as far as a shell does it; no record. */
export const SHELL_STEPS = `
set -e
text=$(head -c "$2" /dev/zero | tr '\\0' x)
i=0
while [ $i -lt "$1" ]; do
  printf %s "$text" >"$0/file$i.new"
  sync "$0/file$i.new"
  mv "$0/file$i.new" "$0/file$i"
  /bin/true
  i=$((i + 1))
done
`;

/**
 * `node -e NODE_VERIFY COUNT`: prints for how many entries a second three signatures are checked (author, origin, one
 * keeper), of statements about as long as ours.
 */
export const NODE_VERIFY = `
const crypto = require("node:crypto");
const { publicKey, privateKey } = crypto.generateKeyPairSync("ed25519");
const count = Number(process.argv[1]);
const parts = [450, 150, 200].map((bytes) => {
  const text = crypto.randomBytes(bytes);
  return { text, signature: crypto.sign(null, text, privateKey) };
});
const start = process.hrtime.bigint();
for (let i = 0; i < count; i++) {
  for (const { text, signature } of parts) {
    if (!crypto.verify(null, text, publicKey, signature)) throw new Error("not verified");
  }
}
console.log(count / (Number(process.hrtime.bigint() - start) / 1e9));
`;
