"""Rounds: a load visits each server in turn, and what each used for it."""

import contextlib
import json
import os
import statistics
import subprocess
import sys

import subjects
from server import PATIENCE_S, Failure, Server, child, settled_cpu_ns

CAPACITY_ROUNDS = 5


def say(text):
    print(text, file=sys.stderr, flush=True)


def cpus_of(family, options):
    """(the server's, the load's): apart, or all for both."""
    server, load = options.cpus
    return ({server, load}, {server, load}) if family == subjects.TWO else ({server}, {load})


@contextlib.contextmanager
def started(chosen, options):
    """The subjects as servers, each under the one name that it has; all stay up meanwhile."""
    with contextlib.ExitStack() as stack:
        yield {one.name: stack.enter_context(Server(one.name, subjects.command_of(one, options),
                                                    cpus_of(one.families[0], options)[0])) for one in chosen}


def expect(process, word):
    line = process.stdout.readline()
    if line.strip() != word:
        raise Failure(f"the load generator said {line.strip()!r} instead of {word!r}")


def visit(server, arguments, cpus, options, at_ready=None):
    """One round of one subject; at_ready is called when all connections stand, before anything is measured."""
    command = [f"{options.build}/bench/loadgen", "--wait", "--seconds", str(options.seconds), *arguments,
               str(server.port)]
    if options.spin:
        command.insert(1, "--spin")
    load = child(command, cpus, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        expect(load, "ready")
        if at_ready:
            at_ready()
        before = settled_cpu_ns(server.pid)
        load.stdin.write("\n")
        load.stdin.flush()
        expect(load, "done")
        used = settled_cpu_ns(server.pid) - before
        summary, _ = load.communicate("\n", timeout=PATIENCE_S)
        if load.returncode != 0:
            raise Failure(f"the load generator failed: {summary.strip()}")
    except (BrokenPipeError, subprocess.TimeoutExpired, Failure) as failure:
        raise Failure(f"{server.name} under {' '.join(arguments)}: {failure}") from failure
    finally:
        load.kill()
        load.wait()
    result = json.loads(summary)
    if not result["messages"] or server.ended:
        raise Failure(f"{server.name} under {' '.join(arguments)}: no message was answered")
    return {
        "cpu_us_per_message": used / 1000 / result["messages"],
        "messages": result["messages"],
        "messages_per_second": result["messages"] / result["seconds"],
        "server_busy": used / 1e9 / result["seconds"],
        "load_busy": result["cpu_seconds"] / result["seconds"],
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
        "p999_us": result["p999_us"],
        "rate": result["rate"],
        "late_p99_us": result["late_p99_us"],
    }


def rounds(names, count):
    """The order of visits of each round: nobody always follows the same neighbour."""
    for number in range(count):
        turn = number % len(names)
        order = names[turn:] + names[:turn]
        if number % 2:
            order.reverse()
        yield order


def interleaved(what, names, count, visit_one):
    """All rounds of some visits: {name: [a result a round]}. The first visits, during which servers take the
    memory that such a load needs, do not count."""
    results = {name: [] for name in names}
    for name in names:
        visit_one(name)
    for number, order in enumerate(rounds(names, count), 1):
        for name in order:
            results[name].append(visit_one(name))
        say(f"{what}: round {number} of {count}")
    return results


def capacities(names, load, servers, options):
    """Messages a second that each of these answers when they come as fast as it answers."""
    _, cpus = cpus_of(load.family, options)
    results = interleaved(f"{load.name}, capacity", names, min(CAPACITY_ROUNDS, options.rounds),
                          lambda name: visit(servers[name], load.arguments, cpus, options))
    return {name: statistics.median(one["messages_per_second"] for one in of_one)
            for name, of_one in results.items()}


def run_load(load, servers, options):
    """All rounds of one load: {subject: [a result a round]}; empty if nobody takes part."""
    yardsticks = {one.name: one.yardstick for one in subjects.SUBJECTS
                  if one.name in servers and load.family in one.families}
    _, cpus = cpus_of(load.family, options)
    arguments = {name: load.arguments for name in yardsticks}
    if load.paced:
        missing = sorted(set(yardsticks.values()) - set(servers))
        if missing:
            raise Failure(f"{load.name}: the rate is that of {', '.join(missing)}: choose it as well")
        capacity = capacities(sorted(set(yardsticks.values())), load, servers, options) if yardsticks else {}
        arguments = {name: [*load.arguments, "--rate", f"{subjects.PACE * capacity[yardstick]:.0f}",
                            "--seconds", str(subjects.PACED_ROUND * options.seconds)]
                     for name, yardstick in yardsticks.items()}
    return interleaved(load.name, list(yardsticks), options.rounds if yardsticks else 0,
                       lambda name: visit(servers[name], arguments[name], cpus, options))


def versions(chosen):
    """What the system's packages say: {subject: version}."""
    found = {}
    for subject in chosen:
        if not subject.package:
            continue
        done = subprocess.run(["dpkg-query", "-W", "-f=${Version}", subject.package], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if done.returncode == 0 and done.stdout:
            found[subject.name] = f"{subject.package} {done.stdout}"
    return found


def processor():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return os.uname().machine
