#!/usr/bin/python3
"""Short requests beside long ones: how long the short ones take under each model, and what a request costs.

The service `work` is asked to compute and to block. Requests are due at fixed moments and sent when they are due, however
many replies are missing; latency counts from then. All servers are up at the same time, each on one CPU, and the client on
another visits them in turn, round after round; first rounds, in which threads start and memory is taken, do not count.
A visit in which others kept the client from its CPU is repeated, twice at most. Median, p99 and longest are those of a
round, and what is told is their median over the rounds. CPU time is that of the server beyond the computing that was asked
for, divided by the requests; its median as well.
"""

import contextlib
import os
import select
import socket
import statistics
import struct
import sys
import time
from typing import NamedTuple

import measure
import subject
from server import PATIENCE_S, Failure, Server, settled_cpu_ns

PAYLOAD = bytes(range(48))  # a request of 64 bytes
PACE_US = 400  # from one short request to the next
LONG_US = 50_000
MANY, MANY_US = 16, 10_000
BLOCK_US = 2_000
LATE_US = 1_000  # a client that was further behind was kept from its CPU by others
VISITS = 3
POOL = "compute-workers=8"


class Request(NamedTuple):
    due_us: int
    connection: int
    compute_us: int = 0
    block_us: int = 0
    short: bool = True


class Situation(NamedTuple):
    name: str
    text: str
    requests: object  # of the number of short ones

    def connections(self, count):
        return 1 + max(one.connection for one in self.requests(count))


def paced(count, connection, **what):
    return [Request((i + 1) * PACE_US, connection(i), **what) for i in range(count)]


SITUATIONS = [
    Situation("alone", "nothing long beside the short ones", lambda count: paced(count, lambda i: i)),
    Situation("computes", "one computes for 50 ms; the short ones on connections of their own",
              lambda count: [Request(0, 0, LONG_US, 0, False), *paced(count, lambda i: 1 + i)]),
    Situation("pipelined", "one computes for 50 ms; the short ones behind it on its connection",
              lambda count: [Request(0, 0, LONG_US, 0, False), *paced(count, lambda i: 0)]),
    Situation("blocks", "one blocks for 50 ms; the short ones, on connections of their own, block for 2 ms",
              lambda count: [Request(0, 0, 0, LONG_US, False), *paced(count, lambda i: 1 + i, block_us=BLOCK_US)]),
    Situation("full", "sixteen compute for 10 ms; the short ones, on connections of their own, block for 2 ms",
              lambda count: [*(Request(0, i, MANY_US, 0, False) for i in range(MANY)),
                             *paced(count, lambda i: MANY + i, block_us=BLOCK_US)]),
]


class Row(NamedTuple):
    name: str
    service: str
    model: str  # {all}: a worker for each connection


ROWS = [
    Row("inline, one reactor", "work", "reactor"),
    Row("inline, 4 reactors", "work", "multi-reactor,workers=4"),
    Row("inline, 4 processes", "work", "prefork-reactor,workers=4"),
    Row("straight-line", "work-sequential", "reactor-pool," + POOL),
    Row("pool, replies in order", "work-deferred", "reactor-pool," + POOL),
    Row("pool, unordered", "work", "reactor-pool," + POOL),
    Row("pool, priorities", "work-routed", "reactor-pool," + POOL),
    Row("compute processes", "work", "reactor,compute=processes," + POOL),
    Row("the same, priorities", "work-routed", "reactor,compute=processes," + POOL),
    Row("thread a connection", "work", "thread"),
    Row("thread pool", "work", "thread-pool,workers={all}"),
    Row("prefork", "work", "prefork,workers={all}"),
]


class Clients:
    """Connections to one server, each of which has been answered once."""

    def __init__(self, server, count):
        self.server = server
        self.poll = select.epoll()
        self.sockets, self.input = [], {}
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets.append(client)
            self.input[client.fileno()] = (client, bytearray())
            self.poll.register(client.fileno(), select.EPOLLIN)
        self.drive([Request(0, i) for i in range(count)])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.poll.close()
        for client in self.sockets:
            client.close()

    def replies(self, timeout):
        """The ids of those that have come."""
        ready = self.poll.poll(timeout)
        if timeout and not ready:
            raise Failure(f"{self.server.name} does not answer")
        for number, _ in ready:
            client, got = self.input[number]
            piece = client.recv(65536)
            if not piece:
                raise Failure(f"{self.server.name} closed a connection")
            got += piece
            while len(got) >= 4 and len(got) >= (end := 4 + int.from_bytes(got[:4], "big")):
                if got[8:end] != PAYLOAD:
                    raise Failure(f"{self.server.name} answered with other bytes")
                yield int.from_bytes(got[4:8], "big")
                del got[:end]

    def drive(self, requests):
        """Send each when it is due. Returns, in seconds after that, ({its number: when it was answered}, [when each was
        sent])."""
        frames = [struct.pack(">IIII", 12 + len(PAYLOAD), i, one.compute_us, one.block_us) + PAYLOAD
                  for i, one in enumerate(requests)]
        took, late = {}, []
        begin = time.perf_counter()
        while len(took) < len(requests):
            while len(late) < len(requests):
                one = requests[len(late)]
                behind = time.perf_counter() - begin - one.due_us / 1e6
                if behind < 0:
                    break
                self.sockets[one.connection].sendall(frames[len(late)])
                late.append(behind)
            # Does not sleep while something is due.
            for i in self.replies(PATIENCE_S if len(late) == len(requests) else 0):
                if i >= len(late) or i in took:
                    raise Failure(f"{self.server.name} answered request {i}, which was not open")
                took[i] = time.perf_counter() - begin - requests[i].due_us / 1e6
        return took, late


