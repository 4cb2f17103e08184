// Event: what an event is, as it is told: CloudEvents 1.0 in JSON. Not where events come from (event_sources.ts) nor where they are kept (events.ts).

/** Every type of event. There are no others. */
export const EVENT_TYPES = [
  "isconf.entry", // an entry came into a journal
  "isconf.applied", // this host has applied an entry, or failed to
  "isconf.lock", // somebody has the lock of a branch
  "isconf.unlock",
  "isconf.host", // how a host stands has changed, by its own word
  "isconf.enrol", // a host waits to be let in
  "isconf.name", // somebody says what a name means
  "isconf.proof", // two things signed for one place
] as const;

/** One event, as CloudEvents 1.0 has it in JSON; `branch` and `host` are extension attributes. */
export interface CloudEvent {
  specversion: "1.0";
  /** Where it stands here: the cursor after which the next ones are asked for. */
  id: string;
  /** "/host/NAME": the host that it is about. */
  source: string;
  type: string;
  subject: string;
  time: string;
  branch: string;
  host: string;
  datacontenttype: "application/json";
  data: unknown;
}

/** Of which events is asked: types, one branch, one host; what is not said is not asked about. */
export interface EventFilter {
  types?: readonly string[];
  branch?: string;
  host?: string;
}

/** Some events in order, the cursor behind all that was looked at, and whether some before them are not kept any more. */
export interface EventPage {
  events: CloudEvent[];
  cursor: string;
  missed: boolean;
}
