#!/usr/bin/env bash
# deb_fresh.sh OUT: install the packages that deb.sh left there into a fresh Debian of this release, and use them there.
# Needs mmdebstrap and a mirror; the root is thrown away.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$1
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
	sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\(http[^ ]*\) .*/\2/p' | sed -n 1p) || true
brought=$(mktemp -d)
trap 'rm -rf "$brought"' EXIT

cp examples/hello.c packaging/deb_used.sh "$brought"
for package in libgearbox0 libgearbox-dev gearbox; do
	cp "$out/${package}"_[0-9]*.deb "$brought"
done
# shellcheck disable=SC2016 # $1 is the root: mmdebstrap's shell fills it in
if ! mmdebstrap --format=null --variant=apt --include=gcc,libc6-dev,make,cmake,pkg-config \
	--customize-hook='mkdir "$1/srv/gearbox"' --customize-hook="sync-in '$brought' /srv/gearbox" \
	--customize-hook='chroot "$1" sh -c "apt-get -q -y --no-install-recommends install /srv/gearbox/*.deb"' \
	--customize-hook='chroot "$1" sh /srv/gearbox/deb_used.sh /srv/gearbox' \
	--customize-hook='chroot "$1" sh -c "apt-get -q -y purge gearbox libgearbox-dev libgearbox0 && ! find /usr -name \"*gearbox*\" | grep ."' \
	"$suite" /dev/null ${mirror:+"$mirror"} >"$out/test.log" 2>&1 </dev/null; then
	tail -n 40 "$out/test.log" >&2
	printf 'deb: the packages do not work in a fresh %s, see %s\n' "$suite" "$out/test.log" >&2
	exit 1
fi
grep '^deb: ' "$out/test.log"
printf 'deb: installed, used and removed in a fresh %s\n' "$suite"
