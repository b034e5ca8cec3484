#!/usr/bin/python3
"""The bench measures what it says, and writes it where it belongs."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import types
import unittest.mock

import agree
import grow
import literature
import measure
import mixed
import page
import plot
import report
import results
import rig
import server
import subjects
from rig import DEADLINE, test

BENCH = os.path.join(rig.SOURCE, "bench.py")


@test
def cpu_time_counts_ended_threads_and_children():
    program = """
import os, sys, threading, time
def burn(clock):
    end = time.clock_gettime(clock) + 0.05
    while time.clock_gettime(clock) < end: pass
thread = threading.Thread(target=burn, args=(time.CLOCK_THREAD_CPUTIME_ID,)); thread.start(); thread.join()
reaped = os.fork()
if not reaped: burn(time.CLOCK_PROCESS_CPUTIME_ID); os._exit(0)
os.waitpid(reaped, 0)
living, wake = os.pipe()
if not os.fork(): burn(time.CLOCK_PROCESS_CPUTIME_ID); print("burnt", flush=True); os.close(wake); os.read(living, 1); os._exit(0)
sys.stdin.read()
"""
    command = ["/usr/bin/python3", "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "burnt\n"
        total = server.cpu_ns(process.pid)
        process.stdin.close()
    # Three times 50 ms, of which the reaped child's may be cut by two ticks.
    assert total >= 150e6 - 2e9 / server.TICKS, total


@test
def a_server_is_ready_when_it_says_so():
    program = """
import signal, sys
print("gearbox: engine auto is epoll here", file=sys.stderr)
print("gearbox: serving echo on 127.0.0.1:4711 (model reactor, pid 1)", file=sys.stderr)
for number in range(10000): print("more than a pipe holds", file=sys.stderr)
print("through", flush=True)
signal.pause()
"""
    command = ["/usr/bin/python3", "-c", program]
    cpu = min(os.sched_getaffinity(0))
    with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):
        with server.Server("talker", command, {cpu}) as talker:
            assert talker.port == 4711 and os.sched_getaffinity(talker.pid) == {cpu}
            server.until(lambda: talker.said[-1:] == ["through"], "all is read")
        talker.reader.join()
    assert len(talker.said) == 10002, talker.said[:3]


@test
def a_server_that_ends_early_is_reported():
    try:
        server.Server("mute", ["/bin/true"])
    except server.Failure as failure:
        assert "mute" in str(failure)
    else:
        raise AssertionError("not reported")


def rounds(*values, rate=0):
    return [{"cpu_us_per_message": value, "messages": 100, "messages_per_second": 1000, "server_busy": 1,
             "load_busy": 0.5, "p50_us": value, "p99_us": 10 * value, "p999_us": 20 * value, "late_p99_us": 1,
             "rate": rate} for value in values]


def load(name):
    (found,) = [one for one in subjects.LOADS if one.name == name]
    return found


@test
def ratios_are_within_a_round():
    (ratio,) = results.of_load(load("50x64B"), {"raw_epoll": rounds(1, 10, 4),
                                                "raw_epoll again": rounds(1, 20, 2)})["ratios"]
    assert (ratio["subject"], ratio["base"], ratio["values"]) == ("raw_epoll again", "raw_epoll", [1, 2, 0.5])
    assert (ratio["median"], ratio["lower_quartile"], ratio["upper_quartile"]) == (1, 0.75, 1.5)


@test
def paced_loads_compare_latency_at_one_rate():
    of_load = results.of_load(load("p99"), {"raw_epoll": rounds(1, 1, rate=900), "reactor": rounds(2, 2, rate=900),
                                            "raw_uring": rounds(1, 1, rate=2000), "proactor": rounds(3, 3, rate=2000)})
    found = {(one["subject"], one["base"]): one for one in of_load["ratios"]}
    assert set(found) == {("reactor", "raw_epoll"), ("proactor", "raw_uring")}, found  # not across rates
    assert found["reactor", "raw_epoll"]["values"] == [2, 2]
    assert not found["reactor", "raw_epoll"]["overloaded"] and found["proactor", "raw_uring"]["overloaded"]


@test
def rounds_change_order_and_the_first_visits_do_not_count():
    visits = []
    found = measure.interleaved("quietly", ["a", "b", "c"], 4, lambda name: visits.append(name) or len(visits))
    assert visits[:3] == ["a", "b", "c"] and len(visits) == 3 + 4 * 3
    turns = [visits[at:at + 3] for at in range(3, len(visits), 3)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns) and len(set(map(tuple, turns))) > 2, turns
    assert {name: len(values) for name, values in found.items()} == {"a": 4, "b": 4, "c": 4}
    assert min(min(values) for values in found.values()) == 4, found


@test
def every_row_of_the_tables_names_rows_that_are_there():
    names = [one.name for one in subjects.SUBJECTS]
    assert len(set(names)) == len(names)
    for one in subjects.SUBJECTS:
        assert one.group in subjects.GROUPS and {one.yardstick, *one.also} <= set(names), one
    for one in subjects.LOADS:
        takers = [subject.name for subject in subjects.SUBJECTS if one.family in subject.families]
        assert any(name.endswith(" again") for name in takers), f"{one.name} has no control"
    assert {name for pair in grow.RATIOS for name in pair} <= set(plot.STYLES)


def run_bench(*arguments):
    cpus = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:2])
    command = ["/usr/bin/python3", "-B", BENCH, *arguments, "--build", rig.BUILD, "--cpus", cpus]
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * DEADLINE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_two_cpus(function):
    """The bench needs them."""
    def run():
        if len(os.sched_getaffinity(0)) < 2:
            print("one CPU only: not run")
        else:
            with tempfile.TemporaryDirectory() as folder:
                function(folder)

    rig.tests.append((function.__name__, run))
    return function


@with_two_cpus
def the_bench_reports_what_it_measured(folder):
    path = os.path.join(folder, "results.json")
    said = run_bench("--rounds", "3", "--seconds", "0.02", "--load", "50x64B", "--load", "once", "--load", "p99",
                     "--load", "two-50x64B", "--subject", "raw_epoll", "--subject", "raw_epoll again",
                     "--subject", "raw_epoll x2", "--json", path)
    with open(path) as file:
        written = json.load(file)
    assert set(written["loads"]) == {"50x64B", "once", "p99", "two-50x64B"}
    assert written["machine"]["kernel"] in said and written["machine"]["cpu"] in said
    assert set(written["loads"]["two-50x64B"].pop("subjects")) == {"raw_epoll x2"}
    del written["loads"]["two-50x64B"]
    for of_load in written["loads"].values():
        assert set(of_load["subjects"]) == {"raw_epoll", "raw_epoll again"}
        assert all(one["cpu_us_per_message"] > 0 for one in of_load["subjects"]["raw_epoll"])
        (ratio,) = of_load["ratios"]
        assert len(ratio["values"]) == 3 and ratio["lower_quartile"] <= ratio["median"] <= ratio["upper_quartile"]
        assert f"{ratio['median']:.3f}" in said
    # Both are driven at the rate of the one.
    rates = {one["rate"] for taker in written["loads"]["p99"]["subjects"].values() for one in taker}
    assert len(rates) == 1 and min(rates) > 0, rates


PAGE = """# Title

