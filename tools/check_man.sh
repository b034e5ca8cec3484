#!/usr/bin/env bash
# check_man.sh BUILD: mandoc finds nothing in the manual pages of a build folder. They refer to one another, which it takes
# for missing as long as they are not installed.
set -euo pipefail
cd "$1/docs/man"
found=$(mandoc -Tlint -Wstyle ./*.[13] | while read -r line; do
	if [[ $line =~ referenced\ manual\ not\ found:\ Xr\ ([a-z_-]+)\ ([13])$ && -f ${BASH_REMATCH[1]}.${BASH_REMATCH[2]} ]]; then
		continue
	fi
	printf '%s\n' "$line"
done)
[[ -z $found ]] || {
	printf '%s\n' "$found"
	exit 1
}
