#!/usr/bin/python3
"""`gearbox advise` on a grid of handlers and loads: how much its models lose to the best, and what a fixed choice would have.

For each mix of the service `work` (computing, blocking, connections, size of a message) the advice is asked for; then
`gearbox compare` measures, in interleaved rounds, the advised model beside all presets as they are, all models with the
sizes that advise had considered and, with --all, every legal combination. What a model loses is the best median of
messages per second over its own, minus 1; what the comparison's noise does not tell from the best is counted as what it is
all the same, and marked.
"""

import argparse
import datetime
import itertools
import json
import os
import statistics
import sys
from typing import NamedTuple

import subject
from measure import say
from server import Failure

METRIC = "messages_per_second"
CLOSE, FAR = 0.05, 0.10
COMPUTE_US, BLOCK_US = (0, 20, 200), (0, 200, 2000)
CONNECTIONS, SIZES = (10, 200), (64, 4096)


class Mix(NamedTuple):
    compute_us: int
    block_us: int
    connections: int
    size: int

    @property
    def name(self):
        return f"{self.compute_us}+{self.block_us}us x{self.connections} {self.size}B"

    def flags(self):
        return ["--compute-us", str(self.compute_us), "--block-us", str(self.block_us), "--connections",
                str(self.connections), "--size", str(self.size)]


GRID = [Mix(*values) for values in itertools.product(COMPUTE_US, BLOCK_US, CONNECTIONS, SIZES)]


def gearbox(options, *arguments):
    """What a command prints as JSON. Models that fail under a load are its answer as well: exit code 1."""
    return subject.told([f"{options.build}/gearbox", *arguments], (0, 1))


def models(options, advice):
    """All to compare: presets as they are, sized ones and, if wanted, every combination that the machine allows."""
    presets = [one["preset"] for one in advice["candidates"]]
    specs = [*presets, *(one["model"] for one in advice["candidates"]), advice["model"]]
    if options.all:
        rings = any(preset.startswith("proactor") for preset in presets)
        specs += [one["spec"] for one in gearbox(options, "models", "--combinations", "--json")["combinations"]
                  if rings or one["axes"]["engine"] != "io_uring"]
    return list(dict.fromkeys(specs)), list(dict.fromkeys(presets))


def losses(document):
    """{model: (what it loses to the best, whether the noise lets it be told from it)}; who failed loses all."""
    points = {point["model"]: point for point in document["points"]}
    best = max((point for point in points.values() if point["ok"]), key=lambda point: point["median"][METRIC])
    found = {}
    for name, point in points.items():
        if not point["ok"]:
            found[name] = (float("inf"), True)
            continue
        ratio = best["median"][METRIC] / point["median"][METRIC]
        found[name] = (ratio - 1, ratio > document["noise"].get(METRIC, 1) and point["high"][METRIC] < best["low"][METRIC])
    return best["model"], found


def measure(options, mix):
    pace = ["--rounds", str(options.rounds), "--duration", options.duration, "--quiet", "--json", "-"]
    advice = gearbox(options, "advise", "work", *mix.flags(), *pace)
    specs, presets = models(options, advice)
    document = gearbox(options, "compare", "work", *mix.flags(), *pace, "--idle-connections", "0", "--models",
                       ";".join(specs))
    best, lost = losses(document)
    return {"mix": mix._asdict(), "model": advice["model"], "by_the_rules": advice["by_the_rules"], "held": advice["held"],
            "best": best, "lost": lost[advice["model"]][0], "beyond_noise": lost[advice["model"]][1],
            "rules_lost": lost[advice["by_the_rules"]][0], "noise": document["noise"].get(METRIC),
            "rate": {point["model"]: point["median"].get(METRIC) for point in document["points"]},
            "presets": {name: lost[name][0] for name in presets}, "machine": document["machine"]}


def percent(ratio):
    return "fails" if ratio == float("inf") else f"{100 * ratio:.0f} %"


def within(values, bound):
    return sum(value <= bound for value in values)


