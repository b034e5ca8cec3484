#!/usr/bin/python3
"""`gearbox load` beside generators that others wrote, on the same servers: wrk on nginx, redis-benchmark on Redis; and its
open loop against a server that stalls, beside what arithmetic gives.

Server and client have a CPU each, where there are two. Rounds are interleaved, and medians compared: throughput and p50 may
differ by 5 %. A generator that needs its CPU whole may have measured itself: what differs then is said, and not counted. On
Redis a pipeline of 16 leaves each of them more time. Exit code 1 if any differs by more, or if nothing counts of nginx or of Redis.
"""

import argparse
import csv
import itertools
import os
import re
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time
from typing import NamedTuple

import subject
from foreign import Foreign, program
from measure import say
from server import Failure

MAY_DIFFER = 0.05
CONNECTIONS = 50
SATURATED = 0.8  # of a CPU, over a round with its start and end
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


NGINX = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log /dev/null;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; root {folder}; }} }}
"""

REDIS = """
port {port}
bind 127.0.0.1
save ""
appendonly no
dir {folder}
"""


def cpu(number):
    cpus = sorted(os.sched_getaffinity(os.getpid()))
    return cpus[number % len(cpus)]


SERVERS, LOADS = cpu(0), cpu(1)


def started(name, arguments, config):
    if not program(name):
        raise Failure(f"{name} is not installed")
    return Foreign(name, [program(name), *arguments], config, SERVERS)


def output_of(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)} ended with code {done.returncode}")
    return done.stdout


def load(options, port, *more):
    """What gearbox says. Code 3: of what speaks against figures; they are compared all the same."""
    return subject.told([options.gearbox, "load", f"127.0.0.1:{port}", "--json", "--quiet", *more], (0, 3), timeout=120)


def gearbox(options, port, *more):
    """Messages per second, and p50 in seconds."""
    told = load(options, port, "--connections", str(CONNECTIONS), "--duration", f"{options.seconds}s", *more)
    if not told["ok"]:
        raise Failure(told["error"])
    return told["messages_per_second"], told["response_ns"]["p50"] / 1e9


def wrk(options, port):
    text = output_of(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{options.seconds}s", "--latency", f"http://127.0.0.1:{port}/"])
    p50, unit = re.search(r"50%\s+([0-9.]+)(us|ms|s)", text).groups()
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", text).group(1)), float(p50) * UNITS[unit]


def redis_benchmark(options, port, command, depth):
    text = output_of(["redis-benchmark", "-p", str(port), "-c", str(CONNECTIONS), "-n", str(options.requests * depth), "-t",
                      command, "-r", "10000", "-d", "64", "--dbnum", "1", "-P", str(depth), "--csv"])
    row = list(csv.DictReader(text.splitlines()))[-1]
    return float(row["rps"]), float(row["p50_latency_ms"]) / 1e3


class Round(NamedTuple):
    per_second: float
    p50: float
    busy: float  # the share of a CPU that the generator took


def round_of(generate):
    """One round of a generator, and how busy that was."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    per_second, p50 = generate()
    after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    return Round(per_second, p50, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / took)


def compare(options, name, theirs, ours):
    """Interleaved rounds of both. Returns whether they agree; None: they differ, and one of them has measured itself."""
    rounds = [(round_of(theirs), round_of(ours)) for _ in range(options.rounds)]
    their, our = (Round(*(statistics.median(values) for values in zip(*side))) for side in zip(*rounds))
    agree = True
    for what, one, other, form in (("per second", their.per_second, our.per_second, "{:,.0f}"),
                                   ("p50", their.p50, our.p50, "{:.6f} s")):
        apart = other / one - 1
        agree = agree and abs(apart) <= MAY_DIFFER
        print(f"{name:<34} {what:<10} theirs {form.format(one):>12}  ours {form.format(other):>12}  {apart:+.1%}", flush=True)
    counts = agree or max(their.busy, our.busy) < SATURATED
    print(f"{'':<34} {'its CPU':<10} theirs {their.busy:>12.0%}  ours {our.busy:>12.0%}"
          f"{'' if counts else '  not counted: who has no CPU left measures itself'}", flush=True)
    return agree if counts else None


