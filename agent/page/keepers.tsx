// Keepers: whose votes make an entry certain and whether enough are there, what was proven of keys and keepers, and the way out of a
// fork. Not how they vote.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { inert } from "../inert.ts";
import { Act } from "./act.tsx";
import { hosts as hostsShape, type Status } from "./answers.ts";
import { Answer, Badge, Facts, Section, State, Table } from "./parts.tsx";
import { Ago, Code, Moment, Said } from "./text.tsx";
import { useLive, useView } from "./use.ts";
import { many } from "./words.ts";

export function KeepersView(): JSX.Element {
  const { status } = useLive();
  return (
    <Answer of={status}>
      {(s) =>
        s.branch === null ? <p class="quiet">This host is in no domain yet.</p> : (
          <>
            <Keepers s={s} />
            <Forks s={s} />
            <Proofs s={s} />
            <Domain s={s} />
          </>
        )}
    </Answer>
  );
}

function Keepers({ s }: { s: Status }): JSX.Element {
  const asked = useView("/v1/hosts", hostsShape);
  const connection = (name: string) =>
    asked.answer?.hosts.find((h) => h.name === name && h.keeper)?.state ?? "";
  const stands = (name: string) => s.hosts.find((h) => h.name === name)?.state ?? "unknown";
  const { need, reached, of } = s.quorum ?? { need: 0, reached: 0, of: 0 };
  return (
    <Section title="Keepers">
      <p>
        <Badge tone={reached < need ? "bad" : "ok"} text={`${reached} of ${of} reachable`} /> {need}{" "}
        have to agree: {of - need === 0 ? "none may be away" : `${of - need} may be away`}.
      </p>
      {s.stale !== null && (
        <p class="notice bad">
          Stale: no quorum of keepers was heard since <Moment ms={s.stale.sinceMs} />.
        </p>
      )}
      <Table
        label="Keepers"
        columns={[
          { name: "Keeper", cell: (name) => <Said text={name} /> },
          { name: "From here", cell: (name) => <Connection state={connection(name)} /> },
          { name: "Stands", cell: (name) => <State state={stands(name)} /> },
        ]}
        rows={s.keepers}
        keyOf={(name) => name}
        empty="There are none."
      />
    </Section>
  );
}

function Connection({ state }: { state: string }): JSX.Element {
  const tone = state === "connected" || state === "this host" ? "ok" : state === "" ? "unknown" : "bad";
  return <Badge tone={tone} text={state === "" ? "not known" : state} />;
}

function Forks({ s }: { s: Status }): JSX.Element | null {
  const branches = new Set(
    s.proofs.filter(({ kind, open }) => kind === "certified" && open).map(({ branch }) => branch),
  );
  if (s.fork !== null && s.branch !== null) branches.add(s.branch);
  if (branches.size === 0) return null;
  return <>{[...branches].map((branch) => <Fork key={branch} branch={branch} />)}</>;
}

function Fork({ branch }: { branch: string }): JSX.Element {
  const [id, setId] = useState("");
  const isId = /^[0-9a-f]{4,64}$/.test(id);
  const args = { branch, ...(isId ? { id } : {}) };
  const typed = `isconf resolve ${branch}${isId ? ` ${id}` : ""}`;
  return (
    <Section title={`${inert(branch.slice(0, 64))} is forked`}>
      <p class="notice bad">
        Two certified entries claim one place: the branch stands still on every host until the root keys have
        said which one counts. The proofs below name both.
      </p>
      <label class="field">
        The id of the entry that counts begins with{" "}
        <input
          value={id}
          spellcheck={false}
          autocomplete="off"
          onInput={(e) => setId(e.currentTarget.value.trim())}
        />
      </label>
      <div class="buttons">
        <Act
          isPlain
          wanted={{
            verb: "resolve",
            args: { ...args, yes: false },
            button: "Show what would be…",
            question: "Ask what resolving would do?",
            about: "Asks every host that can be reached how far the branches have come. Nothing is changed.",
            typed,
          }}
        />
        {isId && (
          <Act
            wanted={{
              verb: "resolve",
              args: { ...args, yes: true },
              button: "Make the proposal…",
              question: "Make a proposal to go on from this entry?",
              about: (
                <>
                  Of the entries for one place the one that begins with <Code text={id} />{" "}
                  shall count. The proposal changes nothing until the root keys have signed it:{" "}
                  <Code text="isconf root sign FILE" />.
                </>
              ),
              typed: `${typed} --yes`,
            }}
          />
        )}
      </div>
    </Section>
  );
}

function Proofs({ s }: { s: Status }): JSX.Element {
  const open = s.proofs.filter((p) => p.open);
  return (
    <Section title="Proofs">
      <p>
        {open.length === 0
          ? "Nothing that asks for anything was proven."
          : `${many(open.length, "proof")} ${open.length === 1 ? "asks" : "ask"} for something to be done.`}
      </p>
      <Table
        label="Proofs of two signatures for one place"
        columns={[
          { name: "Proven", cell: ({ text }) => <Said text={text} max={400} /> },
          { name: "About", cell: ({ name }) => name === "" ? "–" : <Said text={name} /> },
          {
            name: "Branch",
            cell: ({ branch, seq }) => (
              <>
                <Said text={branch} />@{seq}
              </>
            ),
          },
          { name: "Seen", cell: ({ foundMs }) => <Ago ms={foundMs} /> },
          {
            name: "State",
            cell: (p) => p.open ? <Badge tone="bad" text="open" /> : <Badge tone="unknown" text="closed" />,
          },
        ]}
        rows={s.proofs}
        keyOf={(p) => `${p.kind} ${p.branch} ${p.seq} ${p.term} ${p.name} ${p.text}`}
        empty="No key has signed two things for one place, as far as this host was told."
      />
    </Section>
  );
}

function Domain({ s }: { s: Status }): JSX.Element {
  return (
    <Section title="The domain">
      <Facts
        rows={[
          ["Domain", s.domain === null ? null : <Code text={s.domain} />],
          [
            "Owners",
            s.owners.length === 0 ? "none" : (
              <ul class="plain">
                {s.owners.map((o) => (
                  <li>
                    <Said text={o} />
                  </li>
                ))}
              </ul>
            ),
          ],
          [
            "Branches",
            <ul class="plain">
              {s.branches.map((b) => (
                <li>
                  <Said text={b.name} />, {many(b.entries, "entry", "entries")}
                  {b.from !== null && (
                    <>
                      , from <Said text={b.from} />
                    </>
                  )}
                </li>
              ))}
            </ul>,
          ],
          ["Restored", s.ahead === null ? null : <Said text={s.ahead} />],
          [
            "Network",
            s.network.why === ""
              ? <Said text={s.network.addresses.join(", ") || "listens nowhere"} />
              : <Badge tone="bad" text={s.network.why} />,
          ],
          [
            "DHT",
            s.network.isDhtSuspect
              ? <Badge tone="bad" text="suspect: those it names do not have what it says" />
              : null,
          ],
        ]}
      />
    </Section>
  );
}
