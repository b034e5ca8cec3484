"""What tests of `gearbox load` share: running it, and servers that answer wrongly."""

import contextlib
import json
import socket
import threading

from certificates import server_context
from lib import check, check_equal, run

DOUBTFUL = 3  # exit code: all was answered, but figures are not to be trusted
NO_ERRORS = {"connect_failed": 0, "closed_early": 0, "wrong_replies": 0, "unanswered": 0}


def load(address, *arguments, code=0):
    """Run the command on an address. Returns its JSON; the line on standard error is its `stderr`."""
    done = run("load", address, "--json", *arguments)
    check(done.stdout, f"nothing but exit code {done.returncode} and {done.stderr!r}")
    result = json.loads(done.stdout)
    result["stderr"] = done.stderr
    if code == 0 and result["warnings"]:
        code = DOUBTFUL  # a loaded machine is something that it tells of
    check_equal(done.returncode, code, f"exit code ({done.stderr!r})")
    check_equal(result["ok"], code in (0, DOUBTFUL), "ok")
    check_equal(done.stderr.count("\n"), 0 if code == 0 else 1, f"lines on standard error ({done.stderr!r})")
    return result


class FaultyServer:
    """Echoes on threads of this process, until `fault(connection, data)` has something else to do.

    It returns the bytes to send, or None when the connection is to end. `tls`: who begins so is spoken to by it.
    """

    def __init__(self, fault, ending=0, tls=False):
        self.tls = server_context() if tls else None
        self.ending = ending  # connections that end as soon as they are there, before any other
        self.sources = []  # addresses of its clients, in their order
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listening.getsockname()[1]}"
        self.fault = fault
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            for _ in range(self.ending):
                self.listening.accept()[0].close()
            while True:
                connection, (source, _) = self.listening.accept()
                self.sources.append(source)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()
        except OSError:
            pass  # closed below

    def serve(self, connection):
        with contextlib.suppress(OSError):
            if self.tls and connection.recv(1, socket.MSG_PEEK) == b"\x16":
                connection = self.tls.wrap_socket(connection, server_side=True)
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    answer = self.fault(connection, data)
                    if answer is None:
                        return
                    connection.sendall(answer)
            except OSError:
                pass  # the client went away

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


def after(count, act):
    """A fault that echoes `count` times, then acts."""
    lock, left = threading.Lock(), [count]

    def fault(connection, data):
        with lock:
            left[0] -= 1
            now = left[0] < 0
        return act(connection, data) if now else data

    return fault
