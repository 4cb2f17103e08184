// API node: an app of Hono's as a handler of Node's HTTP server. Not which app.
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import type * as http from "node:http";
import type { Env } from "./api_body.ts";
import type { Actor } from "./host.ts";

/** The app as a handler of Node's HTTP server, for one caller. */
export function nodeHandler(
  app: Hono<Env>,
): (actor: Actor, req: http.IncomingMessage, res: http.ServerResponse) => void {
  return (actor, req, res) => {
    const listener = getRequestListener(
      (request) => app.fetch(request, { actor, outgoing: res }),
      {
        overrideGlobalObjects: false,
      },
    );
    void listener(req, res);
  };
}
