// API secrets: contents over HTTP that are sealed on their way in and opened on their way out. Who may read them, secrets.ts
// knows; everything else about contents is in api_blob.ts.
import type { Hono } from "hono";
import type { Acts } from "./acts.ts";
import { answerBytes, bodyOf, type Env, percentBytes } from "./api_body.ts";
import type { Call, Host } from "./host.ts";
import { needContent } from "./upkeep.ts";

/** Adds the routes of secrets to the app. */
export function addSecretRoutes(app: Hono<Env>, host: Host, acts: Acts): void {
  const callOf = (actor: Call["actor"]): Call => ({ host, acts, actor, emit: () => {} });
  app.put("/v1/secret", async (c) => {
    const branch = c.req.query("branch");
    const args = { label: c.req.query("label") ?? "", ...(branch === undefined ? {} : { branch }) };
    return c.json(await acts.secrets.putSecret(callOf(c.env.actor), bodyOf(c), args), 201);
  });
  app.get("/v1/secret/:name", async (c) => {
    const id = await needContent(host, "get", Buffer.from(percentBytes(c.req.param("name"))).toString());
    await host.store.fetch([id]);
    const bytes = await acts.secrets.openSecret(callOf(c.env.actor), id);
    const headers = { "content-type": "application/octet-stream", "cache-control": "no-store" };
    return await answerBytes(c, bytes, 200, headers, host.log);
  });
}
