#!/usr/bin/python3
"""`gearbox advise` on a grid of handlers and loads: how much its models lose to the best, and what a fixed choice would have.

For each mix of the service `work` (computing, blocking, connections, size of a message) the advice is asked for. Then every
legal combination and each model with the sizes that advise had considered is looked at briefly, the best of them are
measured in interleaved rounds, and the best of those is measured once more beside the advised model, both in turns. What
the advice loses is, of these last rounds, the best one's messages per second over its own, minus 1. Without the last step
luck would be taken for the best: of many that do not differ, the highest is well above its true rate. Of the rounds the upper
quartiles are compared: what else happens on a machine only ever slows, and on a virtual one it does so in many rounds.
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
GLANCE = "100ms"
FINALISTS = 8


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


# Where handlers block, the size of a message is lost in that.
GRID = [mix for mix in (Mix(*values) for values in itertools.product(COMPUTE_US, BLOCK_US, CONNECTIONS, SIZES))
        if mix.size == SIZES[0] or mix.block_us == 0]


def gearbox(options, *arguments):
    """What a command prints as JSON. Models that fail under a load are its answer as well: exit code 1."""
    return subject.told([f"{options.build}/gearbox", *arguments], (0, 1))


def combinations(options, advice):
    """Every legal combination that the machine allows: the name of its preset, or else its axes."""
    presets = {one["spec"]: one["name"] for one in gearbox(options, "models", "--json")["models"]}
    rings = any(one["preset"].startswith("proactor") for one in advice["candidates"])
    return [presets.get(one["spec"], one["spec"])
            for one in gearbox(options, "models", "--combinations", "--json")["combinations"]
            if rings or one["axes"]["engine"] != "io_uring"]


def compare(options, mix, models, rounds, duration):
    """{model: its rate in each round}, none of who failed; and the document."""
    models = list(dict.fromkeys(models))
    document = gearbox(options, "compare", "work", *mix.flags(), "--rounds", str(rounds), "--duration", duration, "--quiet",
                       "--json", "-", "--idle-connections", "0", "--models", ";".join(models))
    if len(document["points"]) != len(models):
        raise Failure(f"{mix.name}: {len(models)} models were asked for, {len(document['points'])} came back")
    return {model: [one[METRIC] for one in point["rounds"]] if point["ok"] else []
            for model, point in zip(models, document["points"])}, document


def ranked(rates):
    """Those that answered, the best first."""
    return sorted((model for model in rates if rates[model]), key=lambda model: -statistics.median(rates[model]))


def loss(rates, model, best):
    if not rates[model]:
        return float("inf")
    its, own = (statistics.quantiles(rates[one], n=4)[2] for one in (best, model))
    return max(0, its / own - 1)


def measure(options, mix):
    advice = gearbox(options, "advise", "work", *mix.flags(), "--rounds", str(options.rounds), "--duration",
                     options.duration, "--quiet", "--json", "-")
    advised, by_the_rules = advice["model"], advice["by_the_rules"]
    every = combinations(options, advice)
    presets = [model for model in every if "=" not in model]
    every += [one["model"] for one in advice["candidates"]] + [advised]
    brief, _ = compare(options, mix, every, 1, GLANCE)
    rates, _ = compare(options, mix, [*ranked(brief)[:FINALISTS], advised, by_the_rules], options.rounds, options.duration)
    best = next(model for model in ranked(rates) if model != advised)
    duel, document = compare(options, mix, [best, advised, by_the_rules], 2 * options.rounds + 1, options.duration)
    lost = loss(duel, advised, best)
    if lost == 0:
        best = advised
    fixed = {model: max(0, brief[best][0] / brief[model][0] - 1) if brief[model] else float("inf") for model in presets}
    return {"mix": mix._asdict(), "model": advised, "by_the_rules": by_the_rules, "held": advice["held"], "best": best,
            "lost": lost, "rules_lost": loss(duel, by_the_rules, best), "noise": document["noise"].get(METRIC),
            "compared": len(brief), "brief": brief, "rates": rates, "duel": duel, "presets": fixed,
            "machine": document["machine"]}


def shown(model):
    """Axes as `gearbox compare` shows them."""
    return "/".join(part.partition("=")[2] for part in model.split(",")) if model.startswith("accept=") else model


def percent(ratio):
    return "fails" if ratio == float("inf") else f"{100 * ratio:.0f} %"


def within(values, bound):
    return sum(value <= bound for value in values)


def page(results, options):
    """Lines of Markdown."""
    machine, count = results[0]["machine"], len(results)
    commits = ", ".join(sorted({one["machine"]["commit"] for one in results}))
    lost = [one["lost"] for one in results]
    rules = [one["rules_lost"] for one in results]
    yield "# What advice is worth"
    yield ""
    yield f"`./dev bench advise` on {count} mixes of the service `work`, {datetime.date.today().isoformat()}: {machine['cpu']}, "
    yield f"{machine['cpus_allotted']} CPUs allotted, {machine['kernel']}, gearbox {machine['gearbox']} ({commits})."
    yield (f"Of each mix {min(one['compared'] for one in results)} models or more, all legal combinations among them, were looked at "
           f"for {GLANCE}; the {FINALISTS} best and the advised one had {options.rounds} interleaved rounds of {options.duration}, "
           f"and the best of these was measured again beside the advised one in {2 * options.rounds + 1}.")
    yield ""
    yield (f"The advised model is within 5 % of the best in {within(lost, CLOSE)} of {count} mixes, within 10 % in "
           f"{within(lost, FAR)}; the rules alone, without trying out, in {within(rules, CLOSE)} and {within(rules, FAR)}.")
    yield ""
    yield "| compute | block | connections | size | advised | held | loses | the best | noise |"
    yield "| ---: | ---: | ---: | ---: | --- | --- | ---: | --- | ---: |"
    for one in results:
        mix, noise = Mix(**one["mix"]), one["noise"]
        yield (f"| {mix.compute_us} µs | {mix.block_us} µs | {mix.connections} | {mix.size} B | {one['model']} | "
               f"{'yes' if one['held'] else 'no: ' + one['by_the_rules']} | {percent(one['lost'])} | "
               f"{'the same' if one['best'] == one['model'] else shown(one['best'])} | {percent(noise - 1) if noise else '–'} |")
    yield ""
    yield "Noise: beyond it `gearbox compare` calls a difference one, in the last rounds."
    yield ""
    yield "## Always the same"
    yield ""
    yield "What each preset, as it is, would have lost to the best of each mix, by the brief look."
    yield ""
    yield "| preset | median | worst | within 10 % |"
    yield "| --- | ---: | ---: | ---: |"
    rows = {name: [one["presets"][name] for one in results] for name in results[0]["presets"]}
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
    parser.add_argument("--duration", default="300ms", help="of each round (default 300ms)")
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
