#!/usr/bin/env python3
"""run_presets.py GEARBOX: serve echo under every preset in turn, check every reply, print one table.

Knows the command from outside only. For each preset that `models --json` lists it starts a server on a
free port, opens idle connections to see what memory they take, has `load` send and check messages, and
ends the server with SIGTERM. Exit code 0 only if every reply was right and every server ended in order
and left no process.
"""

import argparse
import ctypes
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import time

READY = re.compile(r"^gearbox: serving \S+ on (?P<host>\S+):(?P<port>\d+) \(model .+, pid \d+\)$")
PATIENCE_S = 30  # for what should happen at once
QUIET_S = 0.25  # without any further answer: whoever was not served by then waits for a worker
LOAD_S = 120  # for a run of the load generator, which gives up by itself long before
FIGURES_DOUBTFUL = 3  # exit code of load: all was answered, while the machine was busy, say
SHARE = 50  # messages of a connection that must make room: the first, which waited, is within the p99
WARM_UP = ("--connections", 4, "--duration", "200ms")  # what the first traffic touches is no connection's
IDLE_BEFORE = 8  # connections: what the first ones need, such as stacks that threads leave, is not the others'
IDLE_MANY = 1000  # connections: where they cost little, a page must not decide
DESCRIPTORS_APART = 128  # of a process, besides those of connections
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36


class Failure(Exception):
    """What went wrong under a preset, as one line."""


class Absent(Exception):
    """Why a preset does not work on this machine."""


# Processes


