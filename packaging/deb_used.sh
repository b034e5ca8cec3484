#!/bin/sh
# deb_used.sh FOLDER: in a Debian with the packages installed, a program outside the tree is built by pkg-config and by CMake,
# and each serves under three models. FOLDER has hello.c; everything else comes from the packages.
set -eu
cd "$1"

fail() {
	echo "deb: $1" >&2
	exit 1
}

server=
trap '[ -z "$server" ] || kill "$server"' EXIT

cat >CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.18)
project(outside C)
find_package(gearbox 0.1 REQUIRED)
add_executable(hello hello.c)
target_link_libraries(hello gearbox::gearbox)
add_executable(hello_static hello.c)
target_link_libraries(hello_static gearbox::static)
CMAKE
cmake -S . -B by_cmake >cmake.log
cmake --build by_cmake >>cmake.log
mkdir -p by_pkg_config
# shellcheck disable=SC2046 # flags are words
cc -o by_pkg_config/hello hello.c $(pkg-config --cflags --libs gearbox)

for program in by_pkg_config/hello by_cmake/hello by_cmake/hello_static; do
	for model in reactor thread prefork; do
		: >said
		"$program" --listen 127.0.0.1:0 --model "$model" 2>said &
		server=$!
		address=
		tries=0
		while [ -z "$address" ]; do
			kill -0 "$server" || fail "$program --model $model: $(cat said)"
			address=$(sed -n 's/.*serving hello on \([0-9.:]*\) .*/\1/p' said)
			tries=$((tries + 1))
			[ "$tries" -lt 600 ] || fail "$program --model $model is not ready"
			[ -n "$address" ] || sleep 0.1
		done
		# 3: all was answered rightly, on a machine that has others to serve.
		gearbox load "$address" --protocol line --message you --expect "hello, you" --messages 50 --connections 2 --quiet >loaded || [ $? = 3 ] ||
			fail "$program --model $model: $(cat loaded)"
		kill "$server"
		wait "$server" || fail "$program --model $model ends with $?"
		server=
		echo "deb: $program serves under $model"
	done
done
gearbox version
