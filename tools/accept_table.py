#!/usr/bin/env python3
"""accept_table.py GEARBOX: what each way of accepting costs in wake-ups, and how it spreads connections.

Serves echo under each way with 8 workers and opens 100 connections, once 3 ms apart and once all at once, each
from an address of its own. The numbers come from the command itself (`--summary`) and, for what the kernel
woke, from /proc. Prints a table; `--write FILE` puts it between the markers of a page instead. Exit code 0
only if every connection was accepted under every way.
"""

import argparse
import contextlib
import json
import os
import re
import select
import signal
import socket
import statistics
import subprocess
import sys
import time

import pages

READY = re.compile(r"^gearbox: serving \S+ on (?P<host>\S+):(?P<port>\d+) \(model .+, pid \d+\)$")
PATIENCE_S = 20  # for what should happen at once
SETTLE_S = 0.2  # until all has been taken that was sent at once
SOURCES = 250  # addresses of clients, 127.0.1.1 and up
MARK = "accepting"

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
    ("shared, io_uring, one-shot accepts", "proactor,workers={n}"),
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

    def connect(self, number):
        return socket.create_connection(self.address, timeout=PATIENCE_S,
                                        source_address=(f"127.0.1.{1 + number % SOURCES}", 0))

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


def visit(server, count, gap_s, hold):
    """`count` connections come and go, one end at a time. Held ones stay until all have come."""
    clients, clock = [], Clock(gap_s / 2)
    try:
        for number in range(count):
            if server:
                clients.append(server.connect(number))
            if gap_s:
                clock.tick()
            if server and gap_s and not hold:
                clients.pop().close()
            if gap_s:
                clock.tick()
        time.sleep(SETTLE_S if hold or not gap_s else 0)
        clock = Clock(0.003 if hold else 0)
        for _ in range(count if hold or not gap_s else 0):
            if server:
                clients.pop(0).close()
            clock.tick()
    finally:
        for client in clients:
            client.close()
    time.sleep(SETTLE_S)


class Round:
    """One server's life: what it counted while connections came, or while none did."""

    def __init__(self, gearbox, spec, count, gap_s, visited):
        server = Server(gearbox, spec)
        try:
            hold = "engine=blocking" not in model_of(gearbox, spec)
            before = server.switches()
            visit(server if visited else None, count, gap_s, hold)
            after = server.switches()
            self.summary = server.summary()
        finally:
            server.kill()
        if visited and self.summary["accepted"] != count:
            raise Failure(f"{self.summary['accepted']} of {count} connections were accepted")
        self.alone = self.summary["main"] is None
        main = self.summary["main"] or {"waits": 0}
        self.waits = main["waits"], sum(worker["waits"] for worker in self.summary["workers"])
        first, others = after[0] - before[0], after[1] - before[1]
        self.switches = (0, first) if self.alone else (first, others)
        self.spread = [worker["accepted"] for worker in self.summary["workers"]]


def model_of(gearbox, spec):
    """The axes of a spec that begins with a preset, as `models --json` has them."""
    global _models
    if not _models:
        done = subprocess.run([gearbox, "models", "--json"], capture_output=True, text=True, check=True)
        _models = {row["name"]: row["spec"] for row in json.loads(done.stdout)["models"]}
    name, *overrides = spec.split(",")
    axes = dict(pair.split("=") for pair in _models[name].split(","))
    axes.update(pair.split("=") for pair in overrides)
    return ",".join(f"{key}={value}" for key, value in axes.items())


_models = {}
