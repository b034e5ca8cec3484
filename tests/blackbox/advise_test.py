#!/usr/bin/env python3
"""`gearbox advise`: it measures, names a model with its reasons, tries it out, and writes what serve takes.

Nothing here looks at a time or a rate: which model is named depends on both, and is for ./dev bench advise.
"""

import json
import os
import resource
import signal
import subprocess
import tempfile
import threading

from lib import GEARBOX, HANDLERS, PATIENCE_S, case, check, check_equal, check_refusal, main, run
from program import Program

QUICK = ("--quiet", "--messages", "200", "--connections", "4", "--rounds", "1", "--candidates", "2")
MEASURED = ("compute_ns", "block_ns", "wait_ns", "io_ns", "load_ns", "compute_share", "held_p50_ns", "held_p99_ns", "held_max_ns",
            "messages", "request_bytes", "reply_bytes", "connections", "idle", "depth", "cpus")


def advise(*arguments, code=0):
    """Run it. Returns its document."""
    done = run("advise", *arguments, *QUICK, "--json", "-")
    check_equal(done.returncode, code, f"exit code ({done.stderr!r})")
    check_equal(done.stderr.count("\n"), 0 if code == 0 else 1, f"lines on standard error ({done.stderr!r})")
    return json.loads(done.stdout)


@case
def a_model_is_named_with_reasons_and_measurements():
    document = advise("echo", "--idle", "10")
    check_equal((document["format"], document["service"], document["goal"]), ("gearbox-advise-1", "echo", "throughput"),
                "what it is")
    names = [candidate["model"] for candidate in document["candidates"]]
    for key in ("model", "runner_up", "by_the_rules"):
        check(document[key] in names, f"{key} is {document[key]}, the candidates are {names}")
    check(document["runner_up"] != document["model"], "the runner-up is the model itself")
    check_equal(document["by_the_rules"], names[0], "the candidates' order")
    check_equal(document["held"], document["model"] == document["by_the_rules"], "held")
    check(document["why"], "no reason")
    for key in MEASURED:
        check(document["measured"][key] is not None, f"{key} was not measured")
    check_equal([document["measured"][key] for key in ("connections", "idle", "depth", "request_bytes")], [4, 10, 1, 64],
                "the load")
    check(document["measured"]["messages"] >= 200, f"{document['measured']['messages']} messages were gauged")
    for flip in document["flips_at"]:
        check(flip["model"].split(",")[0] != document["by_the_rules"].split(",")[0] and flip["at"] > 0, f"flip {flip}")
    tried = [candidate for candidate in document["candidates"] if "measured" in candidate]
    check_equal(len(tried), 2, "tried")
    for candidate in document["candidates"]:
        check(all(reason["says"] and reason["source"] for reason in candidate["reasons"]), f"reasons of {candidate}")
    check_equal(document["comparison"]["format"], "gearbox-compare-1", "what it rests on")


@case
def scores_are_the_sums_of_their_rules_and_nobody_of_the_run_is_in_the_configuration():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "proxy.conf")
        for candidate in advise("proxy", "--write", path)["candidates"]:
            check_equal(candidate["score"], sum(reason["weight"] for reason in candidate["reasons"]), candidate["model"])
        with open(path, encoding="utf-8") as file:
            text = file.read()
    check("\n# set upstream=HOST:PORT, of your own\n" in text and "\nset upstream" not in text, text)


def one_cpu():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@case
def the_load_may_be_recorded_and_cpus_are_those_that_are_allotted():
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as recorded:
        recorded.write("> a request\n< a request\n")
        recorded.flush()
        done = run("advise", "echo", "--protocol", "conversation", "--conversation", recorded.name, *QUICK, "--json", "-",
                   before_exec=one_cpu)
    check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
    measured = json.loads(done.stdout)["measured"]
    check_equal((measured["cpus"], measured["request_bytes"], measured["reply_bytes"]), (1, 9, 9), "CPUs and bytes")


@case
def a_handler_that_blocks_is_seen_to():
    document = advise("work", "--block-us", "2000")
    check(document["measured"]["under_load"] > 0, "what a message takes among others was not measured")
    check_equal(advise("work")["measured"]["under_load"], None, "measured though nothing blocks")
    # No sleep is shorter than it was asked to be.
    check(document["measured"]["block_ns"] >= 1.9e6, f"blocked for {document['measured']['block_ns']} ns")
    check("stops-the-loop" in {reason["rule"] for candidate in document["candidates"] for reason in candidate["reasons"]},
          "no rule speaks of it")


