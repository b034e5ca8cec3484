#!/usr/bin/env bash
# deb.sh OUT: build the Debian packages from a copy of what git would take of this tree, and have lintian look at them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$1
copy=$out/gearbox

rm -rf "$out"
mkdir -p "$copy"
git ls-files -z --cached --others --exclude-standard |
	tar --null --files-from=- --ignore-failed-read --create 2>/dev/null | tar --extract -C "$copy"
cp -r "$copy/packaging/debian" "$copy/debian"
rm "$copy/debian/README.md" "$copy/debian/control.in"

# What is built with is what ./dev says; a package that builds has the first two anyway.
# shellcheck disable=SC2016 # ./dev's variable
mapfile -t needed < <(bash -c 'source ./dev && printf "%s\n" "${packages_build[@]}"' | grep -vx -e gcc -e libc6-dev)
fill() {
	printf ' %s,\n' "$@"
}
while IFS= read -r line; do
	case $line in
	@BUILD@) fill "${needed[@]}" ;;
	@LIBRARIES@) mapfile -t libraries < <(printf '%s\n' "${needed[@]}" | grep -e '-dev$') && fill "${libraries[@]}" ;;
	*) printf '%s\n' "$line" ;;
	esac
done <packaging/debian/control.in >"$copy/debian/control"

log=$out/build.log
# What a developer's shell says of compilers is not the package's; the date is the changelog's.
if ! (cd "$copy" && env -u CC -u CFLAGS -u LDFLAGS DEB_BUILD_OPTIONS="parallel=$(nproc)" dpkg-buildpackage -b -us -uc) >"$log" 2>&1 </dev/null; then
	tail -n 40 "$log" >&2
	printf 'deb: dpkg-buildpackage failed, see %s\n' "$log" >&2
	exit 1
fi
rm -rf "$copy"
# As root lintian wants to be told that this is meant.
lintian --allow-root --fail-on error --display-info "$out"/*.changes | tee "$out/lintian.log"
ls "$out"/*.deb
