# shellcheck shell=bash
# Of ./dev, which sources it: the library built by other compilers, with other C libraries, for other machines.

packages_aarch64=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)
packages_musl=(musl-tools linux-libc-dev)
packages_s390x=(gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user)
packages_clang=(clang)

# What has assembly of its own, by test.
tests_machine=(os-receive coro-stack coro-context coro-coro coro-overflow coro-context-ucontext coro-coro-ucontext)

# run_aarch64 [NAME…]: what is written for each machine, by the cross compiler, under qemu-user.
run_aarch64() {
	local warnings=false
	if ! install_packages "${packages_aarch64[@]}" || ! command -v aarch64-linux-gnu-gcc >/dev/null ||
		! command -v qemu-aarch64 >/dev/null; then
		say "aarch64: skipped (needs ${packages_aarch64[*]})"
		return 0
	fi
	[[ $(aarch64-linux-gnu-gcc -dumpfullversion) != 12.* ]] || warnings=true
	if ! (unset CC CFLAGS && set_up build-aarch64 --cross-file tools/aarch64.ini -Dparts=machine -Dwerror="$warnings"); then
		say "build-aarch64: cannot be configured"
		fail "build-aarch64: cannot be configured"
		return 0
	fi
	(($#)) || set -- "${tests_machine[@]}"
	run_tests build-aarch64 "$@"
}

# How each kind of ./dev portable is configured, besides its cross file.
portable_options=(-Dparts=library --buildtype=debugoptimized -Doptimization=1 -Db_lto=false)

# What qemu-user is no machine for. It has a thread of its own, beside which no process is forked that serves, and lacks
# process_vm_readv, some options of sockets, and what files are waited for by: what servers do there the smoke test shows.
NOT_EMULATED='^(model-|file-|os-socket-option)'

# tests_listed FOLDER [MESON OPTION…]: their names.
tests_listed() {
	meson test -C "$@" --list 2>/dev/null | sed -n 's/.* \/ //p'
}

# cross_file KIND: the cross file of a kind. musl-gcc sees the kernel's headers alone by links in the build folder.
cross_file() {
	local kernel=build-musl/kernel
	[[ $1 == musl ]] || {
		echo "tools/$1.ini"
		return
	}
	mkdir -p "$kernel"
	ln -sfn /usr/include/linux "$kernel/linux"
	ln -sfn /usr/include/asm-generic "$kernel/asm-generic"
	ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$kernel/asm"
	sed "s|@KERNEL@|$PWD/$kernel|" tools/musl.ini >build-musl/musl.ini
	echo build-musl/musl.ini
}

# run_portable clang|musl|aarch64|s390x [NAME…]
run_portable() {
	local kind=$1 folder=build-$1 compiler packages tests=()
	shift
	case $kind in
	clang) compiler=clang packages=("${packages_clang[@]}") ;;
	musl) compiler=musl-gcc packages=("${packages_musl[@]}") ;;
	aarch64) compiler=aarch64-linux-gnu-gcc packages=("${packages_aarch64[@]}") folder=build-aarch64-library ;;
	s390x) compiler=s390x-linux-gnu-gcc packages=("${packages_s390x[@]}") ;;
	esac
	if ! install_packages "${packages[@]}" || ! command -v "$compiler" >/dev/null; then
		say "portable $kind: skipped (needs $compiler)"
		return 0
	fi
	if [[ $kind == clang ]]; then
		CC=clang configure "$folder" --buildtype=debugoptimized -Doptimization=1 -Db_lto=false -Dwerror=true
	else
		(unset CC CFLAGS && set_up "$folder" --cross-file "$(cross_file "$kind")" "${portable_options[@]}")
	fi || {
		say "$folder: cannot be configured"
		fail "$folder: cannot be configured"
		return 0
	}
	if (($#)); then
		tests=("$@")
	elif [[ $kind == clang ]]; then
		mapfile -t tests < <(tests_listed "$folder" --suite unit)
	elif [[ $kind != musl ]]; then
		mapfile -t tests < <(tests_listed "$folder" | grep -Ev "$NOT_EMULATED")
	fi
	run_tests "$folder" "${tests[@]}"
}
