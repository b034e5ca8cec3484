#!/usr/bin/env python3
"""Coroutines, and other files of assembly, under tools that look at them: readelf, gdb, valgrind."""

import os
import re
import shutil
import signal
import socket
import subprocess

from lib import HOST, PATIENCE_S, case, check, check_equal, main, wait_until

TESTS = os.environ["UNIT_TESTS"]

# What takes long with every instruction simulated, or measures memory, of which valgrind has its own.
LEFT_OUT = ("many_live_at_once", "a_million_are_created_switched_and_ended_on_few_stacks",
            "an_idle_one_costs_four_and_a_half_kib_with_all_that_belongs_to_it")


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
def files_of_assembly_tell_what_they_keep_to():
    if missing("readelf"):
        return
    for name in ("libos", "libcoro"):
        archive = os.path.join(TESTS, "..", "src", name.removeprefix("lib"), name + ".a")
        _, text = run("readelf", "-nW", archive)
        for place, notes in re.findall(r"^File: \S+\[(\S+\.S\.o)\]\n(.*?)(?=^File: |\Z)", text, re.M | re.S):
            if "x86_64" in place and os.uname().machine == "x86_64":
                check("IBT, SHSTK" in notes, f"{place}: {notes}")


@case
def gdb_walks_through_a_coroutine_and_ends_at_its_entry():
    if missing("gdb"):
        return
    frames = frames_in_gdb("coro-context-test")
    if frames:
        check_equal(frames, ["gb__context_test_deepest", "gb__context_test_descend", "traces", "gb__context_begin"],
                    "the stack")


def cases_of(program):
    """The names of a unit test's cases, but of those left out."""
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "src", "coro", program), encoding="utf-8") as file:
        return [name for name in re.findall(r"^TEST\((\w+)\)", file.read(), re.M) if name not in LEFT_OUT]


@case
def valgrind_finds_nothing_to_complain_about():
    if missing("valgrind"):
        return
    code, text = run("valgrind", "-q", "--error-exitcode=9", "--child-silent-after-fork=no",
                     os.path.join(TESTS, "coro-coro-test"), *cases_of("coro_test.c"))
    check(code == 0 and not re.search(r"^==\d+== ", text, re.M), f"{code}: {text[-3000:]}")


@case
def a_server_that_receives_bare_ends_in_order_under_valgrind():
    """Valgrind keeps no mask that a signal's handler has set for who it returns to."""
    if missing("valgrind"):
        return
    with subprocess.Popen(["valgrind", "-q", os.environ["GEARBOX"], "serve", "echo", "--model", "iterative",
                           "--listen", f"{HOST}:0"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        port = int(re.search(rf"{HOST}:(\d+)", server.stderr.readline())[1])
        with socket.create_connection((HOST, port), PATIENCE_S * 4) as client:
            client.sendall(b"hello")
            check_equal(client.recv(5, socket.MSG_WAITALL), b"hello", "the answer")
            wait_until(lambda: state(server.pid) == "S", "it waits for more", PATIENCE_S * 4)
            server.send_signal(signal.SIGTERM)
            check_equal(client.recv(1), b"", "the end")
        text = server.stderr.read()
        check_equal(server.wait(), 0, f"exit code ({text[-2000:]})")


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0]


if __name__ == "__main__":
    main()
