// Unit: what systemd is told of isconf, as files: the service, the user of the net half, the directories. Printed by `isconf agent
// --unit`, `--sysusers` and `--tmpfiles`; not installed by anybody here.
import { contentDir, type Home, homeOf, NET_USER, storeDir } from "./paths.ts";

/**
 * What of the agent's surroundings may not reach it: of the loader, of Node and of OpenSSL. The executable obeys next to none of it;
 * with the one that it cannot refuse it would not start.
 */
const UNSET = [
  "LD_PRELOAD",
  "LD_AUDIT",
  "LD_LIBRARY_PATH",
  "NODE_OPTIONS",
  "NODE_PATH",
  "NODE_EXTRA_CA_CERTS",
  "NODE_REPL_EXTERNAL_MODULE",
  "OPENSSL_CONF",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
];

/**
 * The service of an executable at `file`. Its commands inherit whatever it is confined to: docs/security.md says which
 * settings are left out for that, each with what would break. The net half confines itself (confine.ts).
 */
export function unitFile(file: string): string {
  return `[Unit]
Description=isconf: keeps this host congruent with its branch
Documentation=man:isconf(1)
After=local-fs.target network.target

[Service]
Type=exec
ExecStart=${file.replaceAll("%", "%%").replaceAll(" ", "\\x20")} agent
Restart=on-failure
RestartSec=2
# A command that runs is waited for; what it leaves in its own cgroup is ended with the service.
KillMode=mixed
TimeoutStopSec=infinity
# A cgroup for each command. One that takes too much memory, or too many processes, is not the end of the agent.
Delegate=yes
OOMPolicy=continue
TasksMax=infinity
# The agent itself leaves nothing for others to read, and nothing around it says what it loads.
UMask=0077
LimitCORE=0
UnsetEnvironment=${UNSET.join(" ")}

[Install]
WantedBy=multi-user.target
`;
}

/** The user of the net half, for systemd-sysusers(8). Without it the agent makes the user when it first starts. */
export function sysusersFile(): string {
  return `# isconf: who owns the half of the agent that talks with other hosts.
u ${NET_USER} - "isconf, the net half" /nonexistent /usr/sbin/nologin
`;
}

/** The directories, for systemd-tmpfiles(8), with the modes on which the agent insists. It makes those that are not there. */
export function tmpfilesFile(): string {
  const home: Home = homeOf(undefined);
  const dirs: [dir: string, mode: string, owner: string][] = [
    [home.config, "0755", "root"],
    [`${home.config}/policy.d`, "0755", "root"],
    [home.state, "0711", "root"],
    [`${home.state}/keys`, "0700", "root"],
    [storeDir(home), "0700", NET_USER],
    [home.run, "0711", "root"],
    [contentDir(home), "0711", NET_USER],
  ];
  const lines = dirs.map(([dir, mode, owner]) => `d ${dir} ${mode} ${owner} ${owner} -`);
  return `# isconf: what is there before its agent starts. Nothing in it is ever too old.\n${
    lines.join("\n")
  }\n`;
}
