#!/usr/bin/python3
"""What the literature claimed of server models, repeated: each claim with its source, the experiment, our figures, and
whether it holds here.

An experiment is a run of `gearbox compare`, so that its noise is known: what does not differ by more than a model does from
itself is told as such. The one that needs long requests beside short ones takes the figures of `bench mixed`; whom the kernel
wakes is seen without any server.
"""

import argparse
import collections
import contextlib
import json
import os
import platform
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import page
import subject
from measure import processor, say
from server import Failure

sys.path.insert(0, os.path.join(subject.ROOT, "tests", "blackbox"))
import quota  # noqa: E402

HOLDS, FAILS, NOISE = "holds", "does not hold here", "within the noise"


class Comparison:
    """What a run of compare wrote."""

    def __init__(self, data, wanted):
        self.data = data
        self.noise = data["noise"]
        # By the names of judges those of the run.
        self.names = dict(zip(wanted, (model["name"] for model in data["models"])))  # it keeps their order

    def value(self, metric, model, **at):
        for point in self.data["points"]:
            if point["model"] == self.names[model] and all(point["at"].get(axis) == value for axis, value in at.items()):
                if not point["ok"]:
                    raise Failure(f"{model} {at}: {point['error']}")
                if metric not in point["median"]:
                    raise Failure(f"{model} {at}: {metric} cannot be counted on this machine")
                return point["median"][metric]
        raise Failure(f"no figures of {model} at {at}")

    def ratio(self, metric, model, other, **at):
        return self.value(metric, model, **at) / self.value(metric, other, **at)

    def beyond(self, metric, ratio):
        """Whether it is a difference."""
        return max(ratio, 1 / ratio) > self.noise.get(metric, 1)

    def verdict(self, metric, ratio):
        """Of a claim that the ratio is above 1."""
        if not self.beyond(metric, ratio):
            return NOISE
        return HOLDS if ratio > 1 else FAILS


class Compare(NamedTuple):
    """A run of compare: `names` are its models and then other servers, as judges know them. In a command of the latter
    {build} is the folder, and {group} the file that takes whoever is to have `cpus` CPUs and no more."""
    arguments: list
    names: tuple
    cpus: float = 0  # 0: all there are

    def told(self):
        return f"gearbox compare {shlex.join(self.arguments)}".replace("{build}", "build-bench").replace("{group}", "GROUP")

    def done(self, options):
        with contextlib.ExitStack() as stack:
            group = ""
            if self.cpus:
                try:
                    group = stack.enter_context(quota.group(self.cpus))
                except OSError as error:
                    raise Failure(f"no quota can be set here: {error}") from error
            arguments = [word.replace("{build}", options.build).replace("{group}", group) for word in self.arguments]
            command = [os.path.join(options.build, "gearbox"), "compare", *arguments, "--rounds", str(options.rounds),
                       "--duration", options.duration, "--idle-connections", "0", "--quiet", "--json", "-"]
            return Comparison(subject.told(command, stderr=subprocess.PIPE), self.names)


def compare(service, models, *more, beside=(), cpus=0):
    """`beside`: (name, command) each of other servers."""
    others = [word for _, command in beside for word in ("--against", command)]
    return Compare([service, "--models", ",".join(models), *others, *more], (*models, *(name for name, _ in beside)), cpus)


class Mixed(NamedTuple):
    """A run of bench mixed."""
    arguments: list

    def told(self):
        return f"./dev bench mixed {shlex.join(self.arguments)}"

    def done(self, options):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            command = [sys.executable, os.path.join(subject.HERE, "mixed.py"), "--build", options.build, "--json", file.name,
                       *self.arguments]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise Failure(f"{' '.join(command)}: {done.stderr.strip()}")
            return json.load(file)


