"""Servers as processes: started on given CPUs, and what they use of time and memory."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 60  # for anything to happen that should happen at once

# A line that a server prints when it is ready, with its port.
READY = re.compile(r"^(?:\S+: serving \S+ on 127\.0\.0\.1:)?(\d+)(?:(?: behind a proxy)?(?: over TLS)? \(model .*)?$")


class Failure(Exception):
    pass


class Refused(Failure):
    """The kernel does not let it: a server's exit code is EX_UNAVAILABLE (sysexits.h)."""


def child(command, cpus=None, **more):
    """Start a command, on these CPUs if any are given; it ends when this process does."""

    def prepare():
        if cpus:
            os.sched_setaffinity(0, cpus)
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return subprocess.Popen(command, preexec_fn=prepare, text=True, **more)


def until(condition, what):
    """Poll for what sends no event, such as a file of /proc. Returns the condition's value."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failure(f"not within {PATIENCE_S} s: {what}")
        time.sleep(0.002)
    return value


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


def memory_bytes(pid, kinds=("Pss_Anon:",)):
    """Memory of a process and its descendants that no file is behind; what they share counts once."""
    total = 0
    for member in process_tree(pid):
        try:
            with open(f"/proc/{member}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith(kinds))
        except OSError:
            continue  # it has ended meanwhile
    return total


def settled(read, pause, count, tolerance=0):
    """What `read` returns once it stands still: what was asked of a server is then done. Looks so often at most."""
    now = read()
    for _ in range(count):
        before = now
        time.sleep(pause)
        now = read()
        if abs(now - before) <= tolerance:
            break
    return now


def settled_cpu_ns(pid):
    return settled(lambda: cpu_ns(pid), 0.001, 100)


def settled_memory(pid):
    """With shared memory and what is swapped out."""
    return settled(lambda: memory_bytes(pid, ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")), 0.02, 50)


class Server:
    """A server that is ready; as a context it is ended, in order if it can. What else it says is passed on."""

    def __init__(self, name, command, cpus=None, prefix=(), environment=None):
        if not shutil.which(command[0]):
            raise Failure(f"{name}: there is no {command[0]}; './dev bench' builds what it needs, "
                          "for peers when --peers or --all is given")
        self.name = name
        self.port = None
        self.said = []
        self.ready = threading.Event()  # or at its end
        self.process = child([*prefix, *command], cpus, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})})
        self.pid = self.process.pid
        # Whoever has more to say must not wait for a reader.
        self.reader = threading.Thread(target=self.read_all, daemon=True)
        self.reader.start()
        try:
            if not self.ready.wait(PATIENCE_S):
                raise Failure(f"{name}: not ready within {PATIENCE_S} s")
            if not self.port:
                refused = self.ended_within(PATIENCE_S) and self.process.returncode == os.EX_UNAVAILABLE
                raise (Refused if refused else Failure)(
                    f"{name} ended before it was ready: {' '.join(self.said) or 'it said nothing'}")
        except BaseException:
            self.kill()
            raise

    def read_all(self):
        with self.process.stdout as output:
            for line in output:
                found = None if self.port else READY.match(line)
                if found:
                    self.port = int(found.group(1))
                    self.ready.set()
                else:
                    self.said.append(line.rstrip("\n"))
                    sys.stderr.write(f"{self.name}: {line}")
        self.ready.set()

    @property
    def ended(self):
        return self.process.poll() is not None

    def check_alive(self):
        if self.ended:
            raise Failure(f"{self.name} ended with code {self.process.returncode}: {' '.join(self.said[-3:])}")

    def ended_within(self, seconds):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self):
        """End it at once, and what it started with it."""
        for pid in reversed(list(process_tree(self.pid))):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.terminate()
        if kind or not self.ended_within(PATIENCE_S):
            self.kill()