def on_nginx(options):
    with started("nginx", ["-c", "{config}", "-e", "/dev/null"], NGINX) as server:
        os.chmod(server.folder.name, 0o755)  # its worker is another user
        with open(f"{server.folder.name}/index.html", "w", encoding="ascii") as file:
            file.write("x" * 612)
        return [compare(options, "wrk, nginx, 612 bytes", lambda: wrk(options, server.port),
                        lambda: gearbox(options, server.port, "--protocol", "http"))]


def on_redis(options):
    agree = []
    with started("redis-server", ["{config}"], REDIS) as server:
        for command, depth in itertools.product(("ping_mbulk", "set", "get"), (1, 16)):
            ours = command.split("_", maxsplit=1)[0]
            agree.append(compare(
                options, f"redis-benchmark, Redis, {ours.upper()} x{depth}",
                lambda command=command, depth=depth: redis_benchmark(options, server.port, command, depth),
                lambda ours=ours, depth=depth: gearbox(options, server.port, "--protocol", "resp", "--command", ours, "--depth",
                                                       str(depth))))
    return agree


class Stalling:
    """Echoes on one thread, which stands still for a second, once, so long after the first byte."""

    def __init__(self, after):
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.after = after
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        os.sched_setaffinity(0, {SERVERS, LOADS})  # of this thread: wherever there is time for it
        stall_at = None
        selector = selectors.DefaultSelector()
        selector.register(self.listening, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self.listening:
                    selector.register(self.listening.accept()[0], selectors.EVENT_READ)
                    continue
                data = key.fileobj.recv(1 << 16)
                if not data:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    continue
                now = time.monotonic()
                stall_at = stall_at or now + self.after
                if now >= stall_at:
                    time.sleep(1)
                    stall_at = now + 1e9
                key.fileobj.sendall(data)


def stalled(options):
    """Of 10 seconds the server stands still in one: a tenth of the requests wait, evenly from nothing to a second. So of all
    of them 1 % wait for 0.9 s, and 0.1 % for 0.99."""
    server = Stalling(4)
    told = load(options, server.listening.getsockname()[1], "--rate", "500", "--duration", "10s", "--connections", "8")
    agree = True
    for quantile, wanted in (("p99", 0.9), ("p99_9", 0.99)):
        got = told["response_ns"][quantile] / 1e9
        agree &= abs(got / wanted - 1) <= MAY_DIFFER
        print(f"{'a stall of 1 s in 10 s, open loop':<34} {quantile:<10} wanted {wanted:>10.3f} s  ours {got:>10.3f} s  "
              f"{got / wanted - 1:+.1%}", flush=True)
    print(f"{'':<34} {'service':<10} p99    {told['service_ns']['p99'] / 1e9:>10.3f} s: that is what a closed loop would show")
    return agree


def agrees(server, rows):
    """Whether something of a server counts, and all that does agrees."""
    counted = [row for row in rows if row is not None]
    if not counted:
        print(f"{server}: nothing could be compared", flush=True)
    return bool(counted) and all(counted)


def main():
    parser = argparse.ArgumentParser(prog="bench agree", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gearbox", default="build-bench/gearbox", help="the command")
    parser.add_argument("--rounds", type=int, default=5, help="of each (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="of a round (default 3)")
    parser.add_argument("--requests", type=int, default=200000, help="of a round of redis-benchmark (default 200000)")
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOADS})
    agree = [agrees("nginx", on_nginx(options)), agrees("Redis", on_redis(options))]
    stall = stalled(options)  # has a thread: no server begins behind it
    return 0 if all(agree) and stall else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failure, OSError) as failure:
        say(f"bench: {failure}")
        sys.exit(1)
