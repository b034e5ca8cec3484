#!/usr/bin/env python3
"""`gearbox verify`: no service differs under any combination; and what it says, refuses and leaves behind."""

import json
import os
import re
import signal
import subprocess
import tempfile

from cover import combinations, pairwise
from lib import (FULL, GEARBOX, SMALL, THREADS, add_case, case, check, check_equal, check_refusal, descendants, ended, main,
                 run, wait_until)
from seccomp import refuse_io_uring

SERVICES = ("bulk", "bulk-sequential", "chargen", "chargen-sequential", "daytime", "discard", "echo", "echo-sequential",
            "proxy", "proxy-length", "proxy-line", "syslog", "time", "time-echo", "work", "work-deferred",
            "work-routed", "work-sequential")
# Each of the proxy's clients is two, and nothing comes back from syslog: a few models tell, their own tests have the others.
COSTLY = ("bulk", "bulk-sequential", "proxy", "proxy-length", "proxy-line", "syslog")
COMBINATIONS = 194
# Sanitizer builds are many times slower: one model for each engine, unit and way of handing over.
FEW = ("reactor", "proactor", "prefork", "thread", "thread-pool", "process-pool", "multi-reactor-pool,workers=2",
       "prefork-reactor,workers=2,wake=lock", "process-pool-reactor,workers=2,engine=poll",
       "multi-reactor-reuseport,workers=2,engine=select")
PROCESS = ("prefork", "process-pool")  # of one thread each, where the thread sanitizer has nothing to see
# All combinations are held for these, one of each style; for the others a cover of their own each, together most of them.
# In a full run for them all without compute=processes, and two with: what differs there is not the service's.
THOROUGH = ("echo", "echo-sequential", *(("work",) if FULL else ()))
APART = ("work-deferred",)  # refused there: nobody is there who could answer later
PROCESSES = ("reactor,compute=processes", "multi-proactor,compute=processes,workers=2")
VERIFY_S = 600
JOBS = 6 * len(os.sched_getaffinity(0))


def verify(*arguments, before_exec=None):
    done = subprocess.run([GEARBOX, "verify", *arguments], capture_output=True, check=False, text=True,
                          stdin=subprocess.DEVNULL, timeout=VERIFY_S, preexec_fn=before_exec)
    check_equal(done.stderr, "", "standard error")
    return done


def only(*specs):
    return [word for spec in specs for word in ("--only", spec)]


def specs_of(service):
    """The combinations to hold it under; none: all."""
    if SMALL and not FULL:
        # The same code for every service: each takes some, beginning elsewhere, and echo all of them.
        few = [spec for spec in FEW if not THREADS or not spec.startswith(PROCESS)]
        return few if service == "echo" else few[SERVICES.index(service) % 3::3]
    if SMALL or service in COSTLY:
        return FEW
    if service in THOROUGH:
        return ()
    inline = [spec for spec in combinations() if "compute=processes" not in spec]
    if FULL:
        return (*inline, *(() if service in APART else PROCESSES))
    return pairwise(inline if service in APART else combinations(), 12 * SERVICES.index(service))


def does_not_differ(service):
    # Most of their time is waiting.
    specs = specs_of(service)
    few = SMALL or specs is FEW
    done = verify(service, *only(*specs), *(("--patience", "60s") if few else ("--jobs", f"{JOBS}")))
    lines = done.stdout.splitlines()
    check_equal(done.returncode, 0, f"exit code ({lines[:10]})")
    last = re.match(rf"^{service}: (\d+) combinations, 0 differences$", lines[-1])
    check(last, f"the last line is {lines[-1]!r}")
    expected = len(specs) or COMBINATIONS
    skipped = [line for line in lines if " combinations skipped: " in line]
    check(int(last[1]) == expected or (skipped and "io_uring" in skipped[0]), f"{lines}")


for name in SERVICES:
    add_case(f"nothing_differs[{name}]", does_not_differ, name)


def does_not_differ_with_tls(service):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([GEARBOX, "verify", service, "--tls", *only(*FEW[:7]), "--patience", "60s"],
                              capture_output=True, check=False, text=True, stdin=subprocess.DEVNULL, timeout=VERIFY_S,
                              env={**os.environ, "TMPDIR": folder})
        check_equal((done.returncode, done.stderr), (0, ""), f"exit code and errors ({done.stdout[-600:]!r})")
        check(re.search(rf"^{service}: \d+ combinations, 0 differences$", done.stdout.splitlines()[-1]), done.stdout[-600:])
        check_equal(os.listdir(folder), [], "what it leaves behind")


for name in ("echo", "proxy-line") if SMALL and not FULL else ("echo", "daytime", "work-sequential", "proxy-line"):
    add_case(f"nothing_differs_with_tls[{name}]", does_not_differ_with_tls, name)


