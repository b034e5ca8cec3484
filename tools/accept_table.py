#!/usr/bin/env python3
"""accept_table.py GEARBOX: what each way of accepting costs in wake-ups, and how it spreads connections.

Serves echo under each way with 8 workers and opens 100 connections, once 3 ms apart and once all at once, each
from an address of its own. Two numbers tell of wake-ups: how often a wait returned to the loop, which the
command counts (`--summary`), and how often the kernel woke a thread, which /proc counts: one that finds nothing
goes back to sleep inside its wait, and the loop never hears of it. What the same server does in the same time
without connections is taken off. Exit code 0 only if every connection was accepted under every way.
"""

import argparse
import contextlib
import functools
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

import pages

READY = re.compile(r"^gearbox: serving \S+ on (?P<host>\S+):(?P<port>\d+) \(model .+, pid \d+\)$")
PATIENCE_S = 20  # for what should happen at once
SETTLE_S = 0.2  # until all has been taken that came at once, and all ends have been seen
END_GAP_S = 0.003  # between the ends of connections that were held
SOURCES = 250  # addresses of clients, 127.0.1.1 and up
PAGE, MARK = "docs/accepting.md", "accepting"

# What the workers do, and the model that does it; {n} is their number.
WAYS = (
    ("one worker, blocking", "iterative"),
    ("one worker, epoll", "reactor"),
    ("one worker, io_uring", "proactor"),
    ("shared, blocking, wake=all", "prethread,workers={n},wake=all"),
    ("shared, blocking, wake=exclusive", "prethread,workers={n},wake=exclusive"),
    ("shared, blocking, wake=lock", "prethread,workers={n},wake=lock"),
    ("shared, poll", "reactor,workers={n},engine=poll"),
    ("shared, poll, wake=lock", "reactor,workers={n},engine=poll,wake=lock"),
    ("shared, epoll, wake=all", "reactor,workers={n},wake=all"),
    ("shared, epoll, wake=exclusive", "reactor,workers={n},wake=exclusive"),
    ("shared, epoll, wake=lock", "reactor,workers={n},wake=lock"),
    ("shared, io_uring", "proactor,workers={n}"),
    ("shared, io_uring, wake=lock", "proactor,workers={n},wake=lock"),
    ("reuseport, epoll", "multi-reactor-reuseport,workers={n}"),
    ("reuseport, io_uring", "multi-proactor-reuseport,workers={n}"),
    ("acceptor, place=round-robin", "multi-reactor,workers={n},place=round-robin"),
    ("acceptor, place=least-connections", "multi-reactor,workers={n},place=least-connections"),
    ("acceptor, place=random", "multi-reactor,workers={n},place=random"),
    ("acceptor, place=hash", "multi-reactor,workers={n},place=hash"),
    ("acceptor, processes, round-robin", "process-pool-reactor,workers={n}"),
    ("acceptor, processes that pull", "process-pool,workers={n}"),
    ("acceptor, threads that pull", "thread-pool,workers={n}"),
    ("acceptor, a process each", "fork"),
    ("acceptor, a thread each", "thread"),
)


class Failure(Exception):
    """What went wrong under a model, as one line."""


class Absent(Exception):
    """Why a model does not work on this machine."""


def voluntary_switches(pid):
    """How often threads of a process and of all below it went to sleep: (of the first thread, of all others)."""
    first, others = 0, 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
                count = next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches:"))
            if int(task) == pid:
                first += count
            else:
                others += count
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                others += sum(sum(voluntary_switches(int(child))) for child in file.read().split())
    return first, others