def children(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def tree(pid):
    """A process and all below it."""
    found = [pid]
    for child in children(pid):
        found += tree(child)
    return found


def pss_bytes(pids):
    """The sum of proportional set sizes."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


def cpu_ns(pids):
    """CPU time of processes, of their threads that ended and of their children that were reaped."""
    total = 0
    for pid in pids:
        try:
            # The CPU clock of another process, as clock_getcpuclockid(3) makes it: exact, unlike ticks.
            total += time.clock_gettime_ns((~pid << 3) | 2)
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
            total += (int(fields[13]) + int(fields[14])) * TICK_NS  # cutime, cstime
        except (OSError, ValueError):
            pass
    return total


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"not within {PATIENCE_S} s: {what}")
        time.sleep(0.01)


class Server:
    """`gearbox serve echo` under one model; `stop` says whether it ended as it should."""

    def __init__(self, gearbox, model):
        self.process = subprocess.Popen(
            [gearbox, "serve", "echo", "--listen", "127.0.0.1:0", "--model", model],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        try:
            if not select.select([self.process.stderr], [], [], PATIENCE_S)[0]:
                raise Failure(f"no ready line within {PATIENCE_S} s")
            line = self.process.stderr.readline().rstrip("\n")
            ready = READY.match(line)
            if not ready:
                code = self.process.wait(PATIENCE_S)
                if code == 1 and "io_uring" in line:
                    raise Absent(line)
                raise Failure(f"does not start (exit code {code}): {line}")
        except BaseException:
            self.kill()
            raise
        self.address = (ready["host"], int(ready["port"]))
        self.resting = len(tree(self.pid))  # processes without any connection

    def connect(self):
        return socket.create_connection(self.address, timeout=PATIENCE_S)

    def pids(self):
        return tree(self.pid)

    def wait_for_rest(self):
        """Until no process of a connection is left."""
        wait_until(lambda: len(self.pids()) <= self.resting, "processes of closed connections end")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            log = self.process.communicate(timeout=PATIENCE_S)[1].strip()
        except subprocess.TimeoutExpired:
            raise Failure(f"does not end within {PATIENCE_S} s of SIGTERM") from None
        if self.process.returncode != 0:
            raise Failure(f"exit code {self.process.returncode} after SIGTERM; {log or 'it said nothing'}")
        if children(os.getpid()):
            raise Failure("a process outlived its server")

    def kill(self):
        """End whatever is left, orphans included: they are this process's children now."""
        left = self.pids() if self.process.poll() is None else []
        for pid in left + [p for child in children(os.getpid()) for p in tree(child)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process.stderr.close()
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            pass


# Measuring


def exchange(clients, all_served=True):
    """Send a byte on each and take what comes. Returns how many were answered, and rightly."""
    waiting = {client.fileno(): client for client in clients}
    poller = select.poll()
    for number, client in waiting.items():
        client.sendall(b"%c" % (number % 256))
        poller.register(number, select.POLLIN)
    while waiting:
        first = len(waiting) == len(clients)
        events = poller.poll((PATIENCE_S if all_served or first else QUIET_S) * 1000)
        if not events:
            break
        for number, _ in events:
            answer = waiting.pop(number).recv(2)
            poller.unregister(number)
            if answer != b"%c" % (number % 256):
                raise Failure(f"a wrong reply: {answer!r} to {number % 256:#x}")
    return len(clients) - len(waiting)


def load(gearbox, server, *arguments):
    """Run the load generator. Returns its result; every reply was right."""
    try:
        done = subprocess.run(
            [gearbox, "load", "%s:%d" % server.address, "--json", "--quiet", *map(str, arguments)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=LOAD_S)
    except subprocess.TimeoutExpired:
        raise Failure(f"load: not done within {LOAD_S} s") from None
    if done.returncode not in (0, FIGURES_DOUBTFUL):
        raise Failure(done.stderr.strip() or f"load: exit code {done.returncode}")
    return json.loads(done.stdout)


def memory_per_connection(gearbox, server, preset, options):
    """(bytes, connections): what each idle connection takes of those that are served at the same time."""
    load(gearbox, server, *WARM_UP)
    server.wait_for_rest()
    # Few where each costs a process or a thread, and where only some are served anyway.
    all_served = not preset["one_at_a_time"]
    count = options.connections if preset["axes"]["engine"] == "blocking" else options.idle
    clients = []
    try:
        if all_served:
            clients += [server.connect() for _ in range(IDLE_BEFORE)]
            exchange(clients)
        before = pss_bytes(server.pids())
        more = []
        for _ in range(count):
            more.append(server.connect())
            clients.append(more[-1])
        served = exchange(more, all_served)
        after = pss_bytes(server.pids())
    finally:
        for client in clients:
            client.close()
    if served == 0 or (all_served and served < count):
        raise Failure(f"of {count} connections {served} were answered")
    server.wait_for_rest()
    return (after - before) / served, served


def measured_load(gearbox, server, preset, options):
    """The result of the load, with the server's CPU time per message."""
    arguments = ["--connections", options.connections, "--size", options.size,
                 "--duration", f"{int(options.seconds * 1000)}ms"]
    if preset["one_at_a_time"]:
        arguments += ["--messages-per-connection", SHARE, "--reconnect"]
    before = cpu_ns(server.pids())
    result = load(gearbox, server, *arguments)
    server.wait_for_rest()
    result["cpu_us_per_message"] = (cpu_ns(server.pids()) - before) / 1000 / result["messages"]
    return result


def measure(gearbox, preset, options, progress):
    progress("starting")
    server = Server(gearbox, preset["name"])
    try:
        progress("idle connections")
        memory, served = memory_per_connection(gearbox, server, preset, options)
        progress("load")
        row = measured_load(gearbox, server, preset, options)
        progress("ending")
        server.stop()
    finally:
        server.kill()
    row["memory_bytes_per_connection"], row["memory_connections"] = memory, served
    return row


# Telling


class Progress:
    """One line on standard error, in its place where that is a terminal."""

    def __init__(self, total):
        self.total, self.done, self.name = total, 0, ""
        self.terminal = sys.stderr.isatty()

    def next(self, name):
        self.done, self.name = self.done + 1, name
        if not self.terminal:
            self.show("")

    def show(self, what):
        print(("\r\033[K" if self.terminal else "") + f"run: {self.done} of {self.total}: {self.name} {what}".rstrip(),
              end="" if self.terminal else "\n", file=sys.stderr, flush=True)

    def __call__(self, what):
        if self.terminal:
            self.show(what)

    def clear(self):
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def duration(ns):
    if ns is None:
        return "–"  # too few messages for it, on a machine that others use
    for unit, size in (("s", 10**9), ("ms", 10**6)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns / 1000:.3g} µs"


def size_text(size):
    return f"{size / 1024:.1f} KiB" if size >= 1024 else f"{size:.0f} B"


def memory_text(row):
    size, count = row["memory_bytes_per_connection"], row["memory_connections"]
    least = PAGE / count  # nothing finer can be seen
    return size_text(size) if size >= least else f"< {size_text(least)}"


HEADINGS = ("model", "axes", "checked", "messages/s", "CPU µs/message", "p50", "p99", "memory/connection")


def cells(preset, row):
    return (preset["name"], " ".join(preset["axes"].values()), f"{row['messages']:,}",
            f"{row['messages_per_second']:,.0f}", f"{row['cpu_us_per_message']:.2f}",
            duration(row["latency_ns"]["p50"]), duration(row["latency_ns"]["p99"]),
            memory_text(row) + ("*" if preset["one_at_a_time"] else ""))


def print_table(presets, rows, options):
    table = [HEADINGS] + [cells(p, rows[p["name"]]) for p in presets if p["name"] in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEADINGS))]
    uname = os.uname()
    print(f"echo, {options.connections} connections, {options.size} bytes, one message at a time each; "
          f"{len(os.sched_getaffinity(0))} CPUs, {uname.sysname} {uname.release}\n")
    for number, line in enumerate(table):
        # Words to the left, numbers to the right.
        print("  ".join(cell.ljust(width) if i < 2 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(line, widths))).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
    print("\naxes: accept, unit, workers, engine, compute. CPU: all processes of the server. memory: proportional "
          f"set sizes with\nand without idle connections, {options.idle:,} where the engine waits for events, else "
          f"{options.connections}; the kernel's own (sockets) is apart.")
    if any(p["one_at_a_time"] for p in presets):
        print(f"* a worker serves one connection at a time: each closes after {SHARE} messages and another takes its "
              "place, so that\n  all get their turn; the first message waits for it, which p99 shows. memory: of those "
              "served at the same time.")


def read_presets(gearbox, only):
    done = subprocess.run([gearbox, "models", "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"run: {done.stderr.strip()}")
    presets = json.loads(done.stdout)["models"]
    for preset in presets:
        axes = preset["axes"]
        preset["one_at_a_time"] = axes["engine"] == "blocking" and axes["workers"] != "per-connection"
    unknown = set(only) - {preset["name"] for preset in presets}
    if unknown:
        print(f"run: no preset {', '.join(sorted(unknown))}: \"gearbox models\" lists them", file=sys.stderr)
        sys.exit(2)
    return [preset for preset in presets if not only or preset["name"] in only]


def read_options():
    parser = argparse.ArgumentParser(description="Serve echo under every preset, check every reply, print one table.")
    parser.add_argument("gearbox", help="the command")
    parser.add_argument("presets", nargs="*", help="only these")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--size", type=int, default=64, help="bytes of a message")
    parser.add_argument("--seconds", type=float, default=2, help="of load under each preset")
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    options = parser.parse_intermixed_args()
    if options.connections < 1 or options.size < 1 or options.seconds <= 0:
        parser.error("--connections, --size and --seconds must be positive")
    options.gearbox = os.path.abspath(options.gearbox)
    return options


def on_signal(number, _frame):
    sys.exit(128 + number)  # by way of the finally that ends the server


def main():
    options = read_options()
    presets = read_presets(options.gearbox, options.presets)
    # Orphans of a server become this process's children, so none is overlooked.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    options.idle = IDLE_MANY if hard == resource.RLIM_INFINITY else min(IDLE_MANY, max(hard - DESCRIPTORS_APART, 1))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    progress = Progress(len(presets))
    rows, notes, failed = {}, [], False
    for preset in presets:
        progress.next(preset["name"])
        try:
            rows[preset["name"]] = measure(options.gearbox, preset, options, progress)
        except Absent as reason:
            notes.append(f"{preset['name']}: not on this machine: {reason}")
        except (Failure, OSError) as reason:
            failed = True
            notes.append(f"{preset['name']}: FAILED: {reason}")
    progress.clear()
    print_table(presets, rows, options)
    for note in notes:
        print(note)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"presets": rows, "notes": notes}, file, indent=1)
            file.write("\n")
    checked = sum(row["messages"] for row in rows.values())
    print(f"\n{len(rows)} of {len(presets)} presets, {checked:,} messages, "
          + ("NOT all right" if failed else "every reply right"))
    sys.exit(1 if failed or not rows else 0)


if __name__ == "__main__":
    main()
