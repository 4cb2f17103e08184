// Acts: what verbs can do, by the file it lives in. Types only: verbs are also loaded by the thin command line,
// which must not pull the agent in; daemon.ts passes the real thing.
export interface Acts {
  enrol: typeof import("./enrol.ts");
  join: typeof import("./join.ts");
  roles: typeof import("./roles.ts");
  keepers: typeof import("./keeper_change.ts");
  recovery: typeof import("./recovery.ts");
  roots: typeof import("./root_change.ts");
  locks: typeof import("./locks.ts");
  checkin: typeof import("./checkin.ts");
  work: typeof import("./work.ts");
  preview: typeof import("./preview.ts");
  previewSnap: typeof import("./preview_snap.ts");
  rehearse: typeof import("./rehearse.ts");
  acknowledging: typeof import("./acknowledge.ts");
  recovering: typeof import("./recover.ts");
  apply: typeof import("./apply.ts");
  domain: typeof import("./domain.ts");
  naming: typeof import("./naming.ts");
  bundle: typeof import("./bundle.ts");
  rules: typeof import("./rules_say.ts");
  report: typeof import("./report.ts");
  drift: typeof import("./drift.ts");
  here: typeof import("./here.ts");
  status: typeof import("./status.ts");
  netboot: typeof import("./netboot_here.ts");
  rebuild: typeof import("./rebuild.ts");
  doctor: typeof import("./doctor.ts");
  users: typeof import("./users.ts");
  copies: typeof import("./copies.ts");
  secrets: typeof import("./secrets.ts");
  upkeep: typeof import("./upkeep.ts");
  life: { stop(): void };
}
