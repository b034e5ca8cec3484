#!/usr/bin/env python3
"""check_seam.py BUILD: engines, loops, connections and models reach the kernel through tables only.

Looks at what their compiled objects ask the C library for. Only os, the pollers and the rings may call
the kernel, so that the simulated one can take its place (ARCHITECTURE.md).
"""

import json
import os
import re
import subprocess
import sys

import tree

FOLDERS = ("src/buffer/", "src/codec/", "src/engine/", "src/loop/", "src/net/", "src/model/")
BACKENDS = ("src/engine/poller/", "src/engine/ring/")

KERNEL = re.compile(r"""^(?:
    accept4? | bind | close | connect | dup[23]? | eventfd\w* | epoll_\w+ | fcntl(?:64)? | fork | vfork |
    getpeername | getsockname | getsockopt | io_uring_\w+ | ioctl | kill | listen | open(?:at)?(?:64)? | pidfd_\w+ |
    p?poll | pipe2? | prctl | p?read[v2]*(?:64)? | recv\w* | p?select | send\w* | setsockopt | shutdown |
    signalfd | sleep | nanosleep | usleep | clock_\w+ | gettimeofday | time |
    socket | socketpair | splice | syscall | timerfd_\w+ | unlink | wait(?:pid|id|3|4)? | p?write[v2]*(?:64)?
    )$""", re.X)


def objects(build):
    """(source, object) of the library's sources that the seam holds for."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        for entry in json.load(file):
            source = os.path.relpath(os.path.join(entry["directory"], entry["file"]), tree.ROOT)
            if source.startswith(FOLDERS) and not source.startswith(BACKENDS) and "_test" not in source:
                yield source, os.path.join(entry["directory"], entry["output"])


def problems(build):
    for source, path in objects(build):
        if not os.path.exists(path):
            yield f"{source}: is not built"
            continue
        # gcc-nm reads objects of a link-time-optimized build too
        output = subprocess.run(["gcc-nm", "--undefined-only", "--format=posix", path],
                                check=True, capture_output=True, text=True).stdout
        for line in output.splitlines():
            name = line.split()[0].split("@")[0]
            if KERNEL.match(name):
                yield f"{source}: calls {name}: that belongs into os, a poller or a ring"


tree.finish(list(problems(sys.argv[1])))
