#!/usr/bin/python3
"""Echo by straight-line handlers, beside the callback style and beside other libraries' coroutines and threads of
their own: CPU time a message and memory of an idle connection.

All servers are up at the same time, each on one CPU, and the load on another visits them in turn, round after round.
What counts is the median over the rounds of the ratio to gearbox's handler within a round; that of the callback style
under the same engine to itself ("again") says what a ratio means on this machine just now.

Memory is a slope: what a process has for itself (Pss) with more idle connections that were answered once, less what it
has with fewer, by the connections between. GNU Pth waits by select, so it has few.
"""

import contextlib
import os
import sys
from typing import NamedTuple

import measure
import memory
import subject
from results import spread
from server import Server, settled_memory

HELD, HELD_FEW = (1000, 6000), (100, 900)


class Row(NamedTuple):
    name: str
    command: list
    base: str = "reactor, straight"  # what its CPU time is divided by
    held: tuple = HELD


def straight(name):
    return ["{build}/bench/straight/straight_" + name]


ROWS = [
    Row("reactor, straight", subject.sequential("reactor")),
    Row("reactor, callbacks", subject.model("reactor")),
    Row("reactor, callbacks again", subject.model("reactor"), "reactor, callbacks"),
    Row("proactor, straight", subject.sequential("proactor"), "proactor, callbacks"),
    Row("proactor, callbacks", subject.model("proactor")),
    Row("Asio, coroutines", straight("asio")),
    Row("Boost.Fiber", straight("fiber")),
    Row("GNU Pth", straight("pth"), held=HELD_FEW),
    Row("Go", straight("go")),
]


def cpu(rows, options):
    """{name: [a visit by round]}"""
    server_cpu, load_cpu = options.cpus
    with contextlib.ExitStack() as stack:
        servers = {row.name: stack.enter_context(Server(
            row.name, [part.format(build=options.build) for part in row.command], {server_cpu})) for row in rows}
        load = ["--connections", str(options.connections), "--depth", str(options.depth)]
        return measure.interleaved("sequential", list(servers), options.rounds,
                                   lambda name: measure.visit(servers[name], load, {load_cpu}, options))


def ratios(visits, name, base):
    return spread([one["cpu_us_per_message"] / other["cpu_us_per_message"]
                   for one, other in zip(visits[name], visits[base])])


def count(options, report):
    rows = subject.chosen(ROWS, options.subject, "subject")
    if not subject.io_uring_works(options.build):
        rows = [row for row in rows if "proactor" not in row.name]
    report.say(f"{options.rounds} rounds of {options.seconds} s, {options.connections} connections, 64 B, server on CPU "
               f"{options.cpus[0]}, load on CPU {options.cpus[1]}, load average {os.getloadavg()[0]:.1f} when it began\n")
    visits = cpu(rows, options)
    report.say(f"  {'':<26} {'CPU, a message':>15} {'ratio':>7}  {'quartiles':<15}  {'to':<20} {'idle connection':>16}")
    found = {}
    for row in rows:
        base = row.base if row.base in visits else row.name
        middle, lower, upper = ratios(visits, row.name, base)
        used = spread([one["cpu_us_per_message"] for one in visits[row.name]])[0]
        held, = memory.slope(row.name, row.command, options.build, row.held, lambda pid: [settled_memory(pid)])
        found[row.name] = {"cpu_us": used, "ratio": middle, "ratio_lower": lower, "ratio_upper": upper, "to": base,
                           "bytes": held, "rounds": visits[row.name]}
        report.say(f"  {row.name:<26} {used:>12.2f} µs {middle:>7.3f}  {lower:.3f} – {upper:.3f}    {base:<20} "
                   f"{held:>14,.0f} B")
    return {"subjects": found}


def main():
    parser = subject.command_line("sequential", __doc__, "build-bench")
    subject.add_rounds(parser)
    parser.add_argument("--connections", type=int, default=50, help="under load (default 50)")
    parser.add_argument("--depth", type=int, default=1, help="messages in flight on each (default 1)")
    subject.add_choice(parser, "subject", ROWS)
    options = parser.parse_args()
    subject.check_rounds(parser, options)
    if options.connections < 1 or options.depth < 1:
        parser.error("--connections and --depth must be above 0")
    options.spin = False
    return subject.run(options, count)


if __name__ == "__main__":
    sys.exit(main())
