// Verbs that the command line does itself or that move contents as streams: what they are, for help and parsing.
// How they are done is in cli_here.ts.
import { NAMED_ROLES } from "../api_roles.ts";
import type { Verb } from "../verb.ts";
import { named } from "./contents.ts";

const none = {};

/** The manual pages. */
const PAGES = ["isconf", "isconf-policy", "isconf.conf"];

/** The shells that can complete. */
const SHELLS = ["bash", "zsh", "fish"];

export const HERE_VERBS: Verb[] = [
  {
    name: "put",
    summary: "put a file or a directory into isfs",
    about:
      "Prints the id of its content. Without a file, or with -, standard input. A directory is put with everything in\nit: content, modes, owners, times, links, hard links, attributes, holes. What is there already is not kept twice,\nand what was broken off goes on where it stopped when it is put again. Other hosts of the domain may have it.",
    examples: [
      "isconf put nginx.deb",
      "tar c /srv | isconf put --label srv.tar -",
      "isconf put --name images/base --copies 3 base.img",
    ],
    args: {
      file: {
        kind: "text",
        positional: true,
        is: "file",
        about: "the file or directory; - is standard input",
      },
      label: { kind: "text", about: "what it is called in ls; else the file's name" },
      compress: { kind: "flag", about: "keep it compressed, as far as that saves room" },
      name: {
        kind: "text",
        is: "name",
        about: "say on every host that this name means it: isconf help name",
      },
      copies: { kind: "count", about: "how many hosts shall keep it; with --name; else 2" },
      secret: { kind: "flag", about: "seal it: only hosts with the role secret on the branch can read it" },
      branch: { kind: "text", is: "branch", about: "that branch; else this host's" },
    },
    kind: "here",
  },
  {
    name: "get",
    summary: "get a file or a directory out of isfs",
    about:
      "NAME:PATH is what lies at PATH in the tree NAME. A file is written beside and renamed when it is whole; a directory\nthat is there already is merged. Who is not root gets everything as his own.",
    examples: ["isconf get 3f2a99 nginx.deb", "isconf get www:css /tmp/css"],
    args: {
      name: named,
      file: {
        kind: "text",
        positional: true,
        required: true,
        is: "file",
        about: "where to; - is standard output",
      },
      secret: { kind: "flag", about: "open what put --secret has sealed; root's to do" },
      by: {
        kind: "text",
        is: "person",
        about: "whose word counts, when people differ on a name: alice@hosta",
      },
    },
    kind: "here",
  },
  {
    name: "cat",
    summary: "write a file of isfs to standard output",
    about: "NAME:PATH is a file in a tree.",
    examples: ["isconf cat motd", "isconf cat --offset 512 --length 16 disk.img"],
    args: {
      name: named,
      by: {
        kind: "text",
        is: "person",
        about: "whose word counts, when people differ on a name: alice@hosta",
      },
      offset: { kind: "count", about: "where to begin, in bytes" },
      length: { kind: "count", about: "how many bytes at the most" },
    },
    kind: "here",
  },
  {
    name: "oci",
    summary: "images as other programs have them: oci export NAME FILE, oci import FILE",
    about:
      "export: a tree as an OCI archive of one layer, for skopeo, podman, docker and the like; the same tree gives the same\nbytes, holes become zeros. import: the tree that the layers of an archive make, each checked against its digest.",
    examples: [
      "isconf oci export images/base base.tar && skopeo copy oci-archive:base.tar docker://registry/base",
      "skopeo copy docker://debian:12 oci-archive:debian.tar && isconf oci import debian.tar",
    ],
    args: {
      action: {
        kind: "text",
        positional: true,
        required: true,
        values: ["export", "import"],
        about: "export or import",
      },
      first: {
        kind: "text",
        positional: true,
        required: true,
        is: { export: "content", import: "file" },
        about: "what to export, or the archive to import",
      },
      second: {
        kind: "text",
        positional: true,
        is: "file",
        about: "the archive to write; - is standard output",
      },
      ref: { kind: "text", about: "the image's name in the archive" },
      architecture: {
        kind: "text",
        about: "amd64 unless said otherwise; of several images the one to import",
      },
      skipSpecial: { kind: "flag", about: "leave out devices and fifos instead of refusing them" },
    },
    kind: "here",
  },
  {
    name: "image",
    summary: "images that hosts are installed from: capture, build, import, initrd, ls, show, diff, verify",
    about:
      "capture: this host's files as they are, without what is its own (names, keys, logs, what is mounted), as an image at\nits place in the journal, images/BRANCH-SEQ: a host that is installed from it goes on behind that entry. With --root\nDIR a root that lies there. build: a Debian made anew by mmdebstrap, by a script that --plan shows. import: a tar archive of a root, or a disk. What is the same in two images is kept once.\ninitrd: a tree NAME with the image's kernel, vmlinuz, and all of its root as an initrd, which a machine boots from the network\nand runs in memory; with --installer what starts isconf install there.\nWho may get contents can read all of an image. diff ends 1 when two differ; verify reads every byte.",
    examples: [
      "sudo isconf image capture",
      "sudo isconf image build --include linux-image-amd64,systemd-sysv images/base",
      "isconf image import debian.tar.gz images/debian",
      "isconf image initrd images/base boot/base",
      "isconf image diff images/main-3 images/main-7",
    ],
    args: {
      action: {
        kind: "text",
        positional: true,
        required: true,
        values: ["capture", "build", "import", "initrd", "ls", "show", "diff", "verify"],
        about: "what to do",
      },
      words: {
        kind: "texts",
        positional: true,
        is: { import: "file", initrd: "content", show: "content", diff: "content", verify: "content" },
        about: "names of images; for import first the file; for initrd an image, and what is made of it",
      },
      root: { kind: "text", is: "file", about: "capture the root that lies in this directory" },
      passwords: { kind: "flag", about: "capture password hashes, too" },
      suite: { kind: "text", about: "build: which Debian; else bookworm" },
      variant: {
        kind: "text",
        values: ["minbase", "apt", "buildd", "important", "standard"],
        about: "build: how much of it; else minbase",
      },
      include: { kind: "text", about: "build: packages beside that, as a,b,c" },
      mirror: { kind: "text", about: "build: the URL of its archive; else what mmdebstrap takes" },
      deb: { kind: "text", is: "file", about: "build: a package that goes in last, as isconf's own" },
      dir: { kind: "text", is: "file", about: "build: where it is made; else /var/tmp" },
      plan: { kind: "flag", about: "build: print the script, and run nothing" },
      kernel: { kind: "text", about: "initrd: which kernel, when the image has several: 6.1.0-57-amd64" },
      installer: {
        kind: "flag",
        about: "initrd: with what starts isconf install when isconf.join is on the kernel's command line",
      },
      copies: { kind: "count", about: "how many hosts shall keep it; else 2" },
      skipSpecial: {
        kind: "flag",
        about: "leave out devices and fifos of an archive instead of refusing it",
      },
    },
    kind: "here",
  },
  {
    name: "install",
    summary: "put an image onto the disk of this machine, which runs in memory",
    about:
      "For machines that were booted from the network with an initrd of `isconf image initrd --installer`; they do it by\nthemselves, as their profile says: docs/netboot.md. What is on the disk is lost: it has to be empty, or --wipe said. The\ncommands are shown by --plan. The host's keys and journal go onto the disk, and it goes on behind the entry that is in\nthe image.",
    examples: ["isconf install --plan images/main-7 /dev/sda", "isconf install images/main-7 /dev/sda"],
    args: {
      image: { kind: "text", positional: true, is: "name", about: "which image: isconf image ls" },
      disk: { kind: "text", positional: true, is: "file", about: "which disk; else the only one" },
      boot: {
        kind: "flag",
        about: "do what the boot server told this kernel: join, install or go through the journal",
      },
      wipe: { kind: "flag", about: "also when there is something on the disk" },
      plan: { kind: "flag", about: "print the scripts, and run nothing" },
    },
    kind: "here",
  },
  {
    name: "bundle",
    summary: "carry a journal as a file: bundle export FILE, bundle import FILE",
    about:
      "export: the branch's whole journal with its contents. import: takes one in, checking everything; on a host\nwithout a domain, --domain pins the domain's id as shown by `isconf status` on a host you trust.",
    examples: ["isconf bundle export web.bundle", "isconf bundle import web.bundle --domain ID"],
    args: {
      action: {
        kind: "text",
        positional: true,
        required: true,
        values: ["export", "import"],
        about: "export or import",
      },
      file: {
        kind: "text",
        positional: true,
        required: true,
        is: "file",
        about: "the bundle; - is standard input or output",
      },
      branch: { kind: "text", is: "branch", about: "export: which; import: what this host is to be on" },
      domain: { kind: "text", about: "import: the id of the domain this host is to belong to" },
      host: { kind: "text", about: "import: what this host is called; else its host name" },
    },
    kind: "here",
  },
  {
    name: "watch",
    summary: "what happens, on this host and in its domain, as it happens",
    about:
      "One line an event: entries, what is applied here, locks, how hosts stand, hosts that wait, names, proofs. --after goes on\nbehind an event that was seen, or, with 0, begins with the oldest that is kept. Ends when you end it, or after --count.",
    examples: [
      "isconf watch",
      "isconf watch --type isconf.entry,isconf.host --branch web",
      "isconf --json watch --after 0 --count 10",
    ],
    args: {
      after: { kind: "text", about: "the id of an event, behind which it begins; 0: the oldest" },
      type: { kind: "text", about: "types of events, with commas between them" },
      branch: { kind: "text", is: "branch", about: "only of this branch" },
      host: { kind: "text", is: "host", about: "only of this host" },
      count: { kind: "count", about: "so many events and no more" },
    },
    kind: "here",
  },
  {
    name: "page",
    summary: "the web page of this host",
    about:
      "Prints an address with a token in it, good for a day, for a browser on this machine; what it may beside reading, --role\nsays. Needs http in isconf.conf. From elsewhere: ssh -L 8470:127.0.0.1:8470 HOST.",
    examples: ["isconf page", "isconf page --role operate --role enrol"],
    args: {
      role: { kind: "texts", values: NAMED_ROLES, about: NAMED_ROLES.join(", ") },
    },
    kind: "here",
  },
  {
    name: "openapi",
    summary: "the API as a document of OpenAPI 3.1, or what a verb's --json is",
    about:
      "As GET /v1/openapi.json gives it. With a VERB: the JSON Schema of what isconf --json VERB prints, which is what\n/v1/VERB answers. Its $id has the version: within one, answers only gain fields.",
    examples: ["isconf openapi > isconf.json", "isconf openapi status"],
    args: { verb: { kind: "text", positional: true, is: "verb", about: "the verb" } },
    kind: "here",
  },
  {
    name: "start",
    summary: "start the agent and wait until it answers",
    about: "Starting twice is harmless.",
    examples: ["isconf start"],
    args: none,
    kind: "here",
  },
  {
    name: "stop",
    summary: "stop the agent when what it is doing has ended",
    about:
      "Returns when it has stopped; waits for the running transaction. Over HTTP it only orders the stop.",
    examples: ["isconf stop"],
    args: none,
    kind: "here",
    run(call) {
      call.acts.life.stop();
      return { stopping: true, pid: process.pid };
    },
  },
  {
    name: "restart",
    summary: "stop, then start",
    about: "See both.",
    examples: ["isconf restart"],
    args: none,
    kind: "here",
  },
  {
    name: "agent",
    summary: "run the agent in the foreground",
    about:
      "For a service manager. --unit prints a systemd unit for this executable; --sysusers and --tmpfiles print what makes its\nuser and its directories, which the agent else makes itself.",
    examples: [
      "isconf agent",
      "isconf agent --unit > /etc/systemd/system/isconf.service",
      "isconf agent --sysusers > /etc/sysusers.d/isconf.conf",
      "isconf agent --tmpfiles > /etc/tmpfiles.d/isconf.conf",
    ],
    args: {
      unit: { kind: "flag", about: "print a systemd unit and end" },
      sysusers: { kind: "flag", about: "print a line for systemd-sysusers and end" },
      tmpfiles: { kind: "flag", about: "print lines for systemd-tmpfiles and end" },
      role: { kind: "text", hidden: true, about: "net: the unprivileged half; preview: number 1 of one" },
      ready: { kind: "flag", hidden: true, about: "tell the starter on descriptor 3" },
    },
    kind: "here",
  },
  {
    name: "completion",
    summary: "print a script with which a shell completes what is typed after isconf",
    about:
      "Verbs, options, and what the agent knows: hosts, branches, contents, entries. Without an agent these are just not\noffered, nor is what would not be plain letters, digits and signs on a command line: contents have ids, too.",
    examples: [
      "isconf completion bash > /etc/bash_completion.d/isconf",
      "isconf completion zsh > /usr/local/share/zsh/site-functions/_isconf",
      "isconf completion fish > ~/.config/fish/completions/isconf.fish",
    ],
    args: {
      shell: { kind: "text", positional: true, required: true, values: SHELLS, about: "bash, zsh or fish" },
    },
    kind: "here",
  },
  {
    name: "man",
    summary: "show a manual page, or print it for the man program",
    about:
      "On a terminal man shows it; else its source is printed. isconf(1) has every verb, isconf-policy(5) the policy of a\nhost, isconf.conf(5) its settings.",
    examples: [
      "isconf man",
      "isconf man isconf-policy",
      "isconf man isconf.conf > /usr/local/share/man/man5/isconf.conf.5",
    ],
    args: {
      page: { kind: "text", positional: true, values: PAGES, about: `${PAGES.join(", ")}; else isconf` },
    },
    kind: "here",
  },
  {
    name: "version",
    summary: "the version of this executable",
    about: "And nothing else.",
    examples: ["isconf version"],
    args: none,
    kind: "here",
  },
  {
    name: "help",
    summary: "this list; help VERB; help errors",
    about: "`isconf VERB --help` is the same as `isconf help VERB`.",
    examples: ["isconf help exec", "isconf help errors"],
    args: { topic: { kind: "text", positional: true, is: "topic", about: "a verb, or errors" } },
    kind: "here",
  },
];
