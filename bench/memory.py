#!/usr/bin/python3
"""User-space memory per idle connection: what a server has for many connections that echoed once and went
silent, less what it has for fewer, divided by the connections between.

Two figures, from two runs: the pages that its processes have for themselves (Pss of what is no file's), which is
what the machine loses, and the bytes it holds from malloc, counted exactly by a preloaded library. The kernel's
memory for sockets is not in them, since it is the same for all; see bench/idle.py.
"""

import os
import struct
import sys
import tempfile

import holder
import subject
from server import settled_memory

# Name, command, connections of which there are fewer and more: eight times as many, so that a table that doubles
# is as full for the more as for the fewer.
EVENT, SCAN, PROCESS = (2000, 16000), (250, 2000), (50, 400)
SUBJECTS = [
    ("raw_epoll", subject.raw("raw_epoll"), EVENT),
    ("raw_uring", subject.raw("raw_uring"), EVENT),
    ("reactor", subject.model("reactor"), EVENT),
    ("reactor, poll", subject.model("reactor,engine=poll"), SCAN),
    ("reactor, lines", subject.line_echo("reactor"), EVENT),
    ("reactor, straight", subject.sequential("reactor"), EVENT),
    ("reactor-pool", subject.model("reactor-pool"), EVENT),
    ("multi-reactor", subject.model("multi-reactor"), EVENT),
    ("prefork-reuseport", subject.model("prefork-reuseport"), EVENT),
    ("process-pool-reactor", subject.model("process-pool-reactor"), EVENT),
    ("proactor", subject.model("proactor"), EVENT),
    ("proactor, straight", subject.sequential("proactor"), EVENT),
    ("multi-proactor", subject.model("multi-proactor"), EVENT),
    ("thread", subject.model("thread"), SCAN),
    ("fork", subject.model("fork"), PROCESS),
]
HEAP_LAYOUT = struct.Struct("=QQ")  # allocations, live bytes: struct counts of heap_count.c


class Heap:
    """What a server's processes have taken from malloc."""

    def __init__(self, build):
        self.file = tempfile.NamedTemporaryFile(prefix="gearbox-heap-")
        self.file.write(bytes(HEAP_LAYOUT.size))
        self.file.flush()
        self.environment = {"LD_PRELOAD": os.path.join(build, "bench/heap_count.so"),
                            "GEARBOX_HEAP_COUNT": self.file.name}

    def read(self):
        """(allocations since the start, live bytes)"""
        self.file.seek(0)
        return HEAP_LAYOUT.unpack(self.file.read(HEAP_LAYOUT.size))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.file.close()


def slope(name, command, build, counts, read, environment=None):
    """By how much each part of what `read(pid)` returns grows with a connection."""
    fewer, more = counts
    with subject.start(name, command, build, environment=environment) as server, \
            holder.Holder(build, server.port) as clients:
        try:
            clients.do("hold", fewer)
            before = read(server.pid)
            clients.do("hold", more)
            after = read(server.pid)
            clients.do("check", 1)
        except subject.Failure as failure:
            raise subject.Failure(f"{name}: {failure}") from failure
        server.check_alive()
    return [(late - early) / (more - fewer) for early, late in zip(before, after)]


def measure(name, command, build, counts):
    def read_heap(pid):
        settled_memory(pid)
        return heap.read()

    pages, = slope(name, command, build, counts, lambda pid: [settled_memory(pid)])
    with Heap(build) as heap:
        allocations, heap_bytes = slope(name, command, build, counts, read_heap, heap.environment)
    return {"bytes": pages, "heap_bytes": heap_bytes, "allocations": allocations,
            "connections_fewer": counts[0], "connections_more": counts[1]}


def count(options, report):
    results = {}
    report.say(f"\n  {'per idle connection':<22} {'bytes':>9} {'of malloc':>10} {'allocations':>12}   connections")
    for name, command, counts in subject.chosen(SUBJECTS, options.subject, "subject"):
        one = results[name] = measure(name, command, options.build, counts)
        report.say(f"  {name:<22} {one['bytes']:>9,.0f} {one['heap_bytes']:>10,.1f} {one['allocations']:>12.3f}"
                   f"   {counts[0]:,} to {counts[1]:,}")
    return {"subjects": results}


def main():
    parser = subject.command_line("memory", __doc__, "build")
    subject.add_choice(parser, "subject", SUBJECTS)
    return subject.run(parser.parse_args(), count)


if __name__ == "__main__":
    sys.exit(main())
