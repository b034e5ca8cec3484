#!/usr/bin/python3
"""Hold very many connections, each of which echoed once, and say what they take.

A process model serves them, then as many raw_epoll loops as there are worker processes: no process may have more
descriptors than the system allows one. Clients are processes as well, from loopback addresses of their own. At
the end every connection must be there and a part of them echoes again.

On the way there, at a tenth, a fifth and a half of them, and at the end, a part of the connections echoes again, one
after the other in each client: what a message costs then, in CPU time of the servers.

Memory: what the servers' processes have for themselves, and by how much the kernel's memory for sockets and
descriptors grew. The latter is of the whole machine and of both ends; half of it is taken as the servers'.
"""

import contextlib
import math
import os
import resource
import socket
import sys
import time

import plot
import subject
from holder import DESCRIPTORS_APART, Holder
from measure import say
from server import settled, settled_cpu_ns, settled_memory

MODEL = "prefork-reuseport"
SEQUENTIAL = "straight-line handlers"  # under that model
STEPS = 10  # in which the connections are made, each with a line of progress
LOOKS = (1, 2, 5, 10)  # steps behind which it is measured
CHECK_PART = 20  # every so many-th connection echoes again then
SHARE = 0.9  # of its descriptors that a process is to use: where the kernel spreads, no worker gets just its part
STEP_S = 1800  # a step, until it counts as stuck
ADDRESSES = 64  # of a client process: see idle_clients.c
# For the check beforehand: the kernel's memory for a connection's two ends (10,000 bytes on Linux 6.18), and room.
KERNEL_BYTES = 10500
APART_BYTES = 1 << 30
SETTLE_S, SETTLED_BYTES = 60, 1 << 20
KERNEL_LINES = ("Slab", "KernelStack", "PageTables", "VmallocUsed", "Percpu")


def number_of(path, place=0):
    with open(path, encoding="ascii") as file:
        return int(file.read().split()[place])


def meminfo():
    """/proc/meminfo in bytes."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in file if line.endswith("kB\n")}


def kernel_memory():
    now = meminfo()
    return sum(now[name] for name in KERNEL_LINES)


def settled_kernel_memory():
    """The same once it stands nearly still: what the kernel frees, it frees later."""
    return settled(kernel_memory, 1, SETTLE_S, SETTLED_BYTES)


def tracks_connections():
    """Whether the firewall keeps a table that loopback connections are in."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        try:
            return number_of("/proc/sys/net/netfilter/nf_conntrack_count") > 0
        except FileNotFoundError:
            return False


class Plan:
    """How many processes it takes."""

    def __init__(self, connections, processes):
        _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.connections = connections
        self.limit = limit
        share = int((limit - DESCRIPTORS_APART) * SHARE)
        self.processes = processes or max(2, math.ceil(connections / share))
        self.each = math.ceil(connections / self.processes)

    def share(self, index, part=1.0):
        """How many of that part of the connections are the process's with this index."""
        connections = int(self.connections * part)
        return connections * (index + 1) // self.processes - connections * index // self.processes

    def missing(self):
        """What this machine lacks for it: sentences."""
        free_files = number_of("/proc/sys/fs/file-max") - number_of("/proc/sys/fs/file-nr")
        needed_files = 2 * self.connections + 200 * self.processes
        if self.each + DESCRIPTORS_APART > self.limit:
            yield (f"{self.each:,} connections a process need as many descriptors, and it may have {self.limit:,} "
                   "(ulimit -Hn, fs.nr_open): raise it, or more --processes")
        if needed_files > free_files:
            yield f"{needed_files:,} descriptors in all, {free_files:,} are left: raise fs.file-max"
        if number_of("/proc/sys/net/core/somaxconn") < self.processes:
            yield f"net.core.somaxconn must be at least {self.processes}"
        low, high = (number_of("/proc/sys/net/ipv4/ip_local_port_range", place) for place in (0, 1))
        if (high - low) * ADDRESSES < self.each:
            yield f"net.ipv4.ip_local_port_range has too few ports for {self.each // ADDRESSES:,} from an address"
        if tracks_connections():
            tracked = number_of("/proc/sys/net/netfilter/nf_conntrack_max")
            if tracked < self.connections:
                yield f"net.netfilter.nf_conntrack_max is {tracked:,}: raise it, or do not track loopback"
        available, needed = meminfo()["MemAvailable"], self.connections * KERNEL_BYTES + APART_BYTES
        if needed > available:
            yield f"about {needed >> 20:,} MiB of memory, {available >> 20:,} MiB are available"


def command(name, plan):
    """So many processes that share one port, over which the kernel spreads."""
    if name == SEQUENTIAL:
        return subject.sequential(f"{MODEL},workers={plan.processes}", more=("--idle-timeout", "0"))
    if name == "raw_epoll":
        return [*subject.raw(name), "--loops", str(plan.processes)]
    return subject.model(f"{name},workers={plan.processes}", "--idle-timeout", "0")


def all_do(clients, word, numbers):
    for client, number in zip(clients, numbers):
        client.ask(word, number)
    for client in clients:
        client.answered(STEP_S)


