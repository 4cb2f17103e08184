// The one list of verbs, in the order of help. Command line, HTTP routes and help are made from it.
import type { Verb } from "../verb.ts";
import { ciVerb } from "./ci.ts";
import { copiesVerb, fsckVerb, gcVerb, pinVerb, rmVerb, statVerb, treeVerb, unpinVerb } from "./contents.ts";
import { forkVerb, initVerb, migrateVerb } from "./domain.ts";
import { execVerb } from "./exec.ts";
import { HERE_VERBS } from "./here.ts";
import { approveVerb, evictVerb, hostsVerb, joinVerb, tokensVerb, tokenVerb } from "./hosts.ts";
import { keeperVerb } from "./keeper.ts";
import { confirmVerb } from "./confirm.ts";
import { lockVerb, unlockVerb } from "./lock.ts";
import { logVerb, showVerb, verifyVerb } from "./log.ts";
import { lsVerb } from "./ls.ts";
import { namesVerb, nameVerb } from "./names.ts";
import { bootVerb, netbootVerb } from "./netboot.ts";
import { policyVerb } from "./policy.ts";
import { previewVerb } from "./preview.ts";
import { rebootVerb } from "./reboot.ts";
import { rebuildVerb } from "./rebuild.ts";
import { grantVerb, revokeVerb, rotateVerb } from "./roles.ts";
import { rebaseVerb, resolveVerb, rootVerb } from "./root.ts";
import { snapVerb } from "./snap.ts";
import { doctorVerb, envVerb, statusVerb } from "./status.ts";
import { acknowledgeVerb, recoverVerb } from "./trust.ts";
import { upVerb } from "./up.ts";
import { vmVerb } from "./vm.ts";
import { wipVerb } from "./wip.ts";

export const VERBS: Verb[] = [
  lockVerb,
  unlockVerb,
  snapVerb,
  execVerb,
  previewVerb,
  rebootVerb,
  wipVerb,
  ciVerb,
  upVerb,
  logVerb,
  showVerb,
  statusVerb,
  verifyVerb,
  forkVerb,
  migrateVerb,
  initVerb,
  tokenVerb,
  tokensVerb,
  joinVerb,
  approveVerb,
  hostsVerb,
  evictVerb,
  grantVerb,
  revokeVerb,
  rotateVerb,
  keeperVerb,
  rootVerb,
  resolveVerb,
  rebaseVerb,
  acknowledgeVerb,
  recoverVerb,
  lsVerb,
  statVerb,
  treeVerb,
  rmVerb,
  pinVerb,
  unpinVerb,
  copiesVerb,
  gcVerb,
  fsckVerb,
  nameVerb,
  namesVerb,
  netbootVerb,
  bootVerb,
  rebuildVerb,
  envVerb,
  policyVerb,
  confirmVerb,
  doctorVerb,
  vmVerb,
  ...HERE_VERBS,
] as unknown as Verb[];
