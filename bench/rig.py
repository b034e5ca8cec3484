"""What the tests of this folder share: clients, the load generator, the runner.
The first argument of each test program is the folder that the build made of this one."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import traceback
import types

sys.dont_write_bytecode = True
import subject
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
    (found,) = [one for one in subjects.SUBJECTS if one.name == name]
    return subjects.command_of(found, options())


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


@contextlib.contextmanager
def lying_server(lie):
    """Echoes what lie(bytes so far, piece) makes of each piece; None closes."""

    def serve(client):
        total = 0
        with client, contextlib.suppress(OSError):
            while piece := client.recv(65536):
                answer = lie(total, piece)
                if answer is None:
                    return
                total += len(piece)
                client.sendall(answer)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def main(with_ring=True):
    """Run the tests; for most io_uring must work."""
    if with_ring and not subject.io_uring_works(BUILD):
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
