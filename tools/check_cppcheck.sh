#!/usr/bin/env bash
# check_cppcheck.sh BUILD: cppcheck over the library and the command, tests left out. BUILD keeps what it learned of
# unchanged files, so that a second run is quick. It does not know that gb_error_set returns its code;
# what comes of that (uninitialized variables) is left to the compiler and clang-tidy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p "$1/cppcheck"
exec cppcheck --quiet --error-exitcode=1 -j "$(nproc)" --cppcheck-build-dir="$1/cppcheck" \
	--std=c11 --language=c --platform=unix64 --enable=warning,performance,portability --inline-suppr \
	--suppress=missingIncludeSystem --suppress=ctunullpointer --suppress=ctuuninitvar --suppress=uninitvar \
	--suppress=uninitStructMember --suppress='*:*_test*' \
	-D__linux__ -D_GNU_SOURCE -D__GNUC__=12 -Iinclude -Isrc -I. \
	--template='{file}:{line}: {severity}: {message} [{id}]' src cli
