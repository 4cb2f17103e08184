#!/bin/bash
# ci_setup: puts what the executable's tests need into a Debian 12: packages, a bare root, arm64 libraries, an etcd, a kernel.
# Not needed to build isconf. Run as root; quick when everything is there; leaves the package state of the
# machine's own architecture alone otherwise.
set -euo pipefail

cache=${ISCONF_TEST_CACHE:-/var/tmp/isconf-test-cache}
packages=(strace curl rsync iproute2 qemu-user mmdebstrap attr acl sudo age skopeo umoci gcc libc6-dev gcc-aarch64-linux-gnu
  libc6-dev-arm64-cross golang-github-cloudflare-circl-dev openssl z3 python3-cbor2 systemd
  chromium fonts-dejavu-core zsh fish man-db mandoc lintian less
  qemu-system-x86 ovmf ipxe ipxe-qemu dnsmasq-base tftp-hpa atftp busybox dash isc-dhcp-client nmap
  grub-common grub-efi-amd64-bin cpio libarchive-tools gdisk dosfstools e2fsprogs mount)

missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == *' installed' ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

# make_root NAME OPTION…: a Debian root at $cache/NAME, whole or not there.
make_root() {
  local root=$cache/$1
  shift
  [[ -d $root ]] && return
  mkdir -p "$cache"
  rm -rf "$root.new"
  mmdebstrap --quiet "$@" bookworm "$root.new"
  mv "$root.new" "$root"
}
make_root bare --variant=minbase
make_root arm64 --variant=extract --architectures=arm64 --include=libc6,libstdc++6,libgcc-s1

# unpack NAME PACKAGE VERSION: a package at $cache/NAME, unpacked and not installed: it would start a service, now or when the machine starts again.
unpack() {
  local to=$cache/$1
  [[ -d $to ]] && return
  mkdir -p "$cache"
  rm -rf "$to.new"
  mkdir "$to.new"
  [[ $(apt-cache policy "$2") == *"Candidate: $3"* ]] || apt-get update -q
  (cd "$to.new" && apt-get download -q -o APT::Sandbox::User=root "$2" && dpkg-deb -x ./*.deb . && rm ./*.deb)
  mv "$to.new" "$to"
}
unpack etcd etcd-server 3.4
unpack prometheus prometheus 2.
# The kernel itself, whatever its version is just now: emulated machines boot it, this one does not. It is a package of another name in each
# version, which this one depends on.
image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p')
unpack kernel "${image:?no linux-image-cloud-amd64}" 6.
