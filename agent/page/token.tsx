// Token: the form where one is pasted, when the address brought none or the agent does not know it. Not where it is kept (main.tsx).
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Problem } from "./api.ts";
import { ProblemBox } from "./parts.tsx";
import { Code } from "./text.tsx";

export function TokenForm(
  { why, take }: { why: Problem | undefined; take(token: string): void },
): JSX.Element {
  const [text, setText] = useState("");
  const token = text.trim();
  return (
    <main class="token">
      <h1>isconf</h1>
      <p>
        This page shows what the agent of this host knows.{" "}
        <Code text="isconf page" />, typed on the host, prints an address that opens it; a token from{" "}
        <Code text="isconf token api" /> does as well.
      </p>
      {why !== undefined && <ProblemBox problem={why} />}
      <form
        onSubmit={(e) => {
          e.preventDefault();
          if (token !== "") take(token);
        }}
      >
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={text}
          onInput={(e) => setText(e.currentTarget.value)}
        />
        <button type="submit" class="act" disabled={token === ""}>Open</button>
      </form>
      <p class="quiet">It is kept for this tab only, and sent to nobody but this agent.</p>
    </main>
  );
}
