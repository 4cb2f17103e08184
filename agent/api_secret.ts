// API secrets: contents over HTTP that are sealed on their way in and opened on their way out. Who may read them, secrets.ts
// knows; everything else about contents is in api_blob.ts.
import type { Hono } from "hono";
import { answerBytes, bodyOf, type CallOf, type Env, percentBytes } from "./api_body.ts";
import type { Host } from "./host.ts";
import { needContent } from "./upkeep.ts";

/** Adds the routes of secrets to the app. */
export function addSecretRoutes(app: Hono<Env>, host: Host, callOf: CallOf): void {
  app.put("/v1/secret", async (c) => {
    const branch = c.req.query("branch");
    const args = { label: c.req.query("label") ?? "", ...(branch === undefined ? {} : { branch }) };
    const call = callOf(c);
    return c.json(await call.acts.secrets.putSecret(call, bodyOf(c), args), 201);
  });
  app.get("/v1/secret/:name", async (c) => {
    const id = await needContent(host, "get", Buffer.from(percentBytes(c.req.param("name"))).toString());
    await host.store.fetch([id]);
    const call = callOf(c);
    const bytes = await call.acts.secrets.openSecret(call, id);
    const headers = { "content-type": "application/octet-stream", "cache-control": "no-store" };
    return await answerBytes(c, bytes, 200, headers, host.log);
  });
}