class Woken(NamedTuple):
    """Which of some processes gets each of so many connections that come one by one: {way to wait: the busiest one's over the
    average}."""
    workers: int
    connections: int

    def told(self):
        return f"./dev bench literature --claim {shlex.quote(WOKEN)}  # by {self.connections} connections, 2 ms apart"

    def done(self, options):
        return {way: self.busiest(way) / self.connections * self.workers for way in WAYS}

    def busiest(self, way):
        read, write = os.pipe()
        listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        listening.setblocking(way == "accept")
        pids = [begin(lambda number=number: wait_for_clients(way, listening, number, write)) for number in range(self.workers)]
        try:
            taken = collections.Counter(taker(listening.getsockname(), read) for _ in range(self.connections))
            return taken.most_common(1)[0][1]
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            listening.close()
            os.close(read)
            os.close(write)


WAYS = ("epoll", "accept")


def begin(work):
    """A process that does nothing else."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    return pid


def wait_for_clients(way, listening, number, told):
    poll = select.epoll()
    if way == "epoll":
        poll.register(listening, select.EPOLLIN | select.EPOLLEXCLUSIVE)
    while True:
        if way == "epoll":
            poll.poll()
        with contextlib.suppress(BlockingIOError):
            with listening.accept()[0]:
                os.write(told, bytes([number]))


def taker(address, told):
    """Who takes the next connection."""
    with socket.create_connection(address):
        number = os.read(told, 1)[0]
    time.sleep(0.002)  # until it waits again
    return number


class Claim(NamedTuple):
    name: str
    claim: str
    source: str
    experiment: str
    runs: list
    judge: object  # of what came of the runs, in their order: (verdict, what was found)


def events_threads(run):
    ratio = run.ratio("messages_per_second", "reactor", "thread")
    return run.verdict("messages_per_second", ratio), f"`reactor` answered {ratio:.2f} times the messages of `thread`"


def along(run, metric, models, axis, steps):
    """The ratios of two models along an axis, and these as a text. `steps`: {value: how the text has it}."""
    ratios = [run.ratio(metric, *models, **{axis: value}) for value in steps]
    return ratios, ", ".join(f"{ratio:.2f} {words}" for ratio, words in zip(ratios, steps.values()))


def by_size(run):
    ratios, text = along(run, "messages_per_second", ("proactor", "thread"), "size",
                         {kib << 10: f"at {kib} KiB" for kib in (1, 64, 256)})
    return run.verdict("messages_per_second", ratios[-1] / ratios[0]), f"messages of `proactor` over those of `thread`: {text}"


def woken(found, run):
    names = ("prefork-reactor", "prefork", "prefork-reuseport")
    text = ", ".join(f"{run.value('imbalance', name + ',workers=4'):.2f} under `{name}`" for name in names)
    return (HOLDS if found["epoll"] > UNEVEN * found["accept"] else FAILS), (
        f"the busiest of four processes took {found['epoll']:.2f} times the average where they wait in epoll (EPOLLEXCLUSIVE), "
        f"{found['accept']:.2f} times where they wait in accept. gearbox sends who has accepted to the end of the line: {text}")


def own_queues(run):
    shared, own = "prefork,workers=4", "prefork-reuseport,workers=4"
    times = [run.value(metric, name) / 1e6 for name in (shared, own) for metric in ("p50_ns", "p90_ns", "p99_ns")]
    return run.verdict("p90_ns", run.ratio("p90_ns", own, shared)), (
        "p50, p90 and p99 {:.1f}, {:.1f} and {:.1f} ms with one listening socket, {:.1f}, {:.1f} and {:.1f} ms with a socket "
        "each, whose clients wait for its worker beside idle ones".format(*times))


def one_queue(run):
    ratio = run.ratio("p99_ns", "multi-reactor,workers=2", "reactor-pool,compute-workers=2")
    return run.verdict("p99_ns", ratio), (f"p99 under `multi-reactor,workers=2` is {ratio:.2f} times that under "
                                          "`reactor-pool,compute-workers=2`")


def head_of_line(mixed):
    found = {name: mixed["situations"]["full"][name]["p99_us"] / 1000
             for name in ("pool, unordered", "pool, priorities")}
    ratio = found["pool, unordered"] / found["pool, priorities"]
    return (HOLDS if ratio > 1.2 else FAILS), (
        f"p99 of the short ones {found['pool, unordered']:.0f} ms with one queue, {found['pool, priorities']:.0f} ms with "
        "priorities, of which a running job is never pre-empted")


def blocking_disks(run):
    ratio = run.ratio("messages_per_second", "reactor-pool,compute-workers=32", "reactor")
    return (HOLDS if ratio >= 9 else run.verdict("messages_per_second", ratio)), (
        f"with handlers that block for 5 ms the pool of 32 answered {ratio:.1f} times the messages of the loop alone")


def beyond_cpus(run):
    counts = (1, 2, 8)
    rates = [run.value("messages_per_second", "multi-reactor", workers=count) for count in counts]
    text = ", ".join(f"{rate / 1000:.0f} k/s with {count}" for count, rate in zip(counts, rates))
    return run.verdict("messages_per_second", max(rates[:2]) / rates[-1]), f"`multi-reactor`: {text}"


def batches(alone, deep):
    threads = alone.ratio("messages_per_second", "multi-reactor", "reactor")
    depth = deep.value("messages_per_second", "reactor") / alone.value("messages_per_second", "reactor")
    return alone.verdict("messages_per_second", depth / threads), (
        f"sixteen messages at a time made one loop {depth:.1f} times as fast; a second loop {threads:.2f} times")


def rings(run):
    ratios, text = along(run, "cpu_ns_per_message", ("reactor", "proactor"), "connections",
                         {count: f"with {count}" for count in (1, 100, 1000)})
    return run.verdict("cpu_ns_per_message", ratios[-1]), f"CPU time of `reactor` over that of `proactor`: {text} connections"


def ring_sizes(run):
    ratios, text = along(run, "cpu_ns_per_message", ("reactor", "proactor"), "size",
                         {size: f"at {size:,} B" for size in (64, 4096, 65536)})
    return run.verdict("cpu_ns_per_message", ratios[0] / ratios[-1]), f"CPU time of `reactor` over that of `proactor`: {text}"


def emulated(run):
    rate, cpu = (run.ratio(metric, "proactor", "reactor") for metric in ("messages_per_second", "cpu_ns_per_message"))
    # That the emulated one is no worse is the claim.
    return (FAILS if run.beyond("messages_per_second", rate) and rate > 1 else HOLDS), (
        f"the same handler, told of bytes that have come, never of readiness, answered {rate:.2f} times the messages on a ring of "
        f"what it answered over epoll, for {cpu:.2f} times the CPU time; asyncio's own, over epoll, "
        f"{run.ratio('messages_per_second', 'asyncio', 'reactor'):.2f} times")


def polled_ring(run, limited):
    free = run.ratio("messages_per_second", "SQPOLL", "ring")
    ratio = limited.ratio("messages_per_second", "ring", "SQPOLL")
    return limited.verdict("messages_per_second", ratio), (
        f"with all CPUs a ring that the kernel polls answered {free:.2f} times the messages of one that is entered; with half a "
        f"CPU {1 / ratio:.2f} times: the polling thread is paid from the same quota")


def many_silent(few, many):
    growth = {name: many.value("cpu_ns_per_message", name) / few.value("cpu_ns_per_message", name) for name in few.names}
    text = ", ".join(f"{value:.2f} times under `{name}`" for name, value in growth.items())
    return few.verdict("cpu_ns_per_message", growth["reactor,engine=poll"] / growth["reactor"]), (
        f"with 5,000 silent connections instead of 100 a message takes {text}")


def ring_blocks(run):
    ratio = run.ratio("messages_per_second", "proactor", "reactor")
    # That two do not differ is the claim.
    return (FAILS if run.beyond("messages_per_second", ratio) and ratio > 1 else HOLDS), (
        f"with handlers that block for 2 ms `proactor` answered {ratio:.2f} times the messages of `reactor`")


def herd(run):
    ratio = run.value("cpu_ns_per_message", "prefork,workers=64") / run.value("cpu_ns_per_message", "prefork,workers=4")
    # A difference that cannot be told is not that of 64 who wake.
    return (HOLDS if run.beyond("cpu_ns_per_message", ratio) and ratio > 1 else FAILS), (
        f"a connection under `prefork,workers=64` takes {ratio:.2f} times the CPU time of one under `prefork,workers=4`: "
        "accept(2) wakes one")


def sizing(run):
    sizes = (2, 5, 10, 15, 40)
    rates = {size: run.value("messages_per_second", f"reactor-pool,compute-workers={size}") for size in sizes}
    best = max(rates.values())
    enough = min(size for size, rate in rates.items() if not run.beyond("messages_per_second", best / rate))
    text = ", ".join(f"{rate:.0f}/s with {size}" for size, rate in rates.items())
    return (HOLDS if 5 <= enough <= 15 else FAILS), f"{text}; no difference from {enough} on"


def gigabit(run):
    bits = run.value("messages_per_second", "reactor") * 65536 * 8 * 2
    return (HOLDS if bits >= 1e9 else FAILS), f"one loop moved {bits / 1e9:.1f} Gbit/s, both ways together, over loopback"


WOKEN = "Who is woken"
CLOUDFLARE = "M. Majkowski, Why does one NGINX worker take all the load?, Cloudflare 2017"
UNEVEN = 1.5
RINGS = (("ring", "raw_uring"), ("SQPOLL", "raw_uring_sqpoll"))
CLAIMS = [
    Claim("Events against threads", "An event-driven server answers up to 18 % more requests than one with threads.",
          "D. Pariag et al., Comparing the performance of web server architectures, EuroSys 2007",
          "echo, 64 B, 200 connections", [compare("echo", ("reactor", "thread"), "--connections", "200")], events_threads),
    Claim("Asynchronous by size", "Asynchronous operations win from about 50 KB on, synchronous ones below.",
          "J. Hu, I. Pyarali, D. C. Schmidt, Measuring the impact of event dispatching and concurrency models on web server "
          "performance (JAWS), GLOBECOM 1997", "echo of 1, 64 and 256 KiB in place of files, 50 connections",
          [compare("echo", ("proactor", "thread"), "--sweep", "size=1KiB,64KiB,256KiB")], by_size),
    Claim(WOKEN, "A shared epoll prefers the worker that waited last; blocking accept goes round.", CLOUDFLARE,
          "four processes that do nothing but accept, connections one by one; and echo under gearbox's models, a connection a "
          "message, 8 at a time, four workers",
          [Woken(4, 400), compare("echo", [f"{name},workers=4" for name in ("prefork-reactor", "prefork", "prefork-reuseport")],
                                  "--reconnect", "--messages-per-connection", "1", "--connections", "8")], woken),
    Claim("A queue a worker", "With SO_REUSEPORT latencies deviate more than with one queue of connections.", CLOUDFLARE,
          "work that blocks for 2 ms, a connection a message, 3 at a time, four workers",
          [compare("work", ("prefork,workers=4", "prefork-reuseport,workers=4"), "--sweep", "block=2ms",
                   "--reconnect", "--messages-per-connection", "1", "--connections", "3")], own_queues),
    Claim("One queue against many", "One queue for all cores has a shorter tail than a queue a core.",
          "G. Prekas, M. Kogias, E. Bugnion, ZygOS: achieving low tail latency for microsecond-scale networked tasks, SOSP 2017",
          "work, 1 ms of computing, 32 connections, Poisson arrivals at 600/s",
          [compare("work", ("multi-reactor,workers=2", "reactor-pool,compute-workers=2"), "--sweep", "compute=1ms",
                   "--connections", "32", "--rate", "600", "--arrivals", "poisson")], one_queue),
    Claim("Long ones before short ones", "With requests of two lengths the short ones need to pass the long ones.",
          "K. Kaffes et al., Shinjuku: preemptive scheduling for µsecond-scale tail latency, NSDI 2019",
          "`bench mixed`, situation full: sixteen requests of 10 ms beside short ones",
          [Mixed(["--situation", "full", "--subject", "pool, unordered", "--subject", "pool, priorities"])], head_of_line),
    Claim("Pools for what blocks", "A thread pool for reads that block makes a server nine times as fast.",
          "V. Bartenev, Thread pools in NGINX boost performance 9x!, 2015",
          "work that blocks for 5 ms, 50 connections",
          [compare("work", ("reactor", "reactor-pool,compute-workers=32"), "--sweep", "block=5ms")], blocking_disks),
    Claim("Threads beyond the CPUs", "More I/O threads than CPUs make a server slower (416 k/s to 336 k/s).",
          "Valkey's documentation of io-threads", "echo, 50 connections, 1 to 8 loops on the CPUs of this machine",
          [compare("echo", ("multi-reactor",), "--sweep", "workers=1,2,8")], beyond_cpus),
    Claim("Batches against threads", "Pipelining brings more than I/O threads do.",
          "Redis' documentation of pipelining", "echo, 50 connections, one message and sixteen at a time",
          [compare("echo", ("reactor", "multi-reactor")), compare("echo", ("reactor",), "--depth", "16")], batches),
    Claim("Rings against readiness", "With many connections io_uring takes less CPU time than epoll.",
          "J. Axboe, Efficient IO with io_uring, 2019", "echo, 64 B, 1 to 1,000 connections",
          [compare("echo", ("reactor", "proactor"), "--sweep", "connections=1,100,1000")], rings),
    Claim("Rings by size", "A ring saves something with each operation, so that large messages gain less.",
          "J. Axboe, Efficient IO with io_uring, 2019", "echo of 64 B, 4 and 64 KiB, 50 connections",
          [compare("echo", ("reactor", "proactor"), "--sweep", "size=64,4KiB,64KiB")], ring_sizes),
    Claim("An emulated proactor", "A proactor that is emulated over readiness, as asyncio's on Unix, is as fast as a real one.",
          "A. Libman, V. Gilburd, Comparing two high-performance I/O design patterns, Artima 2005",
          "echo, 64 B, 50 connections, over epoll and on io_uring: gearbox's engines have a proactor's interface, which its reactor "
          "emulates; and asyncio's transports in Python beside them",
          [compare("echo", ("reactor", "proactor"), beside=(("asyncio", "python3 bench/peers/asyncio_echo.py {port}"),))],
          emulated),
    Claim("SQPOLL under a quota", "A thread of the kernel that polls the ring saves system calls, and starves its program below "
          "one CPU.", "libuv/libuv#4089, which turned it off again",
          "echo, 64 B, 20 connections: a loop by hand on a ring (bench/raw_uring.c), with SQPOLL and without; and both in a "
          "control group, GROUP, with half a CPU",
          [compare("echo", ("reactor",), "--connections", "20", beside=tuple(
              (name, f"{{build}}/bench/{program} {{port}}") for name, program in RINGS)),
           compare("echo", ("reactor",), "--connections", "20", cpus=0.5, beside=tuple(
               (name, f"echo $$ > {{group}}; exec {{build}}/bench/{program} {{port}}") for name, program in RINGS))],
          polled_ring),
    Claim("C10K with 1999's models", "Who asks poll about ten thousand clients pays for each of them, and a thread each costs "
          "memory; what tells of readiness pays for those that talk.", "D. Kegel, The C10K problem, 1999",
          "echo, 64 B, 20 connections beside 100 and beside 5,000 silent ones; what a connection takes of memory is in "
          "docs/performance.md",
          [compare("echo", ("reactor,engine=poll", "reactor", "thread"), "--connections", "20", "--idle", idle)
           for idle in ("100", "5000")], many_silent),
    Claim("A ring does not help who blocks", "A handler that blocks stops a ring's loop as it stops any other.",
          "the proactor pattern's liabilities: D. C. Schmidt et al., Pattern-oriented software architecture 2, 2000",
          "work that blocks for 2 ms, 20 connections",
          [compare("work", ("reactor", "proactor"), "--sweep", "block=2ms", "--connections", "20")], ring_blocks),
    Claim("The thundering herd", "Processes that wait in accept are all woken by one connection.",
          "W. R. Stevens, UNIX network programming 1, chapter 30", "echo, a connection a message, 4 at a time",
          [compare("echo", ("prefork,workers=4", "prefork,workers=64"), "--reconnect", "--messages-per-connection", "1",
                   "--connections", "4")], herd),
    Claim("Sizing by T = C/P", "A pool needs C/P threads, within 50 %: of C CPUs, a share P of computing.",
          "D. C. Schmidt, T. Harrison, and Linux' and Java's pool sizing rules (B. Goetz, Java concurrency in practice, 8.2)",
          "work, 1 ms of computing and 4 ms of blocking: P = 0.2; 50 connections",
          [compare("work", [f"reactor-pool,compute-workers={count}" for count in (2, 5, 10, 15, 40)], "--sweep", "compute=1ms",
                   "--sweep", "block=4ms")], sizing),
    Claim("One loop a gigabit", "One event loop serves a gigabit per second.",
          "the muduo and Netty sizing rule of one I/O thread per Gbit/s (S. Chen, 2013)", "echo of 64 KiB, 20 connections",
          [compare("echo", ("reactor",), "--size", "64KiB", "--connections", "20")], gigabit),
]
NOT_REPEATED = [
    ("io_uring against epoll by statics", "no service here sends files; how files are read is in docs/files.md"),
]


def tried(claim, options):
    """(verdict, what was found)"""
    return claim.judge(*(run.done(options) for run in claim.runs))


def section(claim, verdict, found):
    commands = "\n".join(run.told() for run in claim.runs)
    today, cpus = time.strftime("%Y-%m-%d", time.gmtime()), len(os.sched_getaffinity(0))
    return (f"### {claim.name}: {verdict}\n\n{claim.claim} *({claim.source})*\n\nTried: {claim.experiment}. Found: {found}. "
            f"({today}, {cpus} CPUs, {processor()}, Linux {platform.release()})\n\n```\n{commands}\n```")


def kept(path):
    """{claim: (verdict, section)} of what the page has."""
    with open(path, encoding="utf-8") as file:
        pieces = re.split(r"^### ", file.read().partition("<!-- literature:end -->")[0], flags=re.M)[1:]
    headed = [(piece.partition("\n")[0].rpartition(": "), f"### {piece.strip()}") for piece in pieces]
    return {name: (verdict, text) for (name, colon, verdict), text in headed if colon}


def write(path, done):
    """Fill the page: with these, and with what it had of others."""
    found = {**kept(path), **done}
    names = [claim.name for claim in CLAIMS if claim.name in found]
    left = "\n".join(f"- {name}: {why}." for name, why in NOT_REPEATED)
    page.fill(path, {"literature": "\n\n".join([
        page.table(("claim", "verdict"), [(name, found[name][0]) for name in names], words=2),
        *(found[name][1] for name in names), f"### Not repeated\n\n{left}"])})


def main():
    parser = argparse.ArgumentParser(prog="bench literature", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build-bench", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5, help="of each comparison (default 5)")
    parser.add_argument("--duration", default="1s", help="of each visit (default 1s)")
    parser.add_argument("--claim", action="append", metavar="NAME", help="only this one, may be repeated: "
                        + "; ".join(claim.name for claim in CLAIMS))
    parser.add_argument("--report", metavar="FILE", help="fill the marked part of this page; claims that are not tried stay")
    options = parser.parse_args()
    names = [claim.name for claim in CLAIMS]
    for name in options.claim or []:
        if name not in names:
            parser.error(f"no claim \"{name}\": {'; '.join(names)}")
    done, failed = {}, 0
    for claim in CLAIMS:
        if options.claim and claim.name not in options.claim:
            continue
        say(f"literature: {claim.name}")
        try:
            verdict, found = tried(claim, options)
        except Failure as failure:
            verdict, found, failed = "could not be tried", str(failure), failed + 1
        print(f"{claim.name}: {verdict}: {found}", flush=True)
        done[claim.name] = verdict, section(claim, verdict, found)
    if options.report:
        write(options.report, done)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failure, KeyboardInterrupt) as ended:
        print(f"bench: {ended or 'interrupted'}", file=sys.stderr)
        sys.exit(1)
