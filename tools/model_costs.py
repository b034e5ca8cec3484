#!/usr/bin/env python3
"""model_costs.py GEARBOX: what each preset costs on this machine, for the pages in docs/models.

Takes messages, latencies and memory from run_presets.py, the costs of what a model is made of from
`gearbox doctor --costs`, and measures itself what a connection of one message takes; each several times, of which
the median counts. Prints a table; `--write` puts it between the markers of docs/models/README.md, and each preset's
share into its page.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import pages
import run_presets

OVERVIEW, MARK = "docs/models/README.md", "costs"
PARALLEL = 8  # connections at a time of those that come and go

# What a model is made of: words, the key of `doctor --costs`, and whose axes call for it.
PARTS = (
    ("starting and ending a process", "process",
     lambda a: a["unit"] == "process" and a["workers"] == "per-connection"),
    ("the same with 10 MiB of its parent's memory touched", "process-10mib",
     lambda a: a["unit"] == "process" and a["workers"] == "per-connection"),
    ("starting and ending a thread", "thread", lambda a: a["unit"] == "thread" and a["workers"] == "per-connection"),
    ("passing a descriptor (SCM_RIGHTS)", "pass-descriptor",
     lambda a: a["accept"] == "acceptor" and a["unit"] == "process" and a["workers"] != "per-connection"),
    ("waking a thread by eventfd, on another CPU", "wake-eventfd",
     lambda a: a["accept"] == "acceptor" and a["unit"] == "thread" and a["workers"] != "per-connection"),
    ("handing over to a waiting thread (futex), two CPUs", "futex-handover", lambda a: a["compute"] == "threads"),
    ("switching between processes", "switch-process",
     lambda a: a["engine"] == "blocking" and a["unit"] == "process"),
    ("switching between threads", "switch-thread",
     lambda a: a["engine"] == "blocking" and a["unit"] == "thread" and a["workers"] != "1"),
    ("epoll_wait, one ready of 1,000", "epoll-wait", lambda a: a["engine"] == "epoll"),
    ("submitting to a ring and taking the completion", "uring-nop", lambda a: a["engine"] == "io_uring"),
    ("accepting and closing a connection", "accept", lambda a: True),
    ("a system call", "syscall", lambda a: True),
)


def doctor_costs(gearbox):
    """CPU nanoseconds by key."""
    done = subprocess.run([gearbox, "doctor", "--costs", "--json"], capture_output=True, text=True, check=True)
    return {row["key"]: row["cpu_ns"]["median"] for row in json.loads(done.stdout)["costs"] if not row["missing"]}


def run_all(options):
    """One run of run_presets.py: its rows by preset."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "run.json")
        tool = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run_presets.py")
        subprocess.run([sys.executable, tool, options.gearbox, "--seconds", str(options.seconds), "--json", path],
                       stdout=subprocess.DEVNULL, check=True)
        with open(path, encoding="utf-8") as file:
            return json.load(file)["presets"]


def medians(rows):
    """One row of several of a preset."""
    def median(*keys):
        values = []
        for row in rows:
            for key in keys:
                row = row[key]
            values.append(row)
        return statistics.median(values)

    return {"cpu_us_per_message": median("cpu_us_per_message"),
            "cpu_us_per_connection": median("cpu_us_per_connection"),
            "latency_ns": {key: median("latency_ns", key) for key in ("p50", "p99")},
            "memory_bytes_per_connection": median("memory_bytes_per_connection"),
            "memory_connections": rows[0]["memory_connections"]}


def per_connection_us(options, name):
    """CPU microseconds of the server for a connection that brings one message."""
    server = run_presets.Server(options.gearbox, name)
    try:
        run_presets.load(options.gearbox, server, *run_presets.WARM_UP)
        server.wait_for_rest()
        before = run_presets.cpu_ns(server.pids())
        result = run_presets.load(options.gearbox, server, "--connections", PARALLEL, "--messages-per-connection", 1,
                                  "--reconnect", "--duration", f"{int(options.seconds * 1000)}ms")
        server.wait_for_rest()
        taken = run_presets.cpu_ns(server.pids()) - before
        server.stop()
    finally:
        server.kill()
    return taken / 1000 / result["opened"]


def microseconds(ns):
    return f"{ns / 1000:,.1f} µs" if ns < 100000 else f"{ns / 1000:,.0f} µs"


def overview(presets, rows, machine):
    table = [["model", "CPU/message", "CPU/connection", "p50", "p99", "memory/connection"]]
    for preset in presets:
        row = rows[preset["name"]]
        table.append([f"[{preset['name']}]({preset['name']}.md)", microseconds(row["cpu_us_per_message"] * 1000),
                      microseconds(row["cpu_us_per_connection"] * 1000), run_presets.duration(row["latency_ns"]["p50"]),
                      run_presets.duration(row["latency_ns"]["p99"]), memory(preset, row)])
    return f"{machine}.\n\n{pages.table(table, 1)}"


def memory(preset, row):
    return run_presets.memory_text(row) + ("*" if preset["one_at_a_time"] else "")


def page(preset, row, costs, machine):
    latency = row["latency_ns"]
    table = [["what", "here"],
             ["a message: CPU of the server", microseconds(row["cpu_us_per_message"] * 1000)],
             ["a message: round trip, median and 99 %",
              f"{run_presets.duration(latency['p50'])}, {run_presets.duration(latency['p99'])}"],
             ["a connection of one message: CPU of the server", microseconds(row["cpu_us_per_connection"] * 1000)],
             [f"memory of an idle connection, {row['memory_connections']:,} at a time", run_presets.memory_text(row)]]
    table += [[f"made of: {words}", microseconds(costs[key])]
              for words, key, called_for in PARTS if key in costs and called_for(preset["axes"])]
    return f"{machine}.\n\n{pages.table(table, 1)}"


def read_options():
    parser = argparse.ArgumentParser(description="What each preset costs on this machine.")
    parser.add_argument("gearbox", help="the command")
    parser.add_argument("--seconds", type=float, default=1, help="of load in each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write the results there as well")
    parser.add_argument("--write", action="store_true", help="put the numbers into docs/models")
    parser.add_argument("--force", action="store_true", help="--write although the machine is busy")
    options = parser.parse_args()
    if options.seconds <= 0 or options.rounds < 1:
        parser.error("--seconds and --rounds must be positive")
    if options.write:
        pages.need_rest(options.force)
    options.gearbox = os.path.abspath(options.gearbox)
    return options


def main():
    options = read_options()
    machine = pages.machine()
    presets = run_presets.read_presets(options.gearbox, [])
    costs = doctor_costs(options.gearbox)
    rounds = []
    for number in range(options.rounds):
        print(f"model_costs: round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        rounds.append(run_all(options))
        for name, row in rounds[-1].items():
            row["cpu_us_per_connection"] = per_connection_us(options, name)
    presets = [preset for preset in presets if preset["name"] in rounds[0]]  # without io_uring some are missing
    rows = {preset["name"]: medians([one[preset["name"]] for one in rounds]) for preset in presets}
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "presets": rows, "parts": costs}, file, indent=1)
            file.write("\n")
    if not options.write:
        print(overview(presets, rows, machine))
        return
    pages.write(OVERVIEW, MARK, overview(presets, rows, machine))
    for preset in presets:
        pages.write(f"docs/models/{preset['name']}.md", MARK, page(preset, rows[preset["name"]], costs, machine))


if __name__ == "__main__":
    try:
        main()
    except (run_presets.Failure, run_presets.Absent, subprocess.CalledProcessError) as reason:
        sys.exit(f"model_costs: {reason}")
