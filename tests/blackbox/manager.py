"""The service manager, as a server tells it what it does (sd_notify(3))."""

import contextlib
import os
import socket
import time

from lib import PATIENCE_S


@contextlib.contextmanager
def manager(**variables):
    """A socket that is told, and what Server needs to tell it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        name = f"gearbox-manager-{os.getpid()}-{time.monotonic_ns()}"
        told.bind(f"\0{name}")
        told.settimeout(PATIENCE_S)
        yield told, {"NOTIFY_SOCKET": f"@{name}", **variables}


def told_until(told, what):
    """Messages until one has this line. Returns the lines of that one."""
    while True:
        lines = told.recv(4096).decode().split("\n")
        if what in lines:
            return lines
