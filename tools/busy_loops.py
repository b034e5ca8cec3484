#!/usr/bin/env python3
"""busy_loops.py SECONDS: keep every CPU that this process may use busy, as others' programs do, until it is ended.

One loop for each CPU, at nice 0, for SECONDS at most. Prints their pids once all run. They end with this process,
and it ends with its parent.
"""

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1


def end_with_parent(parent):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was quicker
        os._exit(0)


def loop(cpu, until, parent):
    end_with_parent(parent)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.sched_setaffinity(0, {cpu})
    while time.monotonic() < until:
        for _ in range(1 << 16):
            pass
    os._exit(0)


def main(seconds):
    end_with_parent(os.getppid())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    until, here, pids = time.monotonic() + seconds, os.getpid(), []
    try:
        for cpu in sorted(os.sched_getaffinity(0)):
            pid = os.fork()
            if pid == 0:
                loop(cpu, until, here)
            pids.append(pid)
        print(*pids, flush=True)
        for pid in list(pids):
            os.waitpid(pid, 0)
            pids.remove(pid)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(float(sys.argv[1]))
