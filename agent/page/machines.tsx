// Machines: those that boot from the network of this host, how far each has come, and its steps. What machines say of themselves proves nothing;
// "up" alone is what the host says that a machine has become. Not what they are given to boot.
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { boot as bootShape, type BootNote } from "./answers.ts";
import { every } from "./clock.ts";
import { bootEachMs } from "./limits.ts";
import { type Machine, machinesOf, toneOfStep } from "./machines.ts";
import { Answer, Badge, Bar, Section, Table } from "./parts.tsx";
import { Ago, Moment, Said } from "./text.tsx";
import { useView } from "./use.ts";

export function MachinesView(): JSX.Element {
  const notes = useView("/v1/boot", bootShape);
  const { again } = notes;
  useEffect(() => every(bootEachMs, again), [again]);
  const machines = useMemo(() => machinesOf(notes.answer?.notes ?? []), [notes.answer]);
  return (
    <>
      <Section title="Machines that boot from this host">
        <Answer of={notes}>
          {() => (
            <Table
              label="Machines, the last heard of first"
              columns={[
                { name: "Machine", cell: (m: Machine) => <Said text={m.mac} /> },
                { name: "Called", cell: (m) => <Said text={m.name} max={128} /> },
                { name: "Step", cell: (m) => <StepCell note={m.last} /> },
                { name: "Says", cell: (m) => <Said text={m.last.text} max={400} /> },
                { name: "When", cell: (m) => <Ago ms={m.last.timeMs} /> },
              ]}
              rows={machines}
              keyOf={({ mac }) => mac}
              empty="None since this agent was started. isconf netboot on IFACE lets machines boot from here."
            />
          )}
        </Answer>
      </Section>
      {machines.length > 0 && (
        <Section title="Their steps">
          {machines.map(({ mac, notes }) => (
            <details key={mac}>
              <summary>
                <Said text={mac} />
              </summary>
              <Table
                label={`Steps of ${mac}`}
                columns={[
                  { name: "When", cell: (n: BootNote) => <Moment ms={n.timeMs} /> },
                  { name: "Step", cell: (n) => <StepCell note={n} /> },
                  { name: "Says", cell: (n) => <Said text={n.text} max={400} /> },
                ]}
                rows={notes}
                keyOf={(n) => `${n.timeMs} ${n.step} ${n.percent}`}
                empty="None."
              />
            </details>
          ))}
        </Section>
      )}
    </>
  );
}

function StepCell({ note: { step, percent } }: { note: BootNote }): JSX.Element {
  const tone = toneOfStep(step);
  return (
    <>
      <Badge tone={tone} text={percent === null ? step : `${step} ${percent}%`} />
      {percent !== null && <Bar at={percent} of={100} tone={tone} />}
    </>
  );
}
