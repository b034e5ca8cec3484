"""What the tests of this folder share: clients, the load generator, the runner.
The first argument of each test program is the folder that the build made of this one."""

import json
import os
import socket
import subprocess
import sys
import traceback
import types

sys.dont_write_bytecode = True
import subjects

FOLDER = sys.argv[1]
BUILD = os.path.dirname(os.path.normpath(FOLDER))
SOURCE = os.path.dirname(os.path.abspath(__file__))
DEADLINE = 30  # seconds: only what never happens takes so long

tests = []


def test(function):
    """Run once as it is."""
    tests.append((function.__name__, function))
    return function


def options(**more):
    """As bench.py has them."""
    values = {"build": BUILD, "gearbox": os.path.join(BUILD, "gearbox"), "source": SOURCE}
    return types.SimpleNamespace(**values, **more)


def command(name):
    """Of a subject that needs nothing but the build."""
    (subject,) = [subject for subject in subjects.SUBJECTS if subject.name == name]
    return subjects.command_of(subject, options())


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)


def receive(client, size):
    """Exactly so many bytes, or what comes before the end."""
    parts = []
    while size:
        part = client.recv(min(size, 1 << 20))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def loadgen(port, *arguments):
    """Run it: (what subprocess.run returns, its summary)."""
    done = subprocess.run([os.path.join(FOLDER, "loadgen"), *arguments, str(port)],
                          capture_output=True, text=True, timeout=4 * DEADLINE)
    return done, json.loads(done.stdout) if done.stdout else {}


def load_is_right(port, messages, *arguments):
    done, summary = loadgen(port, "--messages", str(messages), *arguments)
    assert done.returncode == 0, done.stderr
    assert summary["messages"] == messages and summary["errors"] == 0, summary
    return summary


def io_uring_is_refused():
    """By a seccomp filter, a sysctl or an old kernel; anything else that keeps it from starting is a failure."""
    with subprocess.Popen(command("raw_uring"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        if process.stdout.readline():
            process.kill()
            return False
        said = process.stderr.read()
    return "not permitted" in said or "not implemented" in said


def main():
    if io_uring_is_refused():
        print("io_uring, which raw_uring and loadgen need, is refused here: not run\n0 passed, 0 failed")
        return 0
    failed = 0
    for name, run in tests:
        try:
            run()
            print(f"ok   {name}", flush=True)
        except Exception:
            failed += 1
            traceback.print_exc(limit=-2)
            print(f"FAIL {name}", flush=True)
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0
