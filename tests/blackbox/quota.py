"""A control group whose processes have so many CPUs together, and no more."""

import contextlib
import os
import time

PERIOD_US = 50000
PATIENCE_S = 30  # until its processes have gone


def _limited(folder, cpus):
    """Set the limit of a group, whichever version has made it."""
    limits = {"cpu.max": f"{round(cpus * PERIOD_US)} {PERIOD_US}"}
    if not os.path.exists(f"{folder}/cpu.max"):
        limits = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(round(cpus * PERIOD_US))}
    for name, text in limits.items():
        with open(f"{folder}/{name}", "w", encoding="ascii") as file:
            file.write(text)


@contextlib.contextmanager
def group(cpus):
    """The file that takes the process which writes its pid, or "0" for itself. OSError: no such group can be made here."""
    top = next(folder for folder in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup") if os.path.isdir(folder))
    folder = f"{top}/gearbox-{os.getpid()}"
    os.mkdir(folder)
    try:
        _limited(folder, cpus)
        yield f"{folder}/cgroup.procs"
    finally:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                os.rmdir(folder)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
