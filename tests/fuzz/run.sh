#!/usr/bin/env bash
# run.sh CODEC [--seconds N]: the codec's fuzzer under clang's libFuzzer with the address and undefined sanitizers,
# N seconds (60). What it learns is kept in build-fuzz/CODEC/learnt; an input that fails, beside that.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

die() {
	printf 'fuzz: %s\n' "$1" >&2
	exit "${2:-1}"
}

codec=${1-} seconds=60
[[ $codec =~ ^[a-z]+$ && -f tests/fuzz/${codec}_fuzz.c ]] ||
	die "no fuzzer '$codec': $(cd tests/fuzz && echo ./*_fuzz.c | sed 's/_fuzz\.c//g; s,\./,,g')" 2
shift
if (($#)); then
	[[ $# == 2 && $1 == --seconds && $2 =~ ^[1-9][0-9]{0,5}$ ]] || die "after the codec comes --seconds N or nothing" 2
	seconds=$2
fi

folder=build-fuzz/$codec
mkdir -p "$folder/learnt"
sources=(tests/fuzz/fuzz.c "src/codec/$codec.c")
libraries=()
case $codec in # no codecs: they have bodies of their own
proxy) sources=(src/net/proxy_header.c src/net/proxy_write.c) ;;
records)
	sources=(src/tls/{pool,problem,records,records_test_driver,traffic}.c)
	libraries=(-Itests/harness -lssl -lcrypto)
	;;
esac
mapfile -t base < <(find src/base -name '*.c' ! -name '*_test.c' | sort)
"${CLANG:-clang}" -std=gnu17 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all \
	-fsanitize=fuzzer,address,undefined -Iinclude -Isrc -o "$folder/fuzz" \
	"tests/fuzz/${codec}_fuzz.c" "${sources[@]}" "${base[@]}" "${libraries[@]}"

marker=$folder/began
: >"$marker"
status=0
"$folder/fuzz" -max_total_time="$seconds" -max_len=512 -timeout=10 -print_final_stats=1 -verbosity=0 \
	-artifact_prefix="$folder/" "$folder/learnt" "tests/fuzz/corpus/$codec" || status=$?
if ((status)); then
	find "$folder" -maxdepth 1 -type f -newer "$marker" -name '*-*' -printf 'fuzz: failed on %p\n'
	printf 'fuzz: %s FILE tries it again; mended, it belongs in tests/fuzz/corpus/%s\n' "$folder/fuzz" "$codec"
	exit 1
fi
printf 'fuzz: %s: nothing found in %s s\n' "$codec" "$seconds"
