#!/usr/bin/python3
"""Server CPU time per message, against hand-written loops and other libraries, as ratios within one run.

The server is pinned to one CPU and the load generator to another. All servers stay up; the load visits
them in turn, in short rounds, so that whatever disturbs the machine disturbs them all. What counts is the
median over the rounds of the ratio within a round. Yardsticks run twice, as two subjects: how far
their ratio strays from 1 is the noise, and smaller differences mean nothing.

`bench.py report` is `bench.py --all --report docs/performance.md`. `bench.py grow` measures instead how cost
grows with connections, message size, depth and workers, and fills its part of that page; with --quick or --axis
it fills only a page that --report names.
"""

import argparse
import json
import os
import sys

sys.dont_write_bytecode = True
import grow
import measure
import report
import results
import subjects
from server import Failure
from subject import add_choice, chosen

SOURCE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(SOURCE)
PAGE = os.path.join(ROOT, "docs", "performance.md")


def choose(options):
    """Turn names into rows of the tables."""
    if options.growing:
        options.axes = chosen(grow.AXES, options.axis, "axis")
        return
    count = 4 if options.all else 3 if options.peers else 2
    options.loads = chosen(subjects.LOADS, options.load, "load")
    options.subjects = (chosen(subjects.SUBJECTS, options.subject, "subject") if options.subject
                        else [one for one in subjects.SUBJECTS if one.group in subjects.GROUPS[:count]])


def add_common(parser):
    parser.add_argument("--rounds", type=int, help="(default 15; of grow 5)")
    parser.add_argument("--seconds", type=float, default=0.35, help="of load, a round and subject (default 0.35)")
    parser.add_argument("--cpus", default="0,1", metavar="S,L", help="for the servers, for the load (default 0,1)")
    parser.add_argument("--spin", action="store_true", help="the load generator never sleeps")
    parser.add_argument("--json", metavar="FILE", help="write everything measured")
    parser.add_argument("--report", metavar="FILE",
                        help="fill the marked parts of this page, those that the run has something to say about")
    parser.add_argument("--from", metavar="FILE", dest="stored", help="measure nothing, take what --json wrote")
    parser.add_argument("--build", default=os.path.join(ROOT, "build-bench"), metavar="FOLDER")
    parser.add_argument("--gearbox", metavar="FILE", help="the command, if not the one of the build folder")


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    growing, reporting = arguments[:1] == ["grow"], arguments[:1] == ["report"]
    if growing:
        parser.prog += " grow"
        parser.add_argument("--quick", action="store_true", help="fewer steps and rounds, to see that it works")
        add_choice(parser, "axis", grow.AXES)
    else:
        parser.add_argument("--peers", action="store_true", help="C and C++ libraries as well")
        parser.add_argument("--all", action="store_true", help="and Node.js and Python")
        add_choice(parser, "load", subjects.LOADS)
        add_choice(parser, "subject", subjects.SUBJECTS)
    add_common(parser)
    options = parser.parse_args(arguments[1:] if growing or reporting else arguments)
    options.growing = growing
    if reporting:
        options.all = True
    # A part of the page is written whole: from less than all it would lose the rest.
    if reporting or (growing and not options.quick and not options.axis):
        options.report = options.report or PAGE
    if options.rounds is None:
        options.rounds = 15 if not growing else 2 if options.quick else 5
    try:
        options.cpus = [int(cpu) for cpu in options.cpus.split(",")]
    except ValueError:
        options.cpus = []
    allowed = os.sched_getaffinity(0)
    if not options.stored and (len(options.cpus) != 2 or not allowed.issuperset(options.cpus)):
        parser.error(f"--cpus: two of {sorted(allowed)} are needed, as in 0,1")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be above 0")
    options.source = SOURCE
    options.build = os.path.normpath(options.build)
    options.gearbox = options.gearbox or os.path.join(options.build, "gearbox")
    try:
        choose(options)
    except Failure as failure:
        parser.error(str(failure))
    return options


def compare(options):
    """Every load over every subject: the dictionary of all results; prints as it goes."""
    whole = {"machine": results.machine(options), "versions": measure.versions(options.subjects), "loads": {}}
    with measure.started(options.subjects, options) as servers:
        print(report.headline(whole["machine"]), flush=True)
        for load in options.loads:
            rounds = measure.run_load(load, servers, options)
            if rounds:
                whole["loads"][load.name] = results.of_load(load, rounds)
                print(report.load_text(load.name, whole["loads"][load.name]), flush=True)
    print(report.ratios_text(whole["loads"]))
    return whole


def main():
    options = parse_arguments(sys.argv[1:])
    try:
        if options.stored:
            with open(options.stored) as file:
                whole = json.load(file)
        elif options.growing:
            whole = grow.run(options)
        else:
            whole = compare(options)
        if options.json:
            with open(options.json, "w") as file:
                json.dump(whole, file, indent=1)
        if options.report:
            (grow if options.growing else report).write(options.report, whole)
    except (Failure, OSError) as failure:
        measure.say(f"bench: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
