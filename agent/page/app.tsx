// App: the frame around the views: who this host is, the way between views, light and dark, the token. Not the views.
import type { ComponentChildren, JSX } from "preact";
import { Component } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { me as meShape, type Status, status as statusShape } from "./answers.ts";
import { actKey, Confirmation, type Wanted } from "./act.tsx";
import { makeApi, Problem } from "./api.ts";
import { ContentsView } from "./contents.tsx";
import { DriftView } from "./drift.tsx";
import { useEvents } from "./events.ts";
import { HostsView } from "./hosts.tsx";
import { JournalView } from "./journal.tsx";
import { KeepersView } from "./keepers.tsx";
import { LiveView } from "./live.tsx";
import { LocksView } from "./locks.tsx";
import { MachinesView } from "./machines.tsx";
import { MeshView } from "./mesh.tsx";
import { ProblemBox, State } from "./parts.tsx";
import { linkTo, readRoute, type Route, type View, VIEWS } from "./route.ts";
import { Said } from "./text.tsx";
import { nextTheme, readTheme, type Theme, wearTheme } from "./theme.ts";
import { TokenForm } from "./token.tsx";
import { type Live, LiveContext, useAnswer } from "./use.ts";
import { clockTime, shortId } from "./words.ts";

const TITLES: Record<View, string> = {
  hosts: "Hosts",
  journal: "Journal",
  live: "Replay and events",
  drift: "Drift",
  locks: "Locks",
  contents: "Contents",
  keepers: "Keepers and proofs",
  mesh: "Mesh",
  machines: "Machines",
};

const SHOWN: Record<View, (props: { rest: string[] }) => JSX.Element> = {
  hosts: HostsView,
  journal: JournalView,
  live: LiveView,
  drift: DriftView,
  locks: LocksView,
  contents: ContentsView,
  keepers: KeepersView,
  mesh: MeshView,
  machines: MachinesView,
};

/** Where the token is kept: it outlives a reload of this tab, and nothing else. */
export interface TokenPlace {
  get(): string | undefined;
  set(token: string | undefined): void;
}

export function App({ place }: { place: TokenPlace }): JSX.Element {
  const [token, setToken] = useState(place.get);
  const [why, setWhy] = useState<Problem>();
  const change = useCallback((next: string | undefined, problem?: Problem) => {
    place.set(next);
    setToken(next);
    setWhy(problem);
  }, [place]);
  if (token === undefined) return <TokenForm why={why} take={change} />;
  return <Shell key={token} token={token} leave={(problem) => change(undefined, problem)} />;
}

function Shell({ token, leave }: { token: string; leave(problem?: Problem): void }): JSX.Element {
  const route = useRoute();
  const api = useMemo(() => makeApi(token), [token]);
  const [version, setVersion] = useState(0);
  const changed = useCallback(() => setVersion((n) => n + 1), []);
  const status = useAnswer(api, "/v1/status", statusShape, version, { onRefused: leave });
  // Asked anew with each view, and kept meanwhile: the dialog that a button opens knows as whom at once.
  const { answer: me } = useAnswer(api, "/v1/me", meShape, `${version} ${route.view}`, { onRefused: leave });
  const heard = useEvents(api, changed);
  const [wanted, ask] = useState<Wanted>();
  const [denied, setDenied] = useState<ReadonlySet<string>>(new Set());
  const live: Live = { api, status, me, version, ...heard, ask, denied, changed, refused: leave };
  const heading = useRef<HTMLHeadingElement>(null);
  const isFirst = useRef(true);

  useEffect(() => {
    document.title = `${TITLES[route.view]} – isconf`;
    if (!isFirst.current) heading.current?.focus(); // where somebody who cannot see it goes on from
    isFirst.current = false;
  }, [route.view]);

  const close = (isDenied: boolean) => {
    if (isDenied && wanted !== undefined) setDenied(new Set([...denied, actKey(wanted)]));
    ask(undefined);
  };
  useEffect(() => {
    if (wanted === undefined) return;
    return () => {
      // The button that had the focus may have gone with what it was about.
      if (document.activeElement === document.body) heading.current?.focus();
    };
  }, [wanted]);

  const View = SHOWN[route.view];
  return (
    <LiveContext.Provider value={live}>
      <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), heading.current?.focus())}>
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href={linkTo("hosts")}>isconf</a>
        <HostLine s={status.answer} />
        <Freshness live={live} />
        <ThemeButton />
        <button type="button" onClick={() => leave()}>Forget token</button>
      </header>
      <nav class="views" aria-label="Views">
        {VIEWS.map((view) => (
          <a key={view} href={linkTo(view)} aria-current={view === route.view ? "page" : undefined}>
            {TITLES[view]}
            <Count view={view} s={status.answer} />
          </a>
        ))}
      </nav>
      <main id="main">
        <h1 tabIndex={-1} ref={heading}>{TITLES[route.view]}</h1>
        <Guard key={route.view}>
          <View rest={route.rest} />
        </Guard>
      </main>
      {wanted !== undefined && me !== undefined && <Confirmation wanted={wanted} me={me} close={close} />}
    </LiveContext.Provider>
  );
}

