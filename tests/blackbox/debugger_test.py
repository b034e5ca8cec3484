#!/usr/bin/env python3
"""Coroutines under gdb and valgrind: unit tests of src/coro, run by tools that look at stacks."""

import os
import re
import shutil
import subprocess

from lib import PATIENCE_S, case, check, check_equal, main

TESTS = os.environ["UNIT_TESTS"]

# What takes long with every instruction simulated.
MANY = ("many_live_at_once", "a_million_are_created_switched_and_ended_on_few_stacks")


def run(*command, **environment):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=PATIENCE_S * 4, env={**os.environ, **environment})
    return done.returncode, done.stdout + done.stderr


def missing(tool):
    if shutil.which(tool):
        return False
    print(f"skipped: there is no {tool} here", flush=True)
    return True


def frames_in_gdb(program):
    """The functions of the stack at the deepest place of the test, innermost first; None where gdb may not trace."""
    commands = ["set debuginfod enabled off", "break gb__context_test_deepest", "run", "bt", "kill"]
    _, text = run("gdb", "-nx", "-batch", *[word for command in commands for word in ("-ex", command)], "--args",
                  os.path.join(TESTS, program), "a_backtrace_ends_at_the_entry", TEST_SAME_PROCESS="1")
    if "ptrace" in text and "permitted" in text:
        print("skipped: gdb may not trace here", flush=True)
        return None
    check("Backtrace stopped" not in text, f"gdb did not come to the end of the stack:\n{text}")
    frames = re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\S+) \(", text, re.M)
    frames = [name.replace(".", "__") for name in frames]  # without a language it takes them for Ada's
    check(frames, f"gdb shows no stack:\n{text}")
    return frames


@case
def gdb_walks_through_a_coroutine_and_ends_at_its_entry():
    if missing("gdb"):
        return
    frames = frames_in_gdb("coro-context-test")
    if frames:
        check_equal(frames, ["gb__context_test_deepest", "gb__context_test_descend", "traces", "gb__context_begin"],
                    "the stack")


def cases_of(program):
    """The names of a unit test's cases, but of those that take long."""
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "src", "coro", program), encoding="utf-8") as file:
        return [name for name in re.findall(r"^TEST\((\w+)\)", file.read(), re.M) if name not in MANY]


@case
def valgrind_finds_nothing_to_complain_about():
    if missing("valgrind"):
        return
    code, text = run("valgrind", "-q", "--error-exitcode=9", "--child-silent-after-fork=no",
                     os.path.join(TESTS, "coro-coro-test"), *cases_of("coro_test.c"))
    check(code == 0 and not re.search(r"^==\d+== ", text, re.M), f"{code}: {text[-3000:]}")


if __name__ == "__main__":
    main()