def look(clients, server, kernel_before):
    """What all that are held take, and what a message costs among them."""
    memory = settled_memory(server.pid)
    kernel = settled_kernel_memory() - kernel_before
    before = settled_cpu_ns(server.pid)
    all_do(clients, "check", [CHECK_PART] * len(clients))
    used = settled_cpu_ns(server.pid) - before
    echoed = sum(math.ceil(client.held / CHECK_PART) for client in clients)
    return {"connections": sum(client.held for client in clients), "bytes": memory, "kernel_bytes_both_ends": kernel,
            "bytes_with_kernel": memory + kernel / 2, "cpu_us_per_message": used / 1000 / echoed}


def hold(name, plan, build):
    """The whole of one subject: what it took."""
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(subject.start(name, command(name, plan), build))
        clients = [stack.enter_context(Holder(build, server.port, number + 1)) for number in range(plan.processes)]
        all_do(clients, "hold", [0] * plan.processes)  # they have their memory
        before = settled_memory(server.pid)
        kernel_before = settled_kernel_memory()
        growth = []
        for step in range(1, STEPS + 1):
            all_do(clients, "hold", [plan.share(index, step / STEPS) for index in range(plan.processes)])
            say(f"{name}: {sum(client.held for client in clients):,} held, each answered, "
                f"after {time.monotonic() - began:.0f} s")
            if step in LOOKS:
                growth.append(look(clients, server, kernel_before))
        last = growth[-1]
        if last["connections"] != plan.connections:
            raise subject.Failure(f"{name}: {last['connections']:,} connections instead of {plan.connections:,}")
        say(f"{name}: none lost, every {CHECK_PART}th answered again")
        server.check_alive()
    return {**last, "bytes_before": before, "growth": growth}


def print_results(report, plan, results):
    report.say(f"\n{plan.connections:,} connections held, each answered; none lost; {plan.processes} processes\n")
    report.say(f"  {'':<24} {'servers':>10} {'a connection':>13} {'kernel':>10} {'a connection':>13} {'both':>10}")
    for name, one in results.items():
        kernel = one["kernel_bytes_both_ends"] / 2
        report.say(f"  {name:<24} {one['bytes'] / 2**20:>6,.1f} MiB {one['bytes'] / plan.connections:>11,.0f} B "
                   f"{kernel / 2**20:>6,.0f} MiB {kernel / plan.connections:>11,.0f} B "
                   f"{one['bytes_with_kernel'] / 2**20:>6,.0f} MiB")
    if len(results) == 2:
        ours, raw = results.values()
        report.say(f"\n  memory of the servers, the kernel's included: "
                   f"{ours['bytes_with_kernel'] / raw['bytes_with_kernel']:.3f} of what raw loops need")
    report.say(f"\n  {'':<12} {'bytes a connection, the kernel' + chr(39) + 's included':>{22 * len(results)}} "
               f"{'CPU µs a message':>{22 * len(results)}}")
    report.say(f"  {'connections':>12} " + " ".join(f"{name:>21}" for name in [*results, *results]))
    for looks in zip(*(one["growth"] for one in results.values())):
        report.say(f"  {looks[0]['connections']:>12,} "
                   + " ".join(f"{one['bytes_with_kernel'] / one['connections']:>21,.0f}" for one in looks) + " "
                   + " ".join(f"{one['cpu_us_per_message']:>21.1f}" for one in looks))


def draw(path, results):
    """What print_results says of growth, beside the page."""
    for name, text, value in (("cpu", "CPU µs per message", lambda one: one["cpu_us_per_message"]),
                              ("memory", "bytes per connection, the kernel's included",
                               lambda one: one["bytes_with_kernel"] / one["connections"])):
        lines = {subject_name: [(one["connections"], *[value(one)] * 3) for one in taken["growth"]]
                 for subject_name, taken in results.items()}
        ticks = {one["connections"]: f"{one['connections']:,}" for one in next(iter(results.values()))["growth"]}
        folder = os.path.splitext(path)[0]
        os.makedirs(folder, exist_ok=True)
        plot.draw(plot.Plot("connections on many processes", text, lines, ticks, False),
                  os.path.join(folder, f"idle-{name}.svg"))


def count(options, report):
    plan = options.plan
    first = SEQUENTIAL if options.sequential else options.model
    names = [first] if options.no_raw else [first, "raw_epoll"]
    results = {name: hold(name, plan, options.build) for name in names}
    print_results(report, plan, results)
    if options.report:
        draw(options.report, results)
    return {"processes": plan.processes, "subjects": results}


def main():
    parser = subject.command_line("idle", __doc__, "build")
    parser.add_argument("--connections", type=int, default=100_000, metavar="N")
    parser.add_argument("--processes", type=int, metavar="N", help="workers, and clients (default: what it takes)")
    parser.add_argument("--model", default=MODEL, help=f"a model with worker processes (default {MODEL})")
    parser.add_argument("--sequential", action="store_true", help=f"straight-line handlers under {MODEL}")
    parser.add_argument("--no-raw", action="store_true", help="without the raw loops")
    options = parser.parse_args()
    if options.connections < 1 or (options.processes or 1) < 1:
        parser.error("--connections and --processes must be above 0")
    options.plan = Plan(options.connections, options.processes)
    missing = list(options.plan.missing())
    for sentence in missing:
        say(f"bench: {options.connections:,} connections: {sentence}")
    return 2 if missing else subject.run(options, count)


if __name__ == "__main__":
    sys.exit(main())
