#!/usr/bin/python3
"""Every preset beside the same model as one would write it by hand: CPU time per message and per short connection,
memory per connection, as ratios.

A preset, its yardstick and its yardstick once more are up at the same time, on one CPU, and the load on another
visits them in turn, round after round. What counts is the median over the rounds of the ratio within a round; that
of the yardstick to itself ("noise") says what a ratio means on this machine just now.

Memory is a slope: what the processes have for themselves (Pss) with more connections, less what they have with fewer,
by the connections between. Where workers are a fixed number there are as many as connections, so that a worker's own
memory is in it.

Presets whose handlers run on a pool of threads have no yardstick here and are left out.
"""

import contextlib
import os
import sys
from typing import NamedTuple

import holder
import measure
import memory
import subject
from results import spread
from server import Server, settled_memory

WORKERS = 64  # of a fixed number: more than connections under load, so that none waits for another's end
CONNECTIONS = 50
LOOPS = 2


class Pair(NamedTuple):
    name: str  # the preset
    spec: str
    yardstick: list
    connections: int = CONNECTIONS  # under load
    held: tuple = memory.EVENT  # fewer and more, whose memory is compared; empty: it is always one
    each_a_worker: bool = False  # there is a worker for each of them


def blocking(name, *arguments, **more):
    return Pair(name, name, ["{build}/bench/raw_blocking", name, *arguments], **more)


def pool(name):
    """{workers} at a time."""
    return Pair(name, name + ",workers={workers}", ["{build}/bench/raw_blocking", name, "{workers}"],
                held=(16, 64), each_a_worker=True)


def event(name, yardstick, loops=1):
    return Pair(name, name if loops == 1 else f"{name},workers={loops}",
                [f"{{build}}/bench/{yardstick}", *([] if loops == 1 else ["--loops", str(loops)])])


PAIRS = [
    blocking("iterative", connections=1, held=()),
    blocking("thread", held=(100, 800)),
    blocking("fork", held=memory.PROCESS),
    pool("prethread"),
    pool("thread-pool"),
    pool("prefork"),
    pool("process-pool"),
    event("reactor", "raw_epoll"),
    event("multi-reactor", "raw_epoll", LOOPS),
    event("multi-reactor-reuseport", "raw_epoll", LOOPS),
    event("prefork-reactor", "raw_epoll", LOOPS),
    event("prefork-reuseport", "raw_epoll", LOOPS),
    event("process-pool-reactor", "raw_epoll", LOOPS),
    event("proactor", "raw_uring"),
    event("multi-proactor", "raw_uring", LOOPS),
    event("multi-proactor-reuseport", "raw_uring", LOOPS),
]
LOADS = [("message", []), ("connection", ["--once"])]
HEADING = (f"  {'':<26}{'a message, CPU':^31}{'a connection of one message, CPU':^36}{'a connection, memory':^26}",
           f"  {'preset':<24}" + f" {'by hand':>10} {'ratio':>8} {'noise':>9} " * 2 + f"  {'by hand':>10} {'ratio':>8}")


def commands(pair, build, workers=WORKERS):
    """(the yardstick's, the preset's)"""
    places = {"build": build, "workers": workers}
    return ([part.format(**places) for part in pair.yardstick],
            [part.format(**places) for part in subject.model(pair.spec)])


def rounds_of(pair, arguments, options):
    """{"by hand", "again", "preset": [CPU µs a message, by round]}"""
    by_hand, preset = commands(pair, options.build)
    server_cpu, load_cpu = options.cpus
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(Server(f"{pair.name}, {name}", command, {server_cpu}))
                   for name, command in (("by hand", by_hand), ("again", by_hand), ("preset", preset))}
        load = ["--connections", str(pair.connections), *arguments]
        visits = measure.interleaved(pair.name, list(servers), options.rounds,
                                     lambda name: measure.visit(servers[name], load, {load_cpu}, options))
    return {name: [visit["cpu_us_per_message"] for visit in of_one] for name, of_one in visits.items()}


def cpu(pair, arguments, options):
    """What one load says of a pair."""
    taken = rounds_of(pair, arguments, options)
    found = {"rounds": taken, "by_hand_us": spread(taken["by hand"])[0]}
    for name, key in (("preset", "ratio"), ("again", "noise")):
        found[key], found[key + "_lower"], found[key + "_upper"] = spread(
            [one / base for one, base in zip(taken[name], taken["by hand"])])
    return found


def held_with(name, command, build, connections):
    """Memory of a server that holds so many."""
    with subject.start(name, command, build) as server, holder.Holder(build, server.port) as clients:
        clients.do("hold", connections)
        return settled_memory(server.pid)


def held(pair, options):
    """Bytes of a connection, or None: (by hand, the preset's)."""
    if not pair.held:
        return None
    fewer, more = pair.held
    if not pair.each_a_worker:
        return [memory.slope(pair.name, command, options.build, pair.held, lambda pid: [settled_memory(pid)])[0]
                for command in commands(pair, options.build)]
    sizes = [[held_with(pair.name, command, options.build, count)
              for command in commands(pair, options.build, count)] for count in pair.held]
    return [(late - early) / (more - fewer) for early, late in zip(*sizes)]


def row(name, found):
    text = f"  {name:<24}"
    for load, _ in LOADS:
        one = found[load]
        text += f" {one['by_hand_us']:>7.2f} µs {one['ratio']:>8.3f} {one['noise']:>9.3f} "
    if not found["memory"]:
        return text + f"  {'–':>10} {'–':>8}"
    by_hand, preset = found["memory"]
    ratio = f"{preset / by_hand:>8.2f}" if by_hand >= 1024 else f"{preset - by_hand:>+6.0f} B"
    return text + f"  {by_hand / 1024:>6.1f} KiB {ratio}"


def count(options, report):
    with_ring = subject.io_uring_works(options.build)
    found = {}
    report.say(f"{options.rounds} rounds of {options.seconds} s, server on CPU {options.cpus[0]}, load on CPU "
               f"{options.cpus[1]}, load average {os.getloadavg()[0]:.1f} when it began\n")
    for line in HEADING:
        report.say(line.rstrip())
    for pair in subject.chosen(PAIRS, options.preset, "preset"):
        if not with_ring and "proactor" in pair.name:
            continue
        found[pair.name] = {load: cpu(pair, arguments, options) for load, arguments in LOADS}
        found[pair.name]["memory"] = held(pair, options)
        report.say(row(pair.name, found[pair.name]))
    return {"presets": found}


def main():
    parser = subject.command_line("models", __doc__, "build-bench")
    subject.add_rounds(parser)
    subject.add_choice(parser, "preset", PAIRS)
    options = parser.parse_args()
    subject.check_rounds(parser, options)
    options.spin = False
    return subject.run(options, count)


if __name__ == "__main__":
    sys.exit(main())