By hand.

<!-- raw:begin -->
old
<!-- raw:end -->

<!-- peers:begin --><!-- peers:end -->
<!-- grow:begin -->
<!-- grow:end -->
The end.
"""


def write_page(folder, text=PAGE):
    path = os.path.join(folder, "page.md")
    with open(path, "w") as file:
        file.write(text)
    return path


def read(path):
    with open(path) as file:
        return file.read()


def whole_of(loads):
    machine = {"kernel": "Linux 1", "cpu": "abacus", "cpus": 2, "date": "today", "rounds": 3, "seconds": 0.1,
               "server_cpu": 0, "load_cpu": 1, "load_average": 0.25, "command": "./dev bench report"}
    return {"machine": machine, "versions": {"libuv": "libuv1 1.2.3"},
            "loads": {name: results.of_load(load(name), of_load) for name, of_load in loads.items()}}


@test
def a_report_fills_the_marked_parts_and_nothing_else():
    with tempfile.TemporaryDirectory() as folder:
        path = write_page(folder)
        report.write(path, whole_of({"50x64B": {"raw_epoll": rounds(2, 2, 2), "raw_epoll again": rounds(2, 2, 2),
                                                "reactor": rounds(2.5, 3, 2.25)}}))
        first = read(path)
        assert "old" not in first and "abacus" in first and "`./dev bench report`" in first and "1.250 (1.188 – 1.375)" in first, first
        assert "<!-- peers:begin --><!-- peers:end -->" in first  # a run without peers says nothing of them
        assert first.startswith("# Title\n\nBy hand.\n\n<!-- raw:begin -->\n") and first.endswith("The end.\n")
        report.write(path, whole_of({"50x64B": {"raw_epoll": rounds(2, 2, 2), "libuv": rounds(3, 3, 3),
                                                "reactor": rounds(2, 2, 2)}}))
        second = read(path)
        peers = second[second.index("<!-- peers:begin -->"):]
        assert "libuv1 1.2.3" in peers and "1.500 (1.500 – 1.500)" in peers and "libuv / reactor" in peers, peers
        report.write(path, whole_of({"50x64B": {"raw_epoll": rounds(2, 2, 2), "libuv": rounds(3, 3, 3),
                                                "reactor": rounds(2, 2, 2)}}))
        assert read(path) == second


@test
def a_page_without_its_markers_is_left_alone():
    with tempfile.TemporaryDirectory() as folder:
        for text in ("nothing\n", "<!-- raw:end --> <!-- raw:begin -->", PAGE + "<!-- raw:begin -->"):
            path = write_page(folder, text)
            try:
                page.fill(path, {"grow": "new", "raw": "new"})
            except server.Failure as failure:
                assert path in str(failure)
            else:
                raise AssertionError("not refused")
            assert read(path) == text


@test
def the_page_of_this_tree_has_all_markers():
    text = read(os.path.join(rig.SOURCE, "..", "docs", "performance.md"))
    for name in ("raw", "peers", "models", "instructions", "memory", "idle", "grow"):
        page.filled(text, name, "anything")
    page.filled(read(os.path.join(rig.SOURCE, "..", "docs", "mixed.md")), "mixed", "anything")


@with_two_cpus
def growth_is_measured_at_each_step(folder):
    path = os.path.join(folder, "results.json")
    said = run_bench("grow", "--quick", "--rounds", "2", "--seconds", "0.02", "--axis", "connections", "--json", path)
    with open(path) as file:
        steps = json.load(file)["axes"]["connections"]
    assert [one["value"] for one in steps] == [1, 100, 2000]
    for one in steps:
        assert set(one["subjects"]) == {"raw_epoll", "reactor", "raw_uring", "proactor"}
        for name, taken in one["subjects"].items():
            assert len(taken) == 2 and all(entry["cpu_us_per_message"] > 0 for entry in taken), (name, taken)
            assert ("memory_per_connection" in taken[0]) == (one["value"] >= 100)
    assert "| 2,000 |" in said


@with_two_cpus
def each_preset_is_beside_its_yardstick(folder):
    path = os.path.join(folder, "results.json")
    cpus = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:2])
    command = ["/usr/bin/python3", "-B", os.path.join(rig.SOURCE, "models.py"), "--rounds", "2", "--seconds", "0.02",
               "--preset", "iterative", "--preset", "prefork", "--json", path, "--build", rig.BUILD, "--cpus", cpus]
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * DEADLINE)
    assert done.returncode == 0, done.stderr
    with open(path) as file:
        presets = json.load(file)["presets"]
    assert set(presets) == {"iterative", "prefork"}
    for found in presets.values():
        for load in ("message", "connection"):
            one = found[load]
            assert one["by_hand_us"] > 0 and one["ratio_lower"] <= one["ratio"] <= one["ratio_upper"], one
            assert {name: len(taken) for name, taken in one["rounds"].items()} == {"by hand": 2, "again": 2, "preset": 2}
    assert presets["iterative"]["memory"] is None and min(presets["prefork"]["memory"]) > 0
    assert "prefork" in done.stdout


def run_mixed(folder, *arguments):
    """A round of four short requests: {situation: {row: what was found}}"""
    path = os.path.join(folder, "results.json")
    cpus = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:2])
    command = ["/usr/bin/python3", "-B", os.path.join(rig.SOURCE, "mixed.py"), "--rounds", "1", "--requests", "4",
               "--json", path, "--build", rig.BUILD, "--cpus", cpus, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * DEADLINE)
    assert done.returncode == 0, done.stderr
    with open(path) as file:
        return json.load(file)["situations"]


@with_two_cpus
def short_requests_are_answered_beside_long_ones(folder):
    where = write_page(folder, "By hand.\n<!-- mixed:begin -->\n<!-- mixed:end -->\n")
    rows = ("inline, one reactor", "pool, priorities", "compute processes")
    situations = run_mixed(folder, "--report", where, *(word for row in rows for word in ("--subject", row)))
    assert set(situations) == {one.name for one in mixed.SITUATIONS}
    for name, found in situations.items():
        assert set(found) == set(rows)
        for row, one in found.items():
            (only,) = one["rounds"]
            long = {"alone": 0, "full": mixed.MANY}.get(name, 1)
            assert len(only["short_us"]) == 4 and len(only["long_us"]) == long, (name, row)
            assert len(only["late_us"]) == 4 + long
            assert one["median_us"] <= one["p99_us"] <= one["longest_us"], (name, row)
    text = read(where)
    assert text.startswith("By hand.\n<!-- mixed:begin -->")
    assert all(text.count(row) > len(mixed.SITUATIONS) for row in rows), text


@with_two_cpus
def every_model_of_the_mix_is_there(folder):
    found = run_mixed(folder, "--situation", "pipelined")
    assert {name: set(rows) for name, rows in found.items()} == {"pipelined": {row.name for row in mixed.ROWS}}


@test
def a_percentile_is_one_of_the_values():
    values = list(range(100, 0, -1))
    assert [mixed.percentile(values, part) for part in (0.01, 0.5, 0.99, 1)] == [1, 50, 99, 100]
    assert mixed.percentile([7], 0.99) == 7


@test
def a_refusal_is_told_from_a_failure():
    for code, refused in ((os.EX_UNAVAILABLE, True), (1, False), (0, False)):
        try:
            server.Server("a server", ["sh", "-c", f"exit {code}"])
        except server.Failure as failure:
            assert isinstance(failure, server.Refused) == refused, code
        else:
            raise AssertionError("it never was ready")


@test
def a_plot_is_a_script_with_all_points():
    text = plot.script(plot.Plot("it's an axis", "cost", {"raw_epoll": [(1, 2.5, 2, 3)], "reactor": [(1, 4, 4, 4)]},
                                 {1: "one"}, True), "/tmp/a.svg")
    assert "1 2.5 2 3\n" in text and "'it''s an axis'" in text and "'one' 1" in text and "logscale y" in text
    assert text.count("title 'raw_epoll'") == 1 and "noenhanced" in text


@test
def generators_that_differ_count_unless_one_has_no_cpu_left():
    def verdict(per_second, p50, busy):
        theirs, ours = agree.Round(100, 0.001, busy), agree.Round(per_second, p50, 0.5)
        with unittest.mock.patch.object(agree, "round_of", lambda generate: generate()), \
                contextlib.redirect_stdout(io.StringIO()):
            return agree.compare(types.SimpleNamespace(rounds=3), "both", lambda: theirs, lambda: ours)

    assert verdict(104, 0.00104, 0.7) is True and verdict(104, 0.00096, 1) is True
    assert verdict(106, 0.001, 0.7) is False and verdict(100, 0.00094, 0.7) is False
    assert verdict(106, 0.001, 0.9) is None
    with contextlib.redirect_stdout(io.StringIO()):
        assert not agree.agrees("nobody", [None, None])
    assert agree.agrees("some", [None, True]) and not agree.agrees("all", [True, False])


@test
def the_page_of_the_literature_keeps_what_is_not_tried_again():
    first, second, third = literature.CLAIMS[:3]
    with tempfile.NamedTemporaryFile("w+", suffix=".md", encoding="utf-8") as file:
        file.write("# Head\n\n<!-- literature:begin -->\n<!-- literature:end -->\n\nfoot\n")
        file.flush()
        literature.write(file.name, {claim.name: ("holds", literature.section(claim, "holds", "one")) for claim in (third, first)})
        once = open(file.name, encoding="utf-8").read()
        literature.write(file.name, {})
        assert open(file.name, encoding="utf-8").read() == once, "what is written again is the same"
        changed = {claim.name: ("fails", literature.section(claim, "fails", "two")) for claim in (first, second)}
        literature.write(file.name, changed)
        page_of_all = open(file.name, encoding="utf-8").read()
    assert page_of_all.startswith("# Head\n") and page_of_all.endswith("\nfoot\n"), page_of_all
    rows = [line for line in page_of_all.splitlines() if line.startswith("| ")]
    assert rows[2:] == [f"| {first.name} | fails |", f"| {second.name} | fails |", f"| {third.name} | holds |"], rows
    assert page_of_all.count("Found: one. ") == 1 and page_of_all.count("Found: two. ") == 2, page_of_all
    assert page_of_all.count("\n### Not repeated\n") == 1, page_of_all


@test
def whom_the_kernel_wakes_is_counted():
    found = literature.Woken(3, 30).done(None)
    assert set(found) == {"epoll", "accept"} and all(1 <= share <= 3 for share in found.values()), found


if __name__ == "__main__":
    sys.exit(rig.main())
