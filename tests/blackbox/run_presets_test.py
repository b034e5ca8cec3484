#!/usr/bin/env python3
"""tools/run_presets.py, which `./dev run` executes: a row for each preset, and failure when a reply is missing."""

import importlib
import json
import os
import subprocess
import sys
import tempfile

from lib import CASE_SECONDS_MAX, GEARBOX, case, check, check_equal, main

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "run_presets.py")


def run_presets(gearbox, *arguments):
    return subprocess.run([sys.executable, TOOL, gearbox, "--seconds", "0.2", *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=CASE_SECONDS_MAX)


@case
def one_row_per_preset():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "results.json")
        done = run_presets(GEARBOX, "iterative", "fork", "reactor", "--json", path)
        check_equal(done.returncode, 0, f"exit code ({done.stdout}{done.stderr})")
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)["presets"]
    check_equal(sorted(rows), ["fork", "iterative", "reactor"], "rows")
    for name, row in rows.items():
        check(f"\n{name} " in done.stdout, f"{name} is in the table: {done.stdout}")
        check(row["messages"] > 0 and row["ok"] and row["cpu_us_per_message"] > 0, f"{name}: {row}")
        check(f": {name}\n" in done.stderr, f"{name} is in the progress: {done.stderr}")
    check("every reply right" in done.stdout, done.stdout)


@case
def what_too_few_messages_do_not_tell_is_left_out():
    sys.path.insert(0, os.path.dirname(TOOL))
    tool = importlib.import_module("run_presets")
    row = {"messages": 9, "messages_per_second": 9.0, "cpu_us_per_message": 1.0, "latency_ns": {"p50": 2000, "p99": None},
           "memory_bytes_per_connection": 5000, "memory_connections": 100}
    cells = tool.cells({"name": "reactor", "axes": {}, "one_at_a_time": False}, row)
    check_equal(cells[5:7], ("2 µs", "–"), "p50 and p99")


@case
def fails_when_replies_are_missing():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "gearbox")
        with open(path, "w", encoding="utf-8") as file:
            # a server that answers once, then closes
            file.write(f'#!/bin/sh\n[ "$1" = serve ] && set -- "$@" --set once=yes\nexec "{GEARBOX}" "$@"\n')
        os.chmod(path, 0o755)
        done = run_presets(path, "reactor")
    check_equal(done.returncode, 1, f"exit code ({done.stdout}{done.stderr})")
    check("reactor: FAILED" in done.stdout and "NOT all right" in done.stdout, done.stdout)


@case
def names_an_unknown_preset():
    done = run_presets(GEARBOX, "reactr")
    check_equal(done.returncode, 2, "exit code")
    check("reactr" in done.stderr, done.stderr)


if __name__ == "__main__":
    main()
