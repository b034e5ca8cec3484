#!/usr/bin/python3
"""`gearbox compare` twice: whether the second run ranks models as the first did, but for what either called noise.

Of each pair of models and each metric a run says that one is better, or that the difference is within the noise: its
medians are closer than the run's noise, or their bounds overlap. Two runs agree on a pair when both say the same, contradict
each other when each has another one better, and else one of them did not tell. Exit code 1 if any pair is contradicted.
"""

import argparse
import itertools
import json
import sys

import subject
from measure import say
from server import Failure

# How `gearbox compare` itself names what is best: more is better, and what is no difference however precise.
METRICS = {"messages_per_second": (True, 0), "cpu_ns_per_message": (False, 0), "p50_ns": (False, 0), "p99_ns": (False, 0),
           "memory_per_connection_bytes": (False, 256)}


def run(options):
    return subject.told([f"{options.build}/gearbox", "compare", options.service, "--rounds", str(options.rounds), "--json", "-",
                         *options.more])


def saved(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def place(point):
    return ", ".join(f"{axis}={value:g}" for axis, value in point["at"].items())


def better(document, one, other, metric):
    """1: the one is, -1: the other is, 0: the noise does not tell; None: it is not known of both."""
    more, least = METRICS[metric]
    if metric not in one["median"] or metric not in other["median"]:
        return None
    low, high = sorted((one, other), key=lambda point: point["median"][metric])
    less, greater = low["median"][metric], high["median"][metric]
    if (greater - less <= least or greater <= less * document["noise"].get(metric, 1)
            or high["low"][metric] <= low["high"][metric]):
        return 0
    return 1 if (one is high) == more else -1


def judgements(document, metric):
    """{(place, one, other): who is better}"""
    found = {}
    for one, other in itertools.combinations(document["points"], 2):
        if one["at"] == other["at"] and one["ok"] and other["ok"]:
            verdict = better(document, one, other, metric)
            if verdict is not None:
                found[place(one), one["model"], other["model"]] = verdict
    return found


def main():
    parser = argparse.ArgumentParser(prog="bench repeat", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="the folder with the command")
    parser.add_argument("--service", default="echo")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--saved", nargs=2, metavar="FILE", help="two comparisons that --json wrote, instead of running")
    parser.add_argument("more", nargs="*", help="flags of compare, behind --")
    options = parser.parse_args()
    documents = [saved(path) for path in options.saved] if options.saved else [run(options) for _ in range(2)]
    print(f"{'metric':<28} {'pairs':>6} {'agree':>6} {'noise in one':>13} {'noise in both':>14} {'contradicted':>13}")
    contradictions = []
    for metric in METRICS:
        first, second = (judgements(document, metric) for document in documents)
        pairs = [(first[key], second[key], key) for key in first if key in second]
        both = sum(a == b == 0 for a, b, _ in pairs)
        against = [key for a, b, key in pairs if a * b < 0]
        agree = sum(a == b != 0 for a, b, _ in pairs)
        print(f"{metric:<28} {len(pairs):>6} {agree:>6} {len(pairs) - both - agree - len(against):>13} {both:>14} "
              f"{len(against):>13}")
        contradictions += [(metric, *key) for key in against]
    for metric, where, one, other in contradictions:
        print(f"contradicted: {metric}{' at ' + where if where else ''}: {one} and {other}")
    return 1 if contradictions else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failure, OSError) as failure:
        say(f"bench: {failure}")
        sys.exit(1)
