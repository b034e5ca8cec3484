#!/usr/bin/env python3
"""check_seam.py BUILD: engines, loops, connections and models reach the kernel through tables only.

Looks at what their compiled objects ask the C library for. Only os, the pollers and the rings may call
the kernel, so that the simulated one can take its place (ARCHITECTURE.md). What runs on the simulated kernel
may not go past it by a function of os either, but for those below.
"""

import json
import os
import re
import subprocess
import sys

import tree

FOLDERS = ("src/buffer/", "src/codec/", "src/engine/", "src/loop/", "src/net/", "src/stream/", "src/model/")
BACKENDS = ("src/engine/poller/", "src/engine/ring/")

# What tests run on the simulated kernel: of os it calls the table, and what is no kernel's.
SIMULATED = ("src/buffer/", "src/codec/", "src/engine/", "src/loop/", "src/net/", "src/stream/")
HARMLESS = re.compile(r"""^gb__(?:
    os_\w+ |                          # of the table: they ask whether it is simulated
    address_(?:equal|format|unmapped) |  # texts and bytes
    process_self |                    # who made an engine, after a fork
    receive\w* |                      # the blocking engine's, which the rig leaves out
    thread_cpu_ns |                   # what a measured message took
    socket_peer_process | descriptor_open  # not asked where it is simulated
    )$""", re.X)

KERNEL = re.compile(r"""^(?:
    accept4? | bind | close | connect | dup[23]? | eventfd\w* | epoll_\w+ | fcntl(?:64)? | fork | vfork |
    getpeername | getsockname | getsockopt | io_uring_\w+ | ioctl | kill | listen | open(?:at)?(?:64)? | pidfd_\w+ |
    p?poll | pipe2? | prctl | p?read[v2]*(?:64)? | recv\w* | p?select | send\w* | setsockopt | shutdown |
    signalfd | sleep | nanosleep | usleep | clock_\w+ | gettimeofday | time |
    socket | socketpair | splice | syscall | timerfd_\w+ | unlink | wait(?:pid|id|3|4)? | p?write[v2]*(?:64)?
    )$""", re.X)


def objects(build, folders):
    """(source, object) of the library's sources in these folders, backends apart."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        for entry in json.load(file):
            source = os.path.relpath(os.path.join(entry["directory"], entry["file"]), tree.ROOT)
            if source.startswith(folders) and not source.startswith(BACKENDS) and "_test" not in source:
                yield source, os.path.join(entry["directory"], entry["output"])


def names(path, which):
    # gcc-nm reads objects of a link-time-optimized build too
    output = subprocess.run(["gcc-nm", which, "--format=posix", path], check=True, capture_output=True, text=True).stdout
    return [line.split()[0].split("@")[0] for line in output.splitlines()]


def problems(build):
    of_os = {name for _, path in objects(build, ("src/os/",)) for name in names(path, "--defined-only")}
    for source, path in objects(build, FOLDERS):
        if not os.path.exists(path):
            yield f"{source}: is not built"
            continue
        for name in names(path, "--undefined-only"):
            if KERNEL.match(name):
                yield f"{source}: calls {name}: that belongs into os, a poller or a ring"
            elif source.startswith(SIMULATED) and name in of_os and not HARMLESS.match(name):
                yield f"{source}: calls {name}: past the table of os, so that the simulated kernel is not asked"


tree.finish(list(problems(sys.argv[1])))
