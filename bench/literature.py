#!/usr/bin/python3
"""What the literature claimed of server models, repeated: each claim with its source, the experiment, our figures, and
whether it holds here.

An experiment is a run of `gearbox compare`, so that its noise is known: what does not differ by more than a model does from
itself is told as such. Two that need long requests beside short ones take the figures of `bench mixed`.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from typing import NamedTuple

import page
import subject
from measure import say
from server import Failure

HOLDS, FAILS, NOISE = "holds", "does not hold here", "within the noise"


class Comparison:
    """What a run of compare wrote."""

    def __init__(self, data, wanted):
        self.data = data
        self.noise = data["noise"]
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


class Claim(NamedTuple):
    name: str
    claim: str
    source: str
    experiment: str
    runs: list  # arguments of compare each; or of bench mixed, for those that begin with "mixed"
    judge: object  # of the comparisons, in their order: (verdict, what was found)


MODELS = {}  # as compare is told them: the names


def models(*names):
    told = ",".join(names)
    MODELS[told] = names
    return ["--models", told]


def events_threads(run):
    ratio = run.ratio("messages_per_second", "reactor", "thread")
    return run.verdict("messages_per_second", ratio), f"`reactor` answered {ratio:.2f} times the messages of `thread`"


def by_size(run):
    sizes = (1024, 65536, 262144)
    ratios = [run.ratio("messages_per_second", "proactor", "thread", size=size) for size in sizes]
    text = ", ".join(f"{ratio:.2f} at {size // 1024} KiB" for size, ratio in zip(sizes, ratios))
    return run.verdict("messages_per_second", ratios[-1] / ratios[0]), f"messages of `proactor` over those of `thread`: {text}"


def balance(run):
    names = ("prefork-reactor", "prefork", "prefork-reuseport")
    found = {name: run.value("imbalance", f"{name},workers=4") for name in names}
    text = ", ".join(f"{value:.2f} under `{name}`" for name, value in found.items())
    ratio = found["prefork-reactor"] / found["prefork"]
    return run.verdict("imbalance", ratio), f"connections of the busiest of the workers over the average: {text}"


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
    counts = (1, 100, 1000)
    ratios = [run.ratio("cpu_ns_per_message", "reactor", "proactor", connections=count) for count in counts]
    text = ", ".join(f"{ratio:.2f} with {count}" for count, ratio in zip(counts, ratios))
    return run.verdict("cpu_ns_per_message", ratios[-1]), f"CPU time of `reactor` over that of `proactor`: {text} connections"


def ring_blocks(run):
    ratio = run.ratio("messages_per_second", "proactor", "reactor")
    # That two do not differ is the claim.
    return (FAILS if run.beyond("messages_per_second", ratio) and ratio > 1 else HOLDS), (
        f"with handlers that block for 2 ms `proactor` answered {ratio:.2f} times the messages of `reactor`")


def herd(run):
    ratio = run.value("cpu_ns_per_message", "prefork,workers=64") / run.value("cpu_ns_per_message", "prefork,workers=4")
    # A difference that cannot be told is not that of 64 who wake.
    return (HOLDS if run.beyond("cpu_ns_per_message", ratio) and ratio > 1 else FAILS), (f"a connection under `prefork,workers=64` takes {ratio:.2f} times the CPU time "
                                               "of one under `prefork,workers=4`: accept(2) wakes one")


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


CLAIMS = [
    Claim("Events against threads", "An event-driven server answers up to 18 % more requests than one with threads.",
          "D. Pariag et al., Comparing the performance of web server architectures, EuroSys 2007",
          "echo, 64 B, 200 connections", [["echo", *models("reactor", "thread"), "--connections", "200"]], events_threads),
    Claim("Asynchronous by size", "Asynchronous operations win from about 50 KB on, synchronous ones below.",
          "J. Hu, I. Pyarali, D. C. Schmidt, Measuring the impact of event dispatching and concurrency models on web server "
          "performance (JAWS), GLOBECOM 1997", "echo of 1, 64 and 256 KiB, 50 connections",
          [["echo", *models("proactor", "thread"), "--sweep", "size=1KiB,64KiB,256KiB"]], by_size),
    Claim("Who is woken", "A shared epoll prefers the worker that waited last; blocking accept goes round.",
          "M. Majkowski, Why does one NGINX worker take all the load?, Cloudflare 2017",
          "echo, a connection a message, 8 at a time, four workers",
          [["echo", *models(*(f"{name},workers=4" for name in ("prefork-reactor", "prefork", "prefork-reuseport"))),
            "--reconnect", "--messages-per-connection", "1", "--connections", "8"]], balance),
    Claim("One queue against many", "One queue for all cores has a shorter tail than a queue a core.",
          "G. Prekas, M. Kogias, E. Bugnion, ZygOS: achieving low tail latency for microsecond-scale networked tasks, SOSP 2017",
          "work, 1 ms of computing, 32 connections, Poisson arrivals at 600/s",
          [["work", *models("multi-reactor,workers=2", "reactor-pool,compute-workers=2"), "--sweep", "compute=1ms",
            "--connections", "32", "--rate", "600", "--arrivals", "poisson"]], one_queue),
    Claim("Long ones before short ones", "With requests of two lengths the short ones need to pass the long ones.",
          "K. Kaffes et al., Shinjuku: preemptive scheduling for µsecond-scale tail latency, NSDI 2019",
          "`bench mixed`, situation full: sixteen requests of 10 ms beside short ones",
          [["mixed", "--situation", "full", "--subject", "pool, unordered", "--subject", "pool, priorities"]], head_of_line),
    Claim("Pools for what blocks", "A thread pool for reads that block makes a server nine times as fast.",
          "V. Bartenev, Thread pools in NGINX boost performance 9x!, 2015",
          "work that blocks for 5 ms, 50 connections",
          [["work", *models("reactor", "reactor-pool,compute-workers=32"), "--sweep", "block=5ms"]], blocking_disks),
    Claim("Threads beyond the CPUs", "More I/O threads than CPUs make a server slower (416 k/s to 336 k/s).",
          "Valkey's documentation of io-threads", "echo, 50 connections, 1 to 8 loops on the CPUs of this machine",
          [["echo", *models("multi-reactor"), "--sweep", "workers=1,2,8"]], beyond_cpus),
    Claim("Batches against threads", "Pipelining brings more than I/O threads do.",
          "Redis' documentation of pipelining", "echo, 50 connections, one message and sixteen at a time",
          [["echo", *models("reactor", "multi-reactor")], ["echo", *models("reactor"), "--depth", "16"]], batches),
    Claim("Rings against readiness", "With many connections io_uring takes less CPU time than epoll.",
          "J. Axboe, Efficient IO with io_uring, 2019", "echo, 64 B, 1 to 1,000 connections",
          [["echo", *models("reactor", "proactor"), "--sweep", "connections=1,100,1000"]], rings),
    Claim("A ring does not help who blocks", "A handler that blocks stops a ring's loop as it stops any other.",
          "the proactor pattern's liabilities: D. C. Schmidt et al., Pattern-oriented software architecture 2, 2000",
          "work that blocks for 2 ms, 20 connections",
          [["work", *models("reactor", "proactor"), "--sweep", "block=2ms", "--connections", "20"]], ring_blocks),
    Claim("The thundering herd", "Processes that wait in accept are all woken by one connection.",
          "W. R. Stevens, UNIX network programming 1, chapter 30", "echo, a connection a message, 4 at a time",
          [["echo", *models("prefork,workers=4", "prefork,workers=64"), "--reconnect", "--messages-per-connection", "1",
            "--connections", "4"]], herd),
    Claim("Sizing by T = C/P", "A pool needs C/P threads, within 50 %: of C CPUs, a share P of computing.",
          "D. C. Schmidt, T. Harrison, and Linux' and Java's pool sizing rules (B. Goetz, Java concurrency in practice, 8.2)",
          "work, 1 ms of computing and 4 ms of blocking: P = 0.2; 50 connections",
          [["work", *models(*(f"reactor-pool,compute-workers={count}" for count in (2, 5, 10, 15, 40))), "--sweep",
            "compute=1ms", "--sweep", "block=4ms"]], sizing),
    Claim("One loop a gigabit", "One event loop serves a gigabit per second.",
          "the muduo and Netty sizing rule of one I/O thread per Gbit/s (S. Chen, 2013)", "echo of 64 KiB, 20 connections",
          [["echo", *models("reactor"), "--size", "64KiB", "--connections", "20"]], gigabit),
]
NOT_REPEATED = [
    ("SQPOLL under a quota", "no model here has the kernel poll a ring"),
    ("asyncio's emulated proactor against a real one", "there is no emulated one: a proactor here is a ring"),
    ("C10K with 1999's models", "`bench idle` and `bench grow` have it: docs/performance.md"),
]


def compared(options, arguments):
    command = [os.path.join(options.build, "gearbox"), "compare", *arguments, "--rounds", str(options.rounds), "--duration",
               options.duration, "--idle-connections", "0", "--quiet", "--json", "-"]
    return Comparison(subject.told(command, stderr=subprocess.PIPE), MODELS[arguments[arguments.index("--models") + 1]])


def mixed(options, arguments):
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, os.path.join(subject.HERE, "mixed.py"), "--build", options.build, "--json", file.name, *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"{' '.join(command)}: {done.stderr.strip()}")
        return json.load(file)


def tried(claim, options):
    """(verdict, what was found)"""
    runs = [mixed(options, run[1:]) if run[0] == "mixed" else compared(options, run) for run in claim.runs]
    return claim.judge(*runs)


def section(claim, verdict, found):
    commands = "\n".join(f"{'./dev bench' if run[0] == 'mixed' else 'gearbox compare'} {shlex.join(run)}" for run in claim.runs)
    return (f"### {claim.name}: {verdict}\n\n{claim.claim} *({claim.source})*\n\nTried: {claim.experiment}. Found: {found}.\n\n"
            f"```\n{commands}\n```")


def main():
    parser = argparse.ArgumentParser(prog="bench literature", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build-bench", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5, help="of each comparison (default 5)")
    parser.add_argument("--duration", default="1s", help="of each visit (default 1s)")
    parser.add_argument("--claim", action="append", metavar="NAME", help="only this one, may be repeated: "
                        + "; ".join(claim.name for claim in CLAIMS))
    parser.add_argument("--report", metavar="FILE", help="fill the marked part of this page")
    options = parser.parse_args()
    names = [claim.name for claim in CLAIMS]
    for name in options.claim or []:
        if name not in names:
            parser.error(f"no claim \"{name}\": {'; '.join(names)}")
    sections, rows, failed = [], [], 0
    for claim in CLAIMS:
        if options.claim and claim.name not in options.claim:
            continue
        say(f"literature: {claim.name}")
        try:
            verdict, found = tried(claim, options)
        except Failure as failure:
            verdict, found, failed = "could not be tried", str(failure), failed + 1
        print(f"{claim.name}: {verdict}: {found}", flush=True)
        rows.append((claim.name, verdict))
        sections.append(section(claim, verdict, found))
    if options.report:
        left = "\n".join(f"- {name}: {why}." for name, why in NOT_REPEATED)
        page.fill(options.report, {"literature": "\n\n".join(
            [page.table(("claim", "verdict"), rows, words=2), *sections, f"### Not repeated\n\n{left}"])})
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failure, KeyboardInterrupt) as ended:
        print(f"bench: {ended or 'interrupted'}", file=sys.stderr)
        sys.exit(1)
