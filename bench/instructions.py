#!/usr/bin/python3
"""What an echoed message costs in user space, counted instead of timed: instructions, system calls, allocations.

Every server runs under callgrind twice with a load in lock step, with fewer and with more messages; the
difference is what one message costs, and the same on every run. Loads:

  1            one connection, 64 bytes: each message costs a whole turn of the loop
  50 in turn   50 connections, one message under way at any time
  5            5 connections, all with a message under way: a turn serves them all
  50           50 connections, all with a message under way, as under full load
  50, words    the same, each message after "get "
  50 x 1 KiB   the same with 1,024 bytes
  passing      connect, 64 bytes, close: per connection
"""

import concurrent.futures
import os
import shutil
import sys

import callgrind
import subject
from callgrind import Load
from measure import say

SUBJECTS = [
    ("raw_epoll", subject.raw("raw_epoll")),
    ("reactor", subject.model("reactor")),
    ("reactor, poll", subject.model("reactor,engine=poll")),
    ("reactor, select", subject.model("reactor,engine=select")),
    ("reactor, lines", subject.line_echo("reactor")),
    ("reactor, lines by byte", subject.line_echo("reactor", "--by-byte")),
    ("reactor, lines by integer", subject.line_echo("reactor", "--by-integer")),
    ("reactor, lines by word", subject.line_echo("reactor", "--by-word")),
    ("reactor, lines by prefix", subject.line_echo("reactor", "--by-prefix")),
    ("reactor, lines deferred", subject.line_echo("reactor", "--deferred")),
    ("reactor, lines in parts", subject.line_echo("reactor", "--parts")),
    ("reactor, lines produced", subject.line_echo("reactor", "--produced")),
    ("reactor, straight", subject.sequential("reactor")),
    ("reactor, straight lines", subject.sequential("reactor", "--lines")),
    ("thread", subject.model("thread")),
    ("thread, straight", subject.sequential("thread")),
    ("iterative", subject.model("iterative")),
    ("iterative, straight", subject.sequential("iterative")),
    ("raw_uring", subject.raw("raw_uring")),
    ("proactor", subject.model("proactor")),
    ("proactor, lines", subject.line_echo("proactor")),
    ("proactor, straight", subject.sequential("proactor")),
    ("proactor, straight lines", subject.sequential("proactor", "--lines")),
]
PEERS = [
    ("libuv", subject.peer("uv")),
    ("libevent", subject.peer("event")),
    ("libev", subject.peer("ev")),
    ("Asio, epoll", subject.peer("asio_epoll")),
    ("Asio, io_uring", subject.peer("asio_uring")),
]
LOADS = [
    ("1", Load("in_turn", 1, 64, 1000)),
    ("50 in turn", Load("in_turn", 50, 64, 20)),
    ("5", Load("at_once", 5, 64, 200)),
    ("50", Load("at_once", 50, 64, 40)),
    ("50, words", Load("at_once", 50, 64, 40, b"get ")),
    ("50 x 1 KiB", Load("at_once", 50, 1024, 40)),
    ("passing", Load("in_passing", 0, 64, 200)),
]
SMALL, LARGE = "50", "50 x 1 KiB"  # the loads whose difference is the cost of bytes
SHOWN_MIN = 0.5  # instructions a message; what is less is not listed


def measure(subjects, loads, build):
    """{subject: {load: Counts}}"""
    results = {name: {} for name, _ in subjects}
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        waiting = {
            pool.submit(callgrind.per_message, name, command, build, load): (name, load_name)
            for name, command in subjects for load_name, load in loads
        }
        try:
            for future in concurrent.futures.as_completed(waiting):
                name, load_name = waiting[future]
                results[name][load_name] = future.result()
                say(f"{name}: {load_name}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def per_byte(counts):
    """Instructions that one more byte of a message costs."""
    loads = dict(LOADS)
    return (counts[LARGE].instructions - counts[SMALL].instructions) / (loads[LARGE].size - loads[SMALL].size)


def print_table(report, title, names, results, value):
    report.say(f"\n{title}")
    report.say(f"  {'':<24}" + "".join(f"{name:>12}" for name in names))
    for subject_name, counts in results.items():
        values = [value(counts, name).replace("-0.00", "0.00") for name in names]
        report.say(f"  {subject_name:<24}" + "".join(f"{text:>12}" for text in values))


def print_results(report, names, results):
    with_bytes = [*names, "per byte"] if {SMALL, LARGE} <= set(names) else names
    print_table(report, "instructions per message", with_bytes, results,
                lambda counts, name: f"{per_byte(counts):.2f}" if name == "per byte"
                else f"{counts[name].instructions:,.1f}")
    print_table(report, "system calls per message", names, results,
                lambda counts, name: f"{sum(counts[name].system_calls.values()):.2f}")
    print_table(report, "allocations per message", names, results,
                lambda counts, name: f"{counts[name].allocations:.2f}")


def print_functions(subject_name, load_name, counts, by_line):
    print(f"\n{subject_name}, {load_name}: {counts.instructions:.1f} instructions per message")
    print(f"  {'own':>8} {'inclusive':>10}  function")
    for function, own in counts.own.most_common():
        if abs(own) >= SHOWN_MIN:
            print(f"  {own:>8.2f} {counts.inclusive[function]:>10.2f}  {function}")
    if not by_line:
        return
    print(f"  {'own':>8}  place")
    for (function, file, line), own in counts.lines.most_common():
        if abs(own) >= SHOWN_MIN:
            place = os.path.relpath(file, subject.ROOT) if file.startswith(subject.ROOT) else file
            print(f"  {own:>8.2f}  {place}:{line} in {function}")


def as_json(counts):
    return {
        "instructions": counts.instructions,
        "allocations": counts.allocations,
        "system_calls": counts.system_calls,
        "functions": {name: {"own": own, "inclusive": counts.inclusive[name]}
                      for name, own in counts.own.most_common()},
    }


def count(options, report):
    subjects = subject.chosen(SUBJECTS + (PEERS if options.peers else []), options.subject, "subject")
    loads = subject.chosen(LOADS, options.load, "load")
    measured = measure(subjects, loads, options.build)
    print_results(report, [name for name, _ in loads], measured)
    if options.functions or options.lines:
        for name, counts in measured.items():
            for load_name, _ in loads:
                print_functions(name, load_name, counts[load_name], options.lines)
    return {"subjects": {name: {load: as_json(one) for load, one in counts.items()}
                         for name, counts in measured.items()}}


def main():
    parser = subject.command_line("instructions", __doc__, "build-count")
    subject.add_choice(parser, "subject", SUBJECTS)
    parser.add_argument("--peers", action="store_true", help="other libraries as well")
    subject.add_choice(parser, "load", LOADS)
    parser.add_argument("--functions", action="store_true", help="list where the instructions go")
    parser.add_argument("--lines", action="store_true", help="list the lines of source as well")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        say("bench: needs valgrind")
        return 2
    return subject.run(options, count, valgrind=subject.first_line(["valgrind", "--version"]))


if __name__ == "__main__":
    sys.exit(main())
