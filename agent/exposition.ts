// Exposition: figures as the text that Prometheus reads (version 0.0.4 of its text format). Own code because it is this short and stands in the
// half that is root. Not which figures there are (api_health.ts).

/** What such a text is. */
export const EXPOSITION = "text/plain; version=0.0.4; charset=utf-8";

/** One figure with its values, by labels. */
export interface Family {
  name: string;
  type: "gauge" | "counter" | "histogram";
  help: string;
  samples: [labels: Record<string, string>, value: number, suffix?: string][];
}

/** All of them as text. */
export function exposition(families: readonly Family[]): string {
  return families.filter(({ samples }) => samples.length > 0).map(({ name, type, help, samples }) =>
    [
      `# HELP ${name} ${escape(help)}`,
      `# TYPE ${name} ${type}`,
      ...samples.map(([labels, value, suffix = ""]) => `${name}${suffix}${labelText(labels)} ${value}`),
      "",
    ].join("\n")
  ).join("");
}

function labelText(labels: Record<string, string>): string {
  const all = Object.entries(labels);
  return all.length === 0
    ? ""
    : `{${all.map(([k, v]) => `${k}="${escape(v).replaceAll('"', '\\"')}"`).join(",")}}`;
}

const escape = (text: string) => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");

/** How often something was how large. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = [...bounds.map(() => 0), 0];
  }

  observe(value: number): void {
    const at = this.#bounds.findIndex((bound) => value <= bound);
    this.#counts[at < 0 ? this.#bounds.length : at]!++;
    this.#sum += value;
  }

  family(name: string, help: string): Family {
    let below = 0;
    const buckets = [...this.#bounds, Infinity].map((bound, i): Family["samples"][number] => {
      below += this.#counts[i]!;
      return [{ le: bound === Infinity ? "+Inf" : String(bound) }, below, "_bucket"];
    });
    return {
      name,
      type: "histogram",
      help,
      samples: [...buckets, [{}, this.#sum, "_sum"], [{}, below, "_count"]],
    };
  }
}
