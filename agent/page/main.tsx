// Main: begins the page: takes a token out of the address, and puts the app where index.html says. Nothing else runs by itself.
import { render } from "preact";
import { App, type TokenPlace } from "./app.tsx";
import { tokenIn } from "./route.ts";
import { readTheme, wearTheme } from "./theme.ts";

const KEY = "isconf-token";

/** This tab's own storage; in memory where a browser forbids it. */
function tokenPlace(): TokenPlace {
  let kept: string | undefined;
  try {
    kept = sessionStorage.getItem(KEY) ?? undefined;
  } catch {
    // forbidden: then it lasts as long as this page
  }
  return {
    get: () => kept,
    set(token) {
      kept = token;
      try {
        if (token === undefined) sessionStorage.removeItem(KEY);
        else sessionStorage.setItem(KEY, token);
      } catch {
        // as above
      }
    },
  };
}

const place = tokenPlace();
const brought = tokenIn(location.hash);
if (brought !== undefined) {
  place.set(brought);
  history.replaceState(null, "", location.pathname); // neither in the address bar nor in the history
}
wearTheme(readTheme());
render(<App place={place} />, document.getElementById("app") as HTMLElement);