def visit(server, situation, count):
    requests = situation.requests(count)
    with Clients(server, situation.connections(count)) as clients:
        before = settled_cpu_ns(server.pid)
        took, late = clients.drive(requests)
        used = settled_cpu_ns(server.pid) - before
    server.check_alive()
    beyond = used / 1000 - sum(one.compute_us for one in requests)
    return {"short_us": [took[i] * 1e6 for i, one in enumerate(requests) if one.short],
            "long_us": [took[i] * 1e6 for i, one in enumerate(requests) if not one.short],
            "cpu_us_per_request": beyond / len(requests), "late_us": [one * 1e6 for one in late]}


def undisturbed(server, situation, count):
    """A visit in which the client was never late, or the least late of some."""
    visits = []
    while len(visits) < VISITS and not (visits and max(visits[-1]["late_us"]) <= LATE_US):
        visits.append(visit(server, situation, count))
    return min(visits, key=lambda one: max(one["late_us"]))


def percentile(values, part):
    """The value that this part of them does not exceed."""
    return sorted(values)[max(0, -int(-len(values) * part // 1) - 1)]


FIGURES = {
    "median_us": lambda visit: statistics.median(visit["short_us"]),
    "p99_us": lambda visit: percentile(visit["short_us"], 0.99),
    "longest_us": lambda visit: max(visit["short_us"]),
    "cpu_us": lambda visit: visit["cpu_us_per_request"],
}


def tell(situation, visits, report):
    report.say(f"\n{situation.name}: {situation.text}")
    report.say(f"  {'':<24} {'median':>10} {'p99':>10} {'longest':>10}   {'CPU a request':>13}")
    found = {}
    for name, rounds in visits.items():
        one = {what: statistics.median(of_round(visit) for visit in rounds) for what, of_round in FIGURES.items()}
        times = " ".join(f"{one[what] / 1000:>7.2f} ms" for what in ("median_us", "p99_us", "longest_us"))
        report.say(f"  {name:<24} {times}   {one['cpu_us']:>10.1f} µs")
        found[name] = {**one, "rounds": rounds}
    return found


def rounds_of(servers, situations, options):
    """{situation: {row: [a visit a round]}}; what the limit cuts off is whole rounds."""
    visits = {one.name: {name: [] for name in servers} for one in situations}
    names, end = list(servers), time.monotonic() + options.limit
    for number, order in enumerate(measure.rounds(names, 1 + options.rounds)):
        if number > 1 and time.monotonic() + (time.monotonic() - began) > end:
            measure.say(f"mixed: {options.limit:g} s are over after {number - 1} rounds")
            break
        began = time.monotonic()
        for situation in situations:
            for name in order:
                if number:
                    visits[situation.name][name].append(undisturbed(servers[name], situation, options.requests))
                else:
                    visit(servers[name], situation, options.requests)
        measure.say(f"mixed: round {number} of {options.rounds}" if number else "mixed: a first round")
    return visits


def count(options, report):
    rows = subject.chosen(ROWS, options.subject, "subject")
    situations = subject.chosen(SITUATIONS, options.situation, "situation")
    workers = max(one.connections(options.requests) for one in situations)
    load_average = os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        servers = {row.name: stack.enter_context(subject.start(
            row.name, ["{build}/gearbox", "serve", row.service, *subject.LISTEN, "--model",
                       row.model.replace("{all}", str(workers))], options.build, cpus={options.cpus[0]})) for row in rows}
        os.sched_setaffinity(0, {options.cpus[1]})
        visits = rounds_of(servers, situations, options)
    done = [one for of_situation in visits.values() for rounds in of_situation.values() for one in rounds]
    late = percentile([value for one in done for value in one["late_us"]], 0.99)
    number = len(next(iter(next(iter(visits.values())).values())))
    report.say(f"{number} rounds, {options.requests} short requests of 64 B each, one every {PACE_US} µs; servers on CPU "
               f"{options.cpus[0]}, client on CPU {options.cpus[1]}, load average {load_average:.1f} when it began; "
               f"99 % were sent at most {late:.0f} µs late")
    for row in rows:
        report.say(f"  {row.name:<24} {row.service} under {row.model.replace('{all}', str(workers))}")
    return {"situations": {one.name: tell(one, visits[one.name], report) for one in situations}}


def main():
    parser = subject.command_line("mixed", __doc__, "build-bench")
    parser.add_argument("--rounds", type=int, default=6, help="(default 6)")
    parser.add_argument("--requests", type=int, default=100, help="short ones a round (default 100)")
    parser.add_argument("--limit", type=float, default=90, help="seconds, after which no round begins (default 90)")
    parser.add_argument("--cpus", default="0,1", metavar="S,L", help="for the servers, for the client (default 0,1)")
    subject.add_choice(parser, "subject", ROWS)
    subject.add_choice(parser, "situation", SITUATIONS)
    options = parser.parse_args()
    options.seconds = 1  # no part of a round is cut by time
    subject.check_rounds(parser, options)
    if options.requests < 1:
        parser.error("--requests must be above 0")
    return subject.run(options, count)


if __name__ == "__main__":
    sys.exit(main())
