#!/usr/bin/env python3
"""`gearbox verify`: no service differs under any combination; and what it says, refuses and leaves behind."""

import json
import os
import re
import signal
import subprocess
import time

from lib import (GEARBOX, SMALL, add_case, case, check, check_equal, check_refusal, descendants, main, run,
                 wait_until)
from seccomp import refuse_io_uring

SERVICES = ("chargen", "daytime", "discard", "echo", "time", "time-echo", "work")
COMBINATIONS = 134
# Sanitizer builds are many times slower: one model for each engine, unit and way of handing over.
FEW = ("reactor", "prefork", "thread", "thread-pool", "process-pool", "multi-reactor-pool,workers=2",
       "prefork-reactor,workers=2,wake=lock", "process-pool-reactor,workers=2,engine=poll",
       "multi-reactor-reuseport,workers=2,engine=select")
VERIFY_S = 600
JOBS = 6 * len(os.sched_getaffinity(0))


def verify(*arguments, before_exec=None):
    done = subprocess.run([GEARBOX, "verify", *arguments], capture_output=True, check=False, text=True,
                          stdin=subprocess.DEVNULL, timeout=VERIFY_S, preexec_fn=before_exec)
    check_equal(done.stderr, "", "standard error")
    return done


def only(*specs):
    return [word for spec in specs for word in ("--only", spec)]


def does_not_differ(service):
    # Most of their time is waiting.
    done = verify(service, *(only(*FEW) + ["--patience", "60s"] if SMALL else ["--jobs", f"{JOBS}"]))
    lines = done.stdout.splitlines()
    check_equal(done.returncode, 0, f"exit code ({lines[:10]})")
    last = re.match(rf"^{service}: (\d+) combinations, 0 differences$", lines[-1])
    check(last, f"the last line is {lines[-1]!r}")
    expected = len(FEW) if SMALL else COMBINATIONS
    skipped = [line for line in lines if " combinations skipped: " in line]
    check(int(last[1]) == expected or (skipped and "io_uring" in skipped[0]), f"{lines}")


for name in SERVICES:
    add_case(f"nothing_differs[{name}]", does_not_differ, name)


@case
def every_service_is_verified():
    done = verify("all", "--json", "--conversation", "drained", *only("reactor"))
    check_equal(done.returncode, 0, "exit code")
    answer = json.loads(done.stdout)
    check_equal([row["service"] for row in answer], list(SERVICES), "services")
    for row in answer:
        check_equal({key: row[key] for key in ("combinations", "models", "differences", "different", "skipped")},
                    {"combinations": 1, "models": 1, "differences": 0, "different": [], "skipped": []},
                    f"what is said of {row['service']}")


@case
def a_model_that_the_machine_refuses_is_skipped_and_counted_apart():
    done = verify("time", "--conversation", "spoken", *only("reactor", "proactor", "prefork-reactor"),
                  before_exec=refuse_io_uring)
    lines = done.stdout.splitlines()
    check_equal(done.returncode, 0, "exit code")
    check_equal(lines[-1], "time: 2 combinations, 0 differences", "the last line")
    check(re.match(r"^time: 1 combinations skipped: .*io_uring", lines[-2]), f"the line before: {lines[-2]!r}")


@case
def the_combinations_are_those_that_models_lists():
    done = run("models", "--combinations")
    lines = done.stdout.splitlines()
    check_equal(lines[-1], f"{COMBINATIONS} combinations", "the last line")
    check_equal(len(set(lines[:-1])), COMBINATIONS, "different specs")
    for line in lines[:-1]:
        check(re.match(r"^accept=[a-z]+,unit=[a-z]+,workers=(1|N|per-connection),engine=\w+,compute=[a-z]+$", line),
              f"{line!r} is not as --model takes it")
    answer = json.loads(run("models", "--combinations", "--json").stdout)
    check_equal(answer["count"], COMBINATIONS, "count")
    check_equal([row["spec"] for row in answer["combinations"]], lines[:-1], "specs")
    check_equal(answer["combinations"][0]["axes"]["accept"], "acceptor", "an axis")


@case
def conversations_are_listed():
    done = verify("echo", "--list")
    check_equal(done.returncode, 0, "exit code")
    for word in ("fragmented", "pipelined", "half-closed", "interrupted", "slow", "large", "many", "drained"):
        check(re.search(rf"^  {word} ", done.stdout, re.M), f"{word} is not in {done.stdout}")
    check("spoken" not in done.stdout, "echo does not speak first")
    check("faulty" in verify("work", "--list").stdout, "work refuses faulty messages")


@case
def wrong_usage_is_refused():
    for arguments, words in (
            ((), ("no service", "echo")),
            (("ecko",), ("did you mean \"echo\"",)),
            (("echo", "work"), ("work",)),
            (("echo", "--conversation", "pipelinde"), ("did you mean \"pipelined\"",)),
            (("echo", "--jobs", "0x"), ("jobs",)),
            (("echo", "--only", "reactr"), ("did you mean \"reactor\"",)),
            (("echo", "--only", "fork,engine=epoll"), ("needs engine=blocking", "nearest is"))):
        check_refusal(run("verify", *arguments), 2, "verify", *words)


@case
def nothing_is_left_over_whatever_ends_it():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        process = subprocess.Popen([GEARBOX, "verify", "echo", "--quiet"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        below = wait_until(lambda: descendants(process.pid)[4:], "servers run")
        check(below, "servers run")
        os.kill(process.pid, number)
        check_equal(process.wait(60), -number, "exit code")
        deadline = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{pid}") and open(f"/proc/{pid}/stat").read().split()[2] != "Z"
                  for pid in below):
            check(time.monotonic() < deadline, f"left over: {below}")
            time.sleep(0.01)


if __name__ == "__main__":
    main()
