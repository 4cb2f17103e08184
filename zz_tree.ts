import { capture, restore, openStoreDatabase, SqliteStore } from "/work/main/fs/mod.ts";
import { mkdirSync, rmSync } from "node:fs";
const [what, dir] = process.argv.slice(2);
const base="/tmp/scr/od/tstore"; if (what==="put") { rmSync(base,{recursive:true,force:true}); mkdirSync(base); }
const store=new SqliteStore(openStoreDatabase(base+"/store.db"));
const t=performance.now(), c=process.cpuUsage();
if (what==="put") { const r=await capture(store, dir); console.log(r); (await import("node:fs")).writeFileSync(base+"/id", r.id); }
else { const id=(await import("node:fs")).readFileSync(base+"/id","utf8"); rmSync("/tmp/scr/od/tout",{recursive:true,force:true}); console.log(await restore(store,id,"/tmp/scr/od/tout",{durable:"end"})); }
const d=process.cpuUsage(c); console.log(what,"wall",((performance.now()-t)/1000).toFixed(2),"user",(d.user/1e6).toFixed(2),"sys",(d.system/1e6).toFixed(2));