function useRoute(): Route {
  const [hash, setHash] = useState(() => location.hash);
  useEffect(() => {
    const hear = () => setHash(location.hash);
    addEventListener("hashchange", hear);
    return () => removeEventListener("hashchange", hear);
  }, []);
  return useMemo(() => readRoute(hash), [hash]);
}

function HostLine({ s }: { s: Status | undefined }): JSX.Element {
  if (s === undefined) return <p class="where" />;
  return (
    <p class="where">
      <strong>
        <Said text={s.host} max={64} />
      </strong>
      {s.branch !== null && (
        <span>
          on <Said text={s.branch} max={64} />
        </span>
      )}
      <State state={s.state} />
      {s.domain !== null && (
        <span class="quiet domain">
          domain <code>{shortId(s.domain)}</code>
        </span>
      )}
    </p>
  );
}

/** How old what is shown is, and how changes are heard of. */
function Freshness({ live: { status, hears } }: { live: Live }): JSX.Element {
  const heard = hears === "events" ? "live" : hears === "asking" ? "asking now and then" : "connecting";
  return (
    <p class={`fresh ${status.problem === undefined ? "" : "bad"}`}>
      <span class={`pulse ${hears}`} aria-hidden="true" />
      {status.problem !== undefined ? "not reached" : heard}
      {status.asOfMs > 0 && <span class="quiet">as of {clockTime(status.asOfMs)}</span>}
    </p>
  );
}

/** What a view has that asks for people, as a number beside its name. */
function Count({ view, s }: { view: View; s: Status | undefined }): JSX.Element | null {
  if (s === undefined) return null;
  const n = view === "hosts"
    ? s.hosts.filter(({ state }) => state !== "current").length
    : view === "locks"
    ? (s.lock === null ? 0 : 1)
    : view === "keepers"
    ? s.proofs.filter(({ open }) => open).length
    : view === "drift"
    ? s.differing.entries
    : 0;
  if (n === 0) return null;
  return (
    <span class="count">
      <span aria-hidden="true">{n.toLocaleString("en")}</span>
      <span class="unseen">, {n} to look at</span>
    </span>
  );
}

const THEMES: Record<Theme, string> = { auto: "system", light: "light", dark: "dark" };

function ThemeButton(): JSX.Element {
  const [theme, setTheme] = useState(readTheme);
  const change = () => {
    const next = nextTheme(theme);
    wearTheme(next);
    setTheme(next);
  };
  return <button type="button" onClick={change}>Colours: {THEMES[theme]}</button>;
}

/** What breaks in one view does not take the others with it. */
class Guard extends Component<{ children: ComponentChildren }, { broken: unknown }> {
  override state: { broken: unknown } = { broken: undefined };

  static override getDerivedStateFromError(broken: unknown) {
    return { broken };
  }

  override render() {
    const { broken } = this.state;
    if (broken === undefined) return this.props.children;
    const problem = new Problem(
      `this view cannot show what the agent answered: ${String(broken).slice(0, 300)}`,
      {
        hint: "the same verb on the command line shows it",
      },
    );
    return <ProblemBox problem={problem} again={() => this.setState({ broken: undefined })} />;
  }
}
