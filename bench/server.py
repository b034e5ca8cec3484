"""Servers as processes: started on given CPUs, and what they use of time and memory."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60  # seconds for anything to answer


class Failure(Exception):
    pass


def child(command, cpus, **streams):
    """Start a command on some CPUs; it ends when this process does."""

    def prepare():
        os.sched_setaffinity(0, cpus)
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return subprocess.Popen(command, preexec_fn=prepare, text=True, **streams)


def process_tree(pid):
    yield pid
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                children = file.read().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for number in children:
            yield from process_tree(int(number))


def cpu_ns(pid):
    """CPU time of a process, its threads and its descendants, the ended ones included.

    A process's clock is exact to the nanosecond and counts ended threads; reaped children are known to
    the tick only, which matters to a process per connection alone.
    """
    total = 0
    for member in process_tree(pid):
        try:
            total += time.clock_gettime_ns(~member << 3 | 2)  # CPUCLOCK_SCHED, see clock_getcpuclockid(3)
            with open(f"/proc/{member}/stat") as file:
                reaped = file.read().rpartition(")")[2].split()[13:15]
        except (OSError, IndexError):
            continue  # ended just now: the next reading finds it with its parent
        total += sum(map(int, reaped)) * 1_000_000_000 // TICKS
    return total


def settled_cpu_ns(pid):
    """The same once it stands still: what was asked of the server is then done."""
    before = cpu_ns(pid)
    for _ in range(100):
        time.sleep(0.001)
        now = cpu_ns(pid)
        if now == before:
            break
        before = now
    return before


def memory_bytes(pid):
    """Memory of a process and its descendants that no file is behind; what they share counts once."""
    total = 0
    for member in process_tree(pid):
        try:
            with open(f"/proc/{member}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss_Anon:"))
        except OSError:
            continue
    return total


class Server:
    def __init__(self, name, command, ready, cpus, **streams):
        pattern, stream = ready
        streams[stream] = subprocess.PIPE
        self.name = name
        self.process = child(command, cpus, stdin=subprocess.DEVNULL, **streams)
        self.pid = self.process.pid
        output = getattr(self.process, stream)
        for line in output:
            found = re.match(pattern, line)
            if found:
                self.port = found.group(1)
                break
            self.pass_on(line)
        else:
            self.stop()
            raise Failure(f"{name} ended before it was ready: {' '.join(command)}")
        # Whoever has more to say must not wait for a reader.
        self.reader = threading.Thread(target=self.pass_on_all, args=(output,), daemon=True)
        self.reader.start()

    def pass_on(self, line):
        sys.stderr.write(f"{self.name}: {line}")

    def pass_on_all(self, output):
        with output:
            for line in output:
                self.pass_on(line)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
