#!/usr/bin/env bash
# check_api.sh BUILD: Doxygen makes the reference of the public headers in BUILD/api without a warning, and all but fields whose
# names say it has a comment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
doxygen - <<END
$(<docs/Doxyfile)
OUTPUT_DIRECTORY = $1/api
END
# What a filter that fails leaves is no warning of Doxygen's.
grep -q gb_conn_send "$1/api/html/conn_8h.html"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
found=$(doxygen - 2>&1 <<END | grep 'is not documented' | grep -v -e 'Member .*(variable) of' -e 'Member GB__' -e 'Member GB_\(BEGIN\|END\) ' || true
$(<docs/Doxyfile)
OUTPUT_DIRECTORY = $scratch
EXTRACT_ALL = NO
GENERATE_HTML = NO
WARN_IF_UNDOCUMENTED = YES
WARN_AS_ERROR = NO
END
)
[[ -z $found ]] || {
	printf '%s\n' "$found"
	exit 1
}
