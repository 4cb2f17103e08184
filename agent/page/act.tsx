// Act: something that changes a host or the domain: a button, a dialog that shows exactly what will be asked for, by whom and where,
// and what came of it. Nothing is sent before that dialog's own button is pressed. Not who may (the agent decides).
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Me } from "./answers.ts";
import { type Args, Problem, type Progress } from "./api.ts";
import { progressLinesMax, workMs } from "./limits.ts";
import { Facts, ProblemBox } from "./parts.tsx";
import { Code, Moment, Output, Said } from "./text.tsx";
import { useLive, useMay } from "./use.ts";

/** What can be asked for. */
export interface Wanted {
  verb: string;
  args: Args;
  /** What the button says. */
  button: string;
  /** What the dialog asks. */
  question: string;
  /** What it means, in a sentence or two. */
  about: ComponentChildren;
  /** The same on the command line. */
  typed: string;
}

type Step = { at: "asked" } | { at: "going" } | { at: "done"; result: unknown } | {
  at: "failed";
  problem: Problem;
};

/** A button for an act; nothing where the caller may not, or was told so. */
export function Act({ wanted, isPlain }: { wanted: Wanted; isPlain?: boolean }): JSX.Element | null {
  const { ask, denied } = useLive();
  const may = useMay(wanted.verb);
  if (!may || denied.has(actKey(wanted))) return null;
  return (
    <button type="button" class={isPlain ? undefined : "act"} onClick={() => ask(wanted)}>
      {wanted.button}
    </button>
  );
}

/** What tells one act from another. */
export const actKey = ({ verb, args }: Wanted): string => `${verb} ${JSON.stringify(args)}`;

/** The dialog of an act; it stands beside the views, since what it was asked from may be gone when it is done. */
export function Confirmation(
  { wanted, me, close }: { wanted: Wanted; me: Me; close(isDenied: boolean): void },
): JSX.Element {
  const { api, status, changed, refused } = useLive();
  const [step, setStep] = useState<Step>({ at: "asked" });
  const [told, setTold] = useState<string[]>([]);
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const key = useRef(crypto.randomUUID());
  const control = useRef(new AbortController());

  useEffect(() => {
    dialog.current?.showModal();
    heading.current?.focus(); // not the button: what is pressed by habit must not do it
    return () => control.current.abort();
  }, []);

  const tell = ({ text }: Progress) =>
    text !== null &&
    setTold((lines) => lines.length >= progressLinesMax ? lines : [...lines, text.trimEnd()]);
  const go = async () => {
    setStep({ at: "going" });
    heading.current?.focus();
    try {
      const o = { signal: control.current.signal, ms: workMs };
      setStep({ at: "done", result: await api.act(wanted.verb, wanted.args, key.current, tell, o) });
    } catch (e) {
      const problem = e instanceof Problem ? e : new Problem(String(e), {});
      setStep({ at: "failed", problem });
      if (problem.isTokenRefused) refused(problem);
    }
    changed();
  };
  const leave = () => {
    dialog.current?.close(); // gives the focus back to the button
    close(step.at === "failed" && step.problem.status === 403);
  };

  return (
    <dialog
      ref={dialog}
      aria-labelledby="act-title"
      onCancel={(e) => {
        e.preventDefault();
        if (step.at !== "going") leave();
      }}
    >
      <h2 id="act-title" tabIndex={-1} ref={heading}>{wanted.question}</h2>
      <p>{wanted.about}</p>
      <Facts
        rows={[
          ["Request", <Code text={`POST /v1/${wanted.verb}`} />],
          ["Verb", <Code text={wanted.verb} />],
          [
            "Arguments",
            <pre
              class="json"
              tabIndex={0}
              role="region"
              aria-label="Arguments"
            ><Said text={json(wanted.args)} /></pre>,
          ],
          [
            "On host",
            <strong>
              <Said text={status.answer?.host ?? "this host"} />
            </strong>,
          ],
          ["As", <Said text={`${me.user} (uid ${me.uid})`} />],
          ["Typed", <Code text={wanted.typed} />],
        ]}
      />
      <div class="outcome" role="status">
        {step.at === "going" && <p>On its way. It goes on when this page is closed.</p>}
        {step.at === "done" && <p class="notice ok">Done.</p>}
      </div>
      {step.at === "failed" && <ProblemBox problem={step.problem} />}
      {told.length > 0 && <Output text={told.join("\n")} label="What the agent tells of it" />}
      {step.at === "done" && <Outcome result={step.result} />}
      <div class="buttons">
        {step.at === "asked" && <button type="button" onClick={leave}>Do not</button>}
        {step.at === "asked" && (
          <button type="button" class="act" onClick={go}>{wanted.button.replace("…", "")}</button>
        )}
        {(step.at === "done" || step.at === "failed") && (
          <button
            type="button"
            onClick={leave}
          >
            Close
          </button>
        )}
      </div>
    </dialog>
  );
}

/** On one line: what could hide in it is escaped by JSON already, or by Said. */
const json = (args: Args) => JSON.stringify(args);

/** What the agent answered, field by field. */
function Outcome({ result }: { result: unknown }): JSX.Element | null {
  if (result === null || typeof result !== "object") return null;
  const rows = Object.entries(result).map(([name, value]): [string, JSX.Element] => [
    name,
    typeof value === "number" && name.endsWith("Ms")
      ? <Moment ms={value} />
      : <Said text={typeof value === "string" ? value : JSON.stringify(value)} />,
  ]);
  return <Facts rows={rows} />;
}
