#!/usr/bin/env bash
# Each header compiles alone, and twice: public ones as C17 and C++17, internal ones as GNU C17.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# check_header HEADER: prints what is wrong; fails when anything is.
check_header() {
	local header=$1 name unit own status=0
	case $header in
	include/*)
		name="<${header#include/}>"
		unit=$(printf '#include %s\n#include %s\nint unit;\n' "$name" "$name")
		gcc -std=c17 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c - <<<"$unit" || status=1
		g++ -std=c++17 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c++ - <<<"$unit" || status=1
		;;
	*)
		own=()
		# shellcheck disable=SC2207 # flags are words
		[[ $header != src/announce/*dbus.h ]] || own=($(pkg-config --cflags dbus-1))
		[[ $header != cli/* ]] || own=(-Icli)
		unit=$(printf '#include "%s"\n#include "%s"\nint unit;\n' "$header" "$header")
		gcc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-function -Iinclude -Isrc -I. \
			-Itests/harness "${own[@]}" -fsyntax-only -x c - <<<"$unit" || status=1
		;;
	esac
	((status == 0)) || printf '%s: does not compile alone\n' "$header"
	return "$status"
}

if (($#)); then
	status=0
	for header in "$@"; do
		check_header "$header" || status=1
	done
	exit "$status"
fi
find include src cli sim tests bench examples -name '*.h' -print0 | sort -z |
	xargs -0 -r -n 8 -P "$(nproc)" tools/check_headers.sh