class Server:
    """`gearbox serve echo` under one model."""

    def __init__(self, gearbox, spec):
        self.process = subprocess.Popen(
            [gearbox, "serve", "echo", "--listen", "127.0.0.1:0", "--summary", "--model", spec],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if not select.select([self.process.stderr], [], [], PATIENCE_S)[0]:
                raise Failure(f"no ready line within {PATIENCE_S} s")
            line = self.process.stderr.readline().rstrip("\n")
            ready = READY.match(line)
            if not ready:
                code = self.process.wait(PATIENCE_S)
                raise (Absent if code == 1 and "io_uring" in line else Failure)(line)
        except BaseException:
            self.kill()
            raise
        self.address = (ready["host"], int(ready["port"]))

    def switches(self):
        return voluntary_switches(self.process.pid)

    def summary(self):
        """End it in order; what it counted."""
        self.process.send_signal(signal.SIGTERM)
        output, log = self.process.communicate(timeout=PATIENCE_S)
        if self.process.returncode != 0:
            raise Failure(f"exit code {self.process.returncode}: {log.strip()}")
        return json.loads(output)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()  # its workers follow
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


class Clock:
    """Steps of equal length from now on, without drift."""

    def __init__(self, step_s):
        self.step_s, self.next = step_s, time.monotonic()

    def tick(self):
        self.next += self.step_s
        time.sleep(max(0, self.next - time.monotonic()))


def new_client(number):
    """A socket that is ready to connect, from an address of its own."""
    client = socket.socket()
    client.settimeout(PATIENCE_S)
    client.bind((f"127.0.1.{1 + number % SOURCES}", 0))
    return client


def visit(server, count, gap_s, hold, on_taken):
    """`count` connections come and go; with no server only the time passes.

    They come `gap_s` apart, or at once. Where workers serve many, or there is one for each, all stay until the last has come, and then
    end one by one. Else each ends before the next comes, or, when they come at once, as soon as all are there.
    """
    clients = [new_client(i) for i in range(count)]
    try:
        clock = Clock(gap_s / 2)
        for client in clients:
            if server:
                client.connect(server.address)
            clock.tick()
            if gap_s and not hold:
                client.close()
            clock.tick()
        if not hold:
            for client in clients:
                client.close()
        time.sleep(SETTLE_S)
        on_taken()
        clock = Clock(END_GAP_S)
        for client in clients if hold else ():
            client.close()
            clock.tick()
    finally:
        for client in clients:
            client.close()
    time.sleep(SETTLE_S)


class Round:
    """One server's life: what it counted while connections came, or while none did (`count` of 0 visits)."""

    def __init__(self, gearbox, spec, options, gap_s, visited):
        server, taken, axes = Server(gearbox, spec), [], axes_of(gearbox, spec)
        per_connection = axes["workers"] == "per-connection"
        try:
            hold = axes["engine"] != "blocking" or per_connection
            before = server.switches()
            visit(server if visited else None, options.connections, gap_s, hold,
                  lambda: taken.append(server.switches()))
            # Where a worker ends with its connection, its switches are seen only as long as it lives.
            after = server.switches() if gap_s and not per_connection else taken[0]
            self.summary = server.summary()
        finally:
            server.kill()
        if visited and self.summary["accepted"] != options.connections:
            raise Failure(f"{self.summary['accepted']} of {options.connections} connections were accepted")
        workers, chief = self.summary["workers"], self.summary["main"] or {"waits": 0}
        self.returned = chief["waits"], sum(worker["waits"] for worker in workers)
        self.woken = after[0] - before[0], after[1] - before[1]
        if self.summary["main"] is None:  # the main thread is the worker
            self.woken = 0, self.woken[0]
        self.spread = sorted((worker["accepted"] for worker in workers if worker["accepted"] or not per_connection),
                             reverse=True)
        self.imbalance = self.summary["imbalance"]


def difference(visited, idle, connections):
    """Per connection, of the acceptor and of the workers."""
    return [(a - b) / connections for a, b in zip(visited, idle)]


def measure(gearbox, spec, options, gap_s):
    """The round with the median of wake-ups, less what an idle server does."""
    idle = Round(gearbox, spec, options, gap_s, False)
    rounds = sorted((Round(gearbox, spec, options, gap_s, True) for _ in range(options.rounds)),
                    key=lambda one: sum(one.woken))
    chosen = rounds[len(rounds) // 2]
    woken = difference(chosen.woken, idle.woken, options.connections)
    returned = difference(chosen.returned, idle.returned, options.connections)
    # Waits are those of a whole life: there, a worker that ends with its connection wakes the acceptor as well.
    per_connection = axes_of(gearbox, spec)["workers"] == "per-connection"
    if gap_s and not per_connection:
        # Each connection's end woke its worker once: that is no part of accepting.
        woken[1] -= 1
        returned[1] -= 1
    return {"woken": woken, "returned": returned if gap_s and not per_connection else None, "spread": chosen.spread,
            "imbalance": chosen.imbalance}


@functools.lru_cache(None)
def presets(gearbox):
    done = subprocess.run([gearbox, "models", "--json"], capture_output=True, text=True, check=True)
    return {row["name"]: row["axes"] for row in json.loads(done.stdout)["models"]}


def axes_of(gearbox, spec):
    """The axes of a preset with overrides."""
    name, *overrides = spec.split(",")
    return {**presets(gearbox)[name], **dict(pair.split("=") for pair in overrides)}


# Telling

NONE = "–"


def number(value):
    return f"{value:.1f}" if abs(value) >= 0.05 else "0"


def spread_text(counts):
    """Sorted counts, those that repeat as `count ×n`."""
    found = []
    for count in sorted(set(counts), reverse=True):
        times = counts.count(count)
        found.append(f"{count} ×{times}" if times > 2 else " ".join([str(count)] * times))
    return " ".join(found)


def pair_text(acceptor_and_workers, row):
    """A main thread that only supervises is no acceptor: what it wakes for is starting and ending."""
    acceptor, workers = map(number, acceptor_and_workers)
    return [acceptor if row["acceptor"] else NONE, workers]


def cells(row, which):
    result = row[which]
    waits = pair_text(result["returned"], row) if result["returned"] else [NONE, NONE]
    return [row["way"], *pair_text(result["woken"], row), *(waits if which == "apart" else []),
            spread_text(result["spread"]), f"{result['imbalance']:.2f}" if result["imbalance"] else NONE]


def tables(rows, options):
    apart = [["way", "acceptor woken", "workers woken", "acceptor's waits", "workers' waits",
              "connections of each worker", "most / mean"], *(cells(row, "apart") for row in rows)]
    once = [["way", "acceptor woken", "workers woken", "connections of each worker", "most / mean"],
            *(cells(row, "at_once") for row in rows)]
    specs = [["way", "model"], *([row["way"], f"`--model {row['model']}`"] for row in rows)]
    return (f"{options.machine}. {options.workers} workers, {options.connections} connections; each row the median "
            f"of {options.rounds} rounds, less an idle one; wake-ups per connection.\n\n"
            f"Connections {options.gap_ms:g} ms apart:\n\n{pages.table(apart, 1)}\n\n"
            f"All at once:\n\n{pages.table(once, 1)}\n\n"
            f"The models of the rows:\n\n{pages.table(specs, 2)}")


def read_options():
    parser = argparse.ArgumentParser(description="What each way of accepting costs, and how it spreads connections.")
    parser.add_argument("gearbox", help="the command")
    parser.add_argument("ways", nargs="*", help="only those whose words contain one of these")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--gap-ms", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE}")
    parser.add_argument("--force", action="store_true", help="--write although the machine is busy")
    options = parser.parse_intermixed_args()
    if options.workers < 2 or options.connections < 1 or options.gap_ms <= 0 or options.rounds < 1:
        parser.error("two workers, one connection, one round and a gap at least")
    if options.write:
        pages.need_rest(options.force)
    options.gearbox = os.path.abspath(options.gearbox)
    options.machine = pages.machine()
    return options


def main():
    options = read_options()
    signal.signal(signal.SIGTERM, lambda signal_number, _: sys.exit(128 + signal_number))
    rows, failed = [], False
    for way, model in WAYS:
        if options.ways and not any(word in way for word in options.ways):
            continue
        spec = model.format(n=options.workers)
        print(f"accept_table: {way}", file=sys.stderr, flush=True)
        try:
            rows.append({"way": way, "model": spec,
                         "acceptor": axes_of(options.gearbox, spec)["accept"] == "acceptor",
                         "apart": measure(options.gearbox, spec, options, options.gap_ms / 1000),
                         "at_once": measure(options.gearbox, spec, options, 0)})
        except Absent as reason:
            print(f"accept_table: {way}: not on this machine: {reason}", file=sys.stderr)
        except (Failure, OSError) as reason:
            failed = True
            print(f"accept_table: {way}: FAILED: {reason}", file=sys.stderr)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": options.machine, "rows": rows}, file, indent=1)
            file.write("\n")
    if failed or not rows:
        sys.exit(1)
    if options.write:
        pages.write(PAGE, MARK, tables(rows, options))
    else:
        print(tables(rows, options))


if __name__ == "__main__":
    main()
