"""Servers that are programs of their own."""

import os
import re
import select
import signal
import socket
import subprocess
import time

from lib import PATIENCE_S, check, check_equal


class Program:
    """A program that serves, with its ready line read. As a context it ends by SIGTERM, exit code 0."""

    def __init__(self, path, *arguments, environment=None):
        self.process = subprocess.Popen([path, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        env=environment)
        self.ready_line = self._read_line()
        found = re.search(r"127\.0\.0\.1:([0-9]+)", self.ready_line)
        if not found:
            self.process.kill()
            self.process.wait()
            self.process.stderr.close()
        check(found, f"{path} {arguments}: no ready line, but {self.ready_line!r}")
        self.port = int(found[1])
        self.address = found[0]

    def _read_line(self):
        line, deadline = b"", time.monotonic() + PATIENCE_S
        while not line.endswith(b"\n"):
            waiting = select.select([self.process.stderr], [], [], max(0, deadline - time.monotonic()))[0]
            part = os.read(self.process.stderr.fileno(), 1) if waiting else b""
            if not part:
                break
            line += part
        return line.decode(errors="replace")

    def connect(self):
        """A client: the socket, and a file to read its lines from."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        return client, client.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.send_signal(signal.SIGKILL if kind else signal.SIGTERM)
        log = self.process.stderr.read().decode(errors="replace")
        code = self.process.wait(PATIENCE_S)
        self.process.stderr.close()
        if not kind:
            # Who came to a bad end, and the drain, leave a line each; nothing else does.
            log = "".join(line for line in log.splitlines(True) if ": notice: " not in line)
            check_equal((code, log), (0, ""), f"exit code and log of {self.ready_line!r}")
