"""Sockets that are passed to a server as systemd does it (sd_listen_fds(3))."""

import contextlib
import fcntl
import os

ABOVE = 200  # descriptors to pass lie here first, so that none is in the way of another


@contextlib.contextmanager
def passed(sockets, names=None):
    """What Server needs to get them as descriptors 3, 4, …"""
    high = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD, ABOVE) for each in sockets]
    moves = " ".join(f"{3 + place}<&{fd} {fd}<&-" for place, fd in enumerate(high))
    said = f"LISTEN_PID=$$ LISTEN_FDS={len(high)}" + (f" LISTEN_FDNAMES={names}" if names else "")
    try:
        yield {"prefix": ("bash", "-c", f"exec {moves}; export {said}; exec \"$@\"", "bash"), "pass_fds": high}
    finally:
        for fd in high:
            os.close(fd)