def page(results, options):
    """Lines of Markdown."""
    machine, count = results[0]["machine"], len(results)
    lost = [one["lost"] for one in results]
    rules = [one["rules_lost"] for one in results]
    yield "# What advice is worth"
    yield ""
    yield f"`./dev bench advise` on {count} mixes of the service `work`, {datetime.date.today().isoformat()}: {machine['cpu']}, "
    yield f"{machine['cpus_allotted']} CPUs allotted, {machine['kernel']}, gearbox {machine['gearbox']} ({machine['commit']}); "
    yield (f"{options.rounds} rounds of {options.duration}; "
           f"{'every legal combination' if options.all else 'presets'} and all sized candidates compared.")
    yield ""
    yield (f"The advised model is within 5 % of the best in {within(lost, CLOSE)} of {count} mixes, within 10 % in "
           f"{within(lost, FAR)}; the rules alone, without trying out, in {within(rules, CLOSE)} and {within(rules, FAR)}.")
    yield ""
    yield "| compute | block | connections | size | advised | held | loses | the best | noise |"
    yield "| ---: | ---: | ---: | ---: | --- | --- | ---: | --- | ---: |"
    for one in results:
        mix, noise = Mix(**one["mix"]), one["noise"]
        yield (f"| {mix.compute_us} µs | {mix.block_us} µs | {mix.connections} | {mix.size} B | {one['model']} | "
               f"{'yes' if one['held'] else 'no: ' + one['by_the_rules']} | {percent(one['lost'])}"
               f"{'' if one['beyond_noise'] else ' ~'} | {one['best']} | {percent(noise - 1) if noise else '–'} |")
    yield ""
    yield "~ the noise does not let it be told from the best"
    yield ""
    yield "## Always the same"
    yield ""
    yield "What each preset, as it is, would have lost to the best of each mix."
    yield ""
    yield "| preset | median | worst | within 10 % |"
    yield "| --- | ---: | ---: | ---: |"
    rows = {name: [one["presets"][name] for one in results if name in one["presets"]] for name in results[0]["presets"]}
    rows["advised"] = lost
    for name, values in sorted(rows.items(), key=lambda row: statistics.median(row[1])):
        yield (f"| {name} | {percent(statistics.median(values))} | {percent(max(values))} | "
               f"{within(values, FAR)} of {len(values)} |")


def load(path):
    if not path or not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return {Mix(**one["mix"]): one for one in json.load(file)}


def save(path, results):
    if path:
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(list(results.values()), file, indent=1)
        os.replace(path + ".new", path)


def chosen(options, parser):
    if not options.mix:
        return GRID
    by_name = {mix.name: mix for mix in GRID}
    for name in options.mix:
        if name not in by_name:
            parser.error(f"--mix {name}: write one of {', '.join(map(repr, by_name))}")
    return [by_name[name] for name in options.mix]


def main():
    parser = argparse.ArgumentParser(prog="bench advise", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="the folder with the command")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration", default="500ms", help="of each round (default 500ms)")
    parser.add_argument("--all", action="store_true", help="beside presets every legal combination; takes hours")
    parser.add_argument("--mix", action="append", help=f"only this one, of {len(GRID)}, e.g. {GRID[0].name!r}; repeatable")
    parser.add_argument("--json", metavar="FILE", help="save what is measured; mixes that it has already are not measured again")
    parser.add_argument("--write", action="store_true", help="write docs/advise-grid.md instead of printing it")
    options = parser.parse_args()
    mixes, results = chosen(options, parser), load(options.json)
    for number, mix in enumerate(mixes, 1):
        if mix not in results:
            say(f"advise: {number} of {len(mixes)}: {mix.name}")
            results[mix] = measure(options, mix)
            save(options.json, results)
    text = "\n".join(line.rstrip() for line in page([results[mix] for mix in mixes], options)) + "\n"
    if not options.write:
        print(text, end="")
        return 0
    with open(os.path.join(subject.ROOT, "docs", "advise-grid.md"), "w", encoding="utf-8") as file:
        file.write(text)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failure, OSError) as failure:
        say(f"bench: {failure}")
        sys.exit(1)