@case
def a_service_is_compared_with_what_another_one_answers():
    specs = only("reactor", "thread", "reactor-pool,workers=1" if SMALL else "proactor-pool")
    for service, other, messages in (("echo-sequential", "echo", ()), ("work-sequential", "work", ()),
                                     ("work-deferred", "work", ()), ("work", "work-routed", ()),
                                     ("echo-sequential", "echo", ("--message", "one", "--message", "two")),
                                     ("echo", "echo-sequential", ("--message", "\\x00"))):
        done = verify(service, "--as", other, *messages, *specs)
        lines = done.stdout.splitlines()
        check_equal(done.returncode, 0, f"exit code ({lines[:10]})")
        check_equal(lines[-1], f"{service}: 3 combinations, 0 differences from {other}", "the last line")
    done = verify("discard", "--as", "echo", "--message", "one", "--conversation", "paced", "--json",
                  "--patience", "1s", *only("reactor", "thread"))  # for answers that never come
    row = json.loads(done.stdout)[0]
    check_equal((done.returncode, row["as"], row["differences"] > 0), (1, "echo", True), "other answers")
    check_equal(len({told["model"] for told in row["different"]}), 2, "models that differ")


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
            (("echo", "--as", "ecko"), ("did you mean \"echo\"",)),
            (("all", "--as", "echo"), ("one service instead of all",)),
            (("echo", "--conversation", "pipelinde"), ("did you mean \"pipelined\"",)),
            (("echo", "--jobs", "0x"), ("jobs",)),
            (("echo", "--only", "reactr"), ("did you mean \"reactor\"",)),
            (("echo", "--only", "fork,engine=epoll"), ("needs engine=blocking", "nearest is"))):
        check_refusal(run("verify", *arguments), 2, "verify", *words)


def check_ended(pids):
    """None of them is there any more."""
    wait_until(lambda: all(ended(pid) for pid in pids), f"{pids} end")


@case
def nothing_is_left_over_when_it_is_killed():
    with subprocess.Popen([GEARBOX, "verify", "echo", "--quiet"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        below = wait_until(lambda: descendants(process.pid)[4:], "servers run")
        process.kill()
        check_equal(process.wait(60), -signal.SIGKILL, "exit code")
        check_ended(below)


def interrupted(number, *arguments):
    """What a verification says that a signal ends while servers run."""
    with subprocess.Popen([GEARBOX, "verify", "echo", *arguments], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        below = wait_until(lambda: descendants(process.pid)[4:], "servers run")
        os.kill(process.pid, number)
        stdout, stderr = process.communicate(timeout=60)
        check_equal(process.returncode, 1, f"exit code ({stdout!r}, {stderr!r})")
        check_ended(below)
    check(stderr.startswith("gearbox: verify: interrupted") and stderr.count("\n") == 1, f"standard error: {stderr!r}")
    return stdout


@case
def interrupted_it_tells_what_it_found_so_far():
    for number in (signal.SIGINT, signal.SIGTERM):
        stdout = interrupted(number)
        check(re.fullmatch(r"echo: interrupted after \d+ of \d+ models, 0 differences\n", stdout), f"{stdout!r}")
    row = json.loads(interrupted(signal.SIGINT, "--json"))[0]
    check_equal((row["interrupted"], row["differences"]), (True, 0), "interrupted, differences")


@case
def with_messages_of_ones_own_the_answers_under_all_models_are_compared():
    for arguments in (("time-echo", "--set", "clock=1492689600", "--message", "one", "--message", "two\\r\\n"),
                      ("echo", "--message", "\\x00\\xff"), ("discard", "--message", "gone"),
                      ("work", "--message", "\\0\\0\\0\\x01\\0\\0\\0\\0\\0\\0\\0\\0payload")):
        done = verify(*arguments, *only("reactor", "thread", "proactor" if not SMALL else "prefork"))
        lines = done.stdout.splitlines()
        check_equal(done.returncode, 0, f"{arguments}: exit code ({lines[:10]})")
        check(re.match(r"^\S+: \d combinations, 0 differences$", lines[-1]), f"{lines}")


@case
def messages_that_cannot_be_repeated_are_refused_with_the_reason():
    for arguments, words in ((("echo", "--set", "once=yes", "--message", "a"), ("message 1", "ends the connection")),
                             (("work", "--message", "short"), ("message 1", "ends the connection (bad_frame)")),
                             (("echo", "--message", "\\q"), ("behind a backslash",)),
                             (("echo", "--message-file", "/nonexistent/x"), ("/nonexistent/x",)),
                             (("echo", "--message", "a", "--set", "nope=1"), ("nope",))):
        check_refusal(run("verify", *arguments, "--only", "reactor"), (1, 2), "verify", *words)


if __name__ == "__main__":
    main()
