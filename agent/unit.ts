// Unit: a systemd unit for this executable. Printed by `isconf agent --unit`; not installed by anybody here.

/** The unit's text for an executable at `file`. */
export function unitFile(file: string): string {
  return `[Unit]
Description=isconf: keeps this host congruent with its branch
Documentation=man:isconf(1)
After=local-fs.target network.target

[Service]
ExecStart=${file.replaceAll("%", "%%").replaceAll(" ", "\\x20")} agent
Restart=on-failure
RestartSec=2
KillMode=mixed
Delegate=yes
TimeoutStopSec=infinity

[Install]
WantedBy=multi-user.target
`;
}
