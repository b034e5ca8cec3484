#!/usr/bin/env python3
"""What is installed is all that a program outside needs: by pkg-config and by CMake, in C and C++, shared and static."""

import atexit
import concurrent.futures
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

from lib import Failure, case, check, check_equal, main
from program import Program

BUILD = os.environ["BUILD"]
EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"
MODELS = ["reactor", "thread", "prefork"]
CMAKE = """cmake_minimum_required(VERSION 3.18)
project(outside C)
find_package(gearbox 0.1 REQUIRED)
file(GLOB sources *.c)
find_package(PkgConfig REQUIRED)
pkg_check_modules(uv IMPORTED_TARGET libuv)
foreach(source ${sources})
  get_filename_component(name ${source} NAME_WE)
  if(name STREQUAL embed_uv AND NOT uv_FOUND)
    continue()
  endif()
  if(name STREQUAL handler) # the command has the library's functions
    add_library(${name} MODULE ${source})
    set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX "")
    target_include_directories(${name} PRIVATE $<TARGET_PROPERTY:gearbox::gearbox,INTERFACE_INCLUDE_DIRECTORIES>)
    continue()
  endif()
  add_executable(${name} ${source})
  target_link_libraries(${name} gearbox::gearbox)
  if(name STREQUAL embed_uv)
    target_link_libraries(${name} PkgConfig::uv)
  endif()
endforeach()
add_executable(static hello.c)
target_link_libraries(static gearbox::static)
"""


def called(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    check_equal(done.returncode, 0, f"exit code of {' '.join(map(str, command))} ({done.stdout}{done.stderr})")
    return done.stdout


class Installed:
    """A copy of the build, installed somewhere and then moved: nothing in it may name the place."""

    def __init__(self, root):
        called("meson", "install", "-C", BUILD, "--no-rebuild", "--tags", "runtime,devel", "--destdir", root / "made")
        prefix = next(path.parent.parent for path in root.glob("made/**/bin/gearbox"))
        self.prefix = root / "moved"
        prefix.rename(self.prefix)
        self.libraries = next(self.prefix.glob("lib/**/libgearbox.a")).parent
        self.work = root / "work"
        self.work.mkdir()
        self.examples = sorted(EXAMPLES.glob("*.c"))
        for example in self.examples:
            shutil.copy(example, self.work)
        self.environment = os.environ | {"PKG_CONFIG_PATH": str(self.libraries / "pkgconfig"),
                                         "LD_LIBRARY_PATH": str(self.libraries),
                                         "CMAKE_PREFIX_PATH": str(self.prefix)}

    def call(self, *command):
        return called(*command, cwd=self.work, env=self.environment)

    def flags(self, *options, packages=("gearbox",)):
        return self.call("pkg-config", *options, *packages).split()

    def has(self, package):
        return subprocess.run(["pkg-config", "--exists", package], check=False).returncode == 0


@functools.cache
def installed_once():
    """One for all cases: none of them changes it."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Installed(pathlib.Path(folder.name))


def check_greets(installed, program):
    os.environ["LD_LIBRARY_PATH"] = str(installed.libraries)
    try:
        for model in MODELS:
            with Program(str(program), "--listen", "127.0.0.1:0", "--model", model) as server:
                client, replies = server.connect()
                with client, replies:
                    client.sendall(b"you\n")
                    check_equal(replies.readline(), b"hello, you\n", f"{program.name}, {model}")
    finally:
        del os.environ["LD_LIBRARY_PATH"]


@case
def examples_are_built_by_pkg_config():
    installed = installed_once()

    def build(source):
        if source.stem == "handler":
            installed.call("cc", "-shared", "-fPIC", "-o", source.stem, source.name, *installed.flags("--cflags"))
            return
        packages = ("gearbox", "libuv") if source.stem == "embed_uv" else ("gearbox",)
        if installed.has(packages[-1]) or len(packages) == 1:
            installed.call("cc", "-o", source.stem, source.name, *installed.flags("--cflags", "--libs", packages=packages))
            check("libgearbox.so.0" in installed.call("readelf", "-d", source.stem), f"{source.stem} does not ask for libgearbox.so.0")

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(build, installed.examples))
    check_greets(installed, installed.work / "hello")
    check("greeting" in installed.call(installed.prefix / "bin/gearbox", "help", "serve", "./handler"), "the object is not served")
    # Nothing that is loaded when it is needed is one of them: libdbus-1 would bring libsystemd's archive.
    wanted = " ".join(installed.flags("--static", "--libs"))
    check("dbus" not in wanted and "systemd" not in wanted, f"linked statically it wants {wanted}")
    # The archive of ours, and what it needs as usual: --static would want archives of all that those need.
    needs = [line.split()[0] for line in installed.call("pkg-config", "--print-requires-private", "gearbox").splitlines()]
    static = [flag.replace("-lgearbox", "-l:libgearbox.a") for flag in installed.flags("--cflags", "--libs")]
    static += [*installed.flags("--libs", packages=needs), "-lm"]
    installed.call("cc", "-o", "static", "hello.c", *static)
    check("libgearbox" not in installed.call("readelf", "-d", "static"), "the static one asks for the library")
    check_greets(installed, installed.work / "static")


@case
def examples_are_built_by_cmake():
    installed = installed_once()
    (installed.work / "CMakeLists.txt").write_text(CMAKE)
    installed.call("cmake", "-S", ".", "-B", "out")
    installed.call("cmake", "--build", "out", "--parallel", "2")
    built = {path.name for path in (installed.work / "out").iterdir()}
    missing = {example.stem for example in installed.examples} - built - (set() if installed.has("libuv") else {"embed_uv"})
    check(not missing, f"not built: {missing}")
    for kind in ("hello", "static"):
        check_greets(installed, installed.work / "out" / kind)


@case
def cmake_refuses_another_version():
    installed = installed_once()
    (installed.work / "CMakeLists.txt").write_text(CMAKE.replace("gearbox 0.1", "gearbox 0.2"))
    try:
        installed.call("cmake", "-S", ".", "-B", "refused")
    except Failure as refused:
        check("0.1.0" in str(refused), f"the version is not named: {refused}")
    else:
        raise Failure("0.2 was found")


@case
def headers_are_c23_and_cpp17():
    installed = installed_once()
    text = "#include <gearbox/gearbox.h>\nint main(void) { return !gb_version()[0]; }\n"
    (installed.work / "any.c").write_text(text)
    strict = ["-pedantic-errors", "-Wall", "-Wextra", "-Werror", *installed.flags("--cflags", "--libs")]
    installed.call("cc", "-std=c2x", "any.c", "-o", "c23", *strict)
    installed.call("c++", "-std=c++17", "-x", "c++", "any.c", "-o", "cpp17", *strict)
    for program in ("c23", "cpp17"):
        installed.call(installed.work / program)


if __name__ == "__main__":
    main()
