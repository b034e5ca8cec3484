"""Results as one dictionary, the one that --json writes and from which all tables are made."""

import datetime
import os
import shlex
import statistics
import sys

import measure
import subjects

KEEPS_UP = 0.9  # a round ends when the last reply is in, which is a little after it was due


def spread(values):
    """Median and quartiles."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    first, middle, third = statistics.quantiles(values, n=4, method="inclusive")
    return middle, first, third


def medians(rounds):
    return {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}


def overloaded(rounds):
    """Whether a server did not keep up with the rate of a paced load."""
    middle = medians(rounds)
    return middle["messages_per_second"] < KEEPS_UP * middle["rate"]


def ratio(load, rounds, subject, base):
    key = "p99_us" if load.paced else "cpu_us_per_message"
    values = [one[key] / other[key] for one, other in zip(rounds[subject], rounds[base])]
    middle, first, third = spread(values)
    return {"subject": subject, "base": base, "of": key, "median": middle, "lower_quartile": first,
            "upper_quartile": third, "values": values, "overloaded": overloaded(rounds[subject])}


def of_load(load, rounds):
    """One load's part."""
    return {
        "text": load.text,
        "arguments": load.arguments,
        "family": load.family,
        "paced": load.paced,
        "subjects": rounds,
        "ratios": [ratio(load, rounds, *pair) for pair in subjects.pairs(load, list(rounds))],
    }


def machine(options):
    uname = os.uname()
    return {
        "kernel": f"{uname.sysname} {uname.release}",
        "cpu": measure.processor(),
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "command": shlex.join(["./dev", "bench", *sys.argv[1:]]),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "server_cpu": options.cpus[0],
        "load_cpu": options.cpus[1],
        "spin": options.spin,
    }
