"""How cost grows: CPU time per message and memory per connection along one axis at a time.

For each step along an axis fresh servers are started, and visited in turn like all others; memory is what
each holds more, when all connections stand and each has echoed once, than before the first came.
"""

import os
from typing import Callable, NamedTuple

import measure
import page
import plot
import results
import subjects
from report import origin
from server import memory_bytes

MEMORY_FROM = 100  # connections: with fewer, pages say little of each
BY_NAME = {subject.name: subject for subject in subjects.SUBJECTS}


class Axis(NamedTuple):
    name: str
    text: str
    values: list
    quick: list
    arguments: Callable  # of the load generator, for a value
    lineup: Callable = lambda value: [BY_NAME[name] for name in ("raw_epoll", "reactor", "raw_uring", "proactor")]
    label: Callable = "{:,}".format
    family: str = subjects.ONE
    logarithmic: bool = False  # the cost as well as the axis


def size_label(value):
    return f"{value} B" if value < 1024 else f"{value // 1024} KiB"


def workers_lineup(count):
    """The same work by more workers; named alike at every step, so that they make one line."""
    def renamed(subject, name):
        return subject._replace(name=name, families=(subjects.TWO,))

    return [renamed(subjects.raw("raw_epoll", loops=count), "raw_epoll"),
            renamed(subjects.model("", f"multi-reactor,workers={count}", "raw_epoll"), "multi-reactor"),
            renamed(subjects.raw("raw_uring", loops=count), "raw_uring"),
            renamed(subjects.model("", f"multi-proactor,workers={count}", "raw_uring"), "multi-proactor")]


AXES = [
    Axis("connections", "connections, 64 B, one message at a time each", [1, 10, 100, 1000, 5000, 10000, 19000],
         [1, 100, 2000], lambda value: ["--connections", str(value), *at_least_seconds(value / 20000)]),
    Axis("size", "message size, 50 connections", [16, 64, 256, 1024, 4096, 16384, 65536, 262144], [16, 16384],
         lambda value: ["--size", str(value)], label=size_label, logarithmic=True),
    Axis("depth", "messages in flight on each of 50 connections, 64 B", [1, 2, 4, 8, 16, 32, 64], [1, 16],
         lambda value: ["--depth", str(value)], logarithmic=True),
    Axis("workers", "workers, 200 connections, 64 B; servers and load share two CPUs", [1, 2, 4], [1, 2],
         lambda value: ["--connections", "200"], workers_lineup, family=subjects.TWO),
]
RATIOS = [("reactor", "raw_epoll"), ("proactor", "raw_uring"), ("multi-reactor", "raw_epoll"),
          ("multi-proactor", "raw_uring")]


def at_least_seconds(seconds):
    """For loads whose first round of messages alone takes long."""
    return ["--seconds", f"{seconds:.2f}"] if seconds > 0.35 else []


def step(axis, value, options):
    """{subject: rounds}; their first entry carries the memory per connection, where that can be told."""
    _, cpus = measure.cpus_of(axis.family, options)
    held = {}

    def visit(name):
        def remember():
            held.setdefault(name, memory_bytes(servers[name].pid))

        return measure.visit(servers[name], axis.arguments(value), cpus, options, remember)

    with measure.started(axis.lineup(value), options) as servers:
        empty = {name: memory_bytes(server.pid) for name, server in servers.items()}
        rounds = measure.interleaved(f"{axis.name} {axis.label(value)}", list(servers), options.rounds, visit)
    if axis.name == "connections" and value >= MEMORY_FROM:
        for name in rounds:
            rounds[name][0]["memory_per_connection"] = (held[name] - empty[name]) / value
    return rounds


def run(options):
    whole = {"machine": results.machine(options), "axes": {}}
    for axis in options.axes:
        values = axis.quick if options.quick else axis.values
        steps = whole["axes"][axis.name] = [{"value": value, "subjects": step(axis, value, options)}
                                            for value in values]
        print(f"\n{axis.text}\n\n{cost_table(axis, steps)}", flush=True)
        if axis.name == "connections":
            print(f"\n{memory_table(axis, steps)}", flush=True)
    return whole


def names_of(steps):
    return list(steps[0]["subjects"])


def costs(rounds, key="cpu_us_per_message"):
    return [one[key] for one in rounds]


def cost_table(axis, steps):
    names = names_of(steps)
    pairs = [pair for pair in RATIOS if set(pair) <= set(names)]
    more = axis.family == subjects.TWO
    heading = [axis.name, *(f"{name}, µs" for name in names), *(" / ".join(pair) for pair in pairs),
               *(f"{name}, messages/s" for name in names if more)]
    rows = []
    for one in steps:
        rounds = one["subjects"]
        medians = {name: results.medians([{key: entry[key] for key in ("cpu_us_per_message", "messages_per_second")}
                                          for entry in rounds[name]]) for name in names}
        ratios = [results.spread([a / b for a, b in zip(costs(rounds[of]), costs(rounds[base]))])[0]
                  for of, base in pairs]
        rows.append([axis.label(one["value"]), *(f"{medians[name]['cpu_us_per_message']:.2f}" for name in names),
                     *(f"{ratio:.3f}" for ratio in ratios),
                     *(f"{medians[name]['messages_per_second']:,.0f}" for name in names if more)])
    return page.table(heading, rows, 0)


def memory_steps(steps):
    return [one for one in steps if one["value"] >= MEMORY_FROM]


def memory_table(axis, steps):
    names = names_of(steps)
    rows = [[axis.label(one["value"]),
             *(f"{one['subjects'][name][0]['memory_per_connection']:,.0f}" for name in names)]
            for one in memory_steps(steps)]
    return page.table([axis.name, *(f"{name}, bytes/connection" for name in names)], rows, 0)


def cost_plot(axis, steps):
    lines = {name: [(one["value"], *results.spread(costs(one["subjects"][name]))) for one in steps]
             for name in names_of(steps)}
    ticks = {one["value"]: axis.label(one["value"]) for one in steps}
    return plot.Plot(axis.text, "CPU µs per message", lines, ticks, axis.logarithmic)


def memory_plot(axis, steps):
    steps = memory_steps(steps)
    lines = {}
    for name in names_of(steps):
        values = [(one["value"], one["subjects"][name][0]["memory_per_connection"]) for one in steps]
        lines[name] = [(value, memory, memory, memory) for value, memory in values]
    ticks = {one["value"]: axis.label(one["value"]) for one in steps}
    return plot.Plot("connections, each of which has echoed once", "bytes per connection", lines, ticks, True)


def write(path, whole):
    """Fill the part of a page, and draw its plots into the folder of the same name beside it."""
    folder = os.path.splitext(path)[0]
    os.makedirs(folder, exist_ok=True)
    parts = [origin(whole["machine"]), "Lines join medians, bars are quartiles. Memory is the process's own, without "
             "the kernel's; where its line is missing, the process did not grow."]

    def add(heading, name, drawing, table):
        plot.draw(drawing, os.path.join(folder, name))
        parts.extend([f"**{heading}**", f"![{drawing.cost}: {drawing.axis}]({os.path.basename(folder)}/{name})", table])

    for axis in AXES:
        steps = whole["axes"].get(axis.name)
        if steps:
            add(f"CPU time along {axis.text}:", f"grow-{axis.name}.svg", cost_plot(axis, steps), cost_table(axis, steps))
        if steps and axis.name == "connections" and memory_steps(steps):
            add("Memory of the process along connections:", "grow-memory.svg", memory_plot(axis, steps),
                memory_table(axis, steps))
    page.fill(path, {"grow": "\n\n".join(parts)})