@case
def each_goal_has_its_metric():
    metrics = {"throughput": "messages_per_second", "cpu": "cpu_ns_per_message", "p99": "p99_ns",
               "memory": "memory_per_connection_bytes"}
    for goal, metric in metrics.items():
        document = advise("echo", "--goal", goal, "--models", "reactor,thread")
        check_equal((document["goal"], document["metric"]), (goal, metric), "goal")
        check_equal(sorted(candidate["model"] for candidate in document["candidates"]), ["reactor", "thread"], "candidates")


@case
def serve_takes_the_configuration_that_was_written():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "echo.conf")
        done = run("advise", "echo", *QUICK, "--isolate", "--option", "idle-timeout=30s", "--set", "once=no", "--write", path)
        check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
        check("--model" in done.stdout and "Why:" in done.stdout, done.stdout)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        check("\nidle-timeout 30s\n" in text and "\nset once=no\n" in text, text)
        with subprocess.Popen([GEARBOX, "serve", "echo", "--listen", "127.0.0.1:0", "--config", path],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
            ready = server.stderr.readline()
            server.send_signal(signal.SIGTERM)
            server.stderr.read()
            check_equal(server.wait(timeout=PATIENCE_S), 0, "the server's exit code")
        check(" serving echo on 127.0.0.1:" in ready, f"ready line {ready!r}")


@case
def a_program_of_ones_own_is_advised():
    done = subprocess.run([HANDLERS, "advise", "timed", *QUICK, "--json", "-"], capture_output=True, text=True, check=False,
                          timeout=PATIENCE_S)
    check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
    check(json.loads(done.stdout)["model"], "no model")


@case
def a_server_that_runs_is_advised_by_its_load():
    with Program(GEARBOX, "serve", "echo", "--listen", "127.0.0.1:0", "--model", "reactor") as server:
        client, replies = server.connect()
        ended = threading.Event()

        def talk():
            while not ended.is_set():
                client.sendall(b"hello\n")
                replies.readline()

        client.sendall(b"hello\n")
        check_equal(replies.readline(), b"hello\n", "the first reply")
        talker = threading.Thread(target=talk)
        talker.start()
        try:
            done = run("advise", "--pid", str(server.process.pid), "--quick", "--json", "-")
        finally:
            ended.set()
            talker.join()
            client.close()
            replies.close()
        check_equal((done.returncode, done.stderr), (0, ""), "outcome")
    document = json.loads(done.stdout)
    check("engine=epoll" in document["runs_under"], f"it runs under {document['runs_under']}")
    check_equal((document["held"], document["comparison"]), (None, None), "what was tried")
    check(document["measured"]["rate"] > 0 and document["model"], f"measured {document['measured']}")


@case
def an_interruption_ends_it_with_what_there_is():
    with subprocess.Popen([GEARBOX, "advise", "echo", "--connections", "2", "--rounds", "50", "--candidates", "2"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stderr.readline()  # it has begun to try models out
        process.send_signal(signal.SIGINT)
        told, said = process.communicate(timeout=PATIENCE_S)
    check_equal(process.returncode, 1, "exit code")
    check("interrupted" in said, f"standard error {said!r}")
    check("echo, by throughput: --model " in told and "Interrupted: this is what there was until then." in told, told)


@case
def wrong_usage_is_refused_in_one_line():
    check_refusal(run("advise", "ecko"), 2, "did you mean", "echo")
    check_refusal(run("advise"), 2, "no service")
    check_refusal(run("advise", "echo", "--goal", "speed"), 2, "throughput")
    check_refusal(run("advise", "echo", "--models", "reactr"), 2, "reactor")
    check_refusal(run("advise", "echo", "--sweep", "size=1,2"), 2, "sweep")
    check_refusal(run("advise", "echo", "--candidates", "1"), 2, "candidates")
    check_refusal(run("advise", "echo", "--pid", str(os.getpid())), 2, "--pid", "echo")
    check_refusal(run("advise", "--pid", str(os.getpid())), 1, "gearbox")
    check_refusal(run("advise", "chargen"), 2, "--protocol")
    check_refusal(run("advise", "echo", "--write", "/no/such/folder/x"), 1, "/no/such/folder/x")


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))


@case
def what_cannot_be_tried_is_refused_before_anything_is_measured():
    """A service that would fail when it is measured."""
    ends = ("echo", "--set", "once=yes")
    check_refusal(run("advise", *ends, "--connections", "500", before_exec=few_descriptors), 2, "descriptors", "at most")
    check_refusal(run("advise", *ends, "--connections", "1000000"), 2, "ports")
    check_refusal(run("advise", *ends, "--rate", "1e9"), 2, "at most 5000000")
    check_refusal(run("advise", *ends, "--models", "reactor,fork,engine=epoll,workers=per-connection"), 2, "fork")


@case
def who_answers_wrongly_is_named():
    check_refusal(run("advise", "echo", "--set", "once=yes", *QUICK), 1, "closed early")


if __name__ == "__main__":
    main()
