"""What black-box tests share: cases, running the command, a server under test, leftovers.

A test file reads

    @case
    def echoes_a_line():
        with Server() as server:
            ...
    if __name__ == "__main__":
        main()

A server that a case starts must end with exit code 0 and leave no process and no unexpected line on
standard error (a sanitizer's report is one). This process adopts orphans (PR_SET_CHILD_SUBREAPER), so
a worker that outlives its parent is seen whoever it was.
"""

import concurrent.futures
import ctypes
import functools
import itertools
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

GEARBOX = os.path.abspath(os.environ.get(
    "GEARBOX", os.path.join(os.path.dirname(__file__), "..", "..", "build", "gearbox")))

# Services that users might write, as a program of their own (handlers.c).
HANDLERS = os.path.abspath(os.environ.get(
    "HANDLERS", os.path.join(os.path.dirname(__file__), "..", "..", "build", "tests", "blackbox", "handlers")))

# The address of this program's servers. Another's client that comes late to a port of 127.0.0.1 would reach whoever has
# the port now, and a port that is free here may be taken there.
HOST = f"127.{64 + (os.getpid() >> 16) % 128}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"

# A bound on what should happen at once, wide enough for a sanitizer on a busy machine.
PATIENCE_S = int(os.environ.get("BLACKBOX_PATIENCE", "60"))
LEFTOVER_S = 30  # until workers must have followed their parent
CASE_SECONDS_MAX = 240
TOGETHER = 8  # cases that wait

# Says of each case how long it took.
VERBOSE = os.environ.get("BLACKBOX_VERBOSE") == "1"

# Says to end at the first failure: after a fault that hangs each case would take its whole patience.
STOP = os.environ.get("TEST_STOP") == "1"

# Set for sanitizer builds, which are many times slower: fewer models, connections and repetitions.
SMALL = os.environ.get("BLACKBOX_SMALL") == "1"

# Set by `./dev test full`: all models where covers of them are usual (cover.py).
FULL = os.environ.get("BLACKBOX_FULL") == "1"

# Set for the thread sanitizer's build, which has nothing to see where a process has one thread.
THREADS = os.environ.get("BLACKBOX_THREADS") == "1"

# Of drains, which take seconds on a slow machine, and of connections that were refused or dropped.
NOTICE = re.compile(r"\w+: (notice: |(warning: )?draining: )")
BEFORE_SERVICE = re.compile("( behind a proxy)?( over TLS)?$")
READY = re.compile(r"^\w+: serving (?P<service>\S+) on (?P<where>.+) "
                   r"\(model (?P<model>\S+), pid (?P<pid>\d+)\)$")

_PR_SET_CHILD_SUBREAPER = 36
_TCP_LISTEN = 10
_IP_BIND_ADDRESS_NO_PORT = 24
_cases = []
_kept = set()
_failed = threading.Event()


class Failure(AssertionError):
    """A check that did not hold."""


def case(function):
    """Register a case; its name is the function's."""
    _cases.append((function.__name__, function, False))
    return function


def add_case(name, function, *arguments, waits=False):
    """Register a case of a table.

    `waits`: most of its time is waiting, so several such cases run at the same time, each in a thread. It must not
    change this process: no `before_exec`, no signals, no limits.
    """
    _cases.append((name, lambda: function(*arguments), waits))


def case_for_each(models, suffix="", waits=False):
    """Register a case for each of the models, which it gets as its argument: case[model]."""
    def register(function):
        for model in models:
            add_case(f"{function.__name__}{suffix}[{model.spec}]", function, model, waits=waits)
        return function
    return register


def check(condition, text):
    if not condition:
        raise Failure(text)


def check_equal(actual, expected, what):
    if actual != expected:
        raise Failure(f"{what} is {actual!r}, expected {expected!r}")


def wait_until(condition, what, seconds=PATIENCE_S, pause=0.005):
    """Poll for what sends no event, such as a file of /proc. Returns the condition's value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(pause)


def timely(seconds, attempt):
    """Try until an attempt passes, or fails although its longest pause was shorter: a client that has to be in time
    may have been kept from it, and then nothing is known of the server.

    `attempt` gets a function to call whenever what it does has to be in time again.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        longest, last = 0, time.monotonic()

        def in_time():
            nonlocal longest, last
            now = time.monotonic()
            longest, last = max(longest, now - last), now

        try:
            return attempt(in_time)
        except (Failure, OSError):
            in_time()
            if longest < seconds or last > deadline:
                raise


# Processes


def children(pid):
    """The pids of a process's children, those of all its threads."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def descendants(pid):
    """The pids of all below a process, parents first."""
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def ended(pid):
    """Whether a process has ended; its exit code may still be there."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def descriptors(pid):
    """{number: what it refers to} of a process's open descriptors. FileNotFoundError: it has ended."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            pass
    return found


def holds(pid, target):
    """Whether a process that may end at any time has this open."""
    try:
        return target in descriptors(pid).values()
    except (FileNotFoundError, ProcessLookupError):
        return False


@functools.cache
def _thread_sanitized():
    with open(GEARBOX, "rb") as file:
        return b"__tsan_init" in file.read()


def _of_ring(pid, task):
    try:
        with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii", errors="replace") as file:
            return file.read().startswith("iou-")
    except (FileNotFoundError, ProcessLookupError):
        return False


def tasks(pid):
    """Its threads, the main one first, without the one that the thread sanitizer begins beside the first other one, and without
    the kernel's for a ring, which come and go."""
    found = sorted((task for task in map(int, os.listdir(f"/proc/{pid}/task")) if not _of_ring(pid, task)),
                   key=lambda task: (task != pid, task))
    return [found[0], *found[2:]] if len(found) > 1 and _thread_sanitized() else found


def threads(pid):
    return len(tasks(pid))


def own_bytes(pid):
    """The memory that a process has for itself; none, when it has ended. Without pages of files: how many of those it
    maps is up to the page cache, which may hold a program that was just built in large folios."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            resident, shared = file.read().split()[1:3]
            return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0


def cpu_seconds(pids):
    """CPU time that running processes have taken, exact: their clocks as clock_getcpuclockid(3) makes them."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def _endpoint(text):
    """(address, port) of one of /proc/net/tcp, which shows an address as a number of the machine's."""
    address, _, port = text.partition(":")
    return socket.inet_ntoa(int(address, 16).to_bytes(4, sys.byteorder)), int(port, 16)


def _tcp_table():
    """Rows of (local, remote, state, receive queue, inode) of the IPv4 sockets here; listening ones first."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        next(file)
        for line in file:
            fields = line.split()
            yield fields[1], fields[2], int(fields[3], 16), int(fields[4].partition(":")[2], 16), fields[9]


def _listening():
    """{(address, port): clients that wait there to be accepted}"""
    found = {}
    for local, _, _, waiting, _ in itertools.takewhile(lambda row: row[2] == _TCP_LISTEN, _tcp_table()):
        found[_endpoint(local)] = found.get(_endpoint(local), 0) + waiting
    return found


def listens(port, host=HOST):
    """Whether anybody listens there; unlike trying it, asking leaves no trace."""
    return (host, port) in _listening()


def backlog(port, host=HOST):
    """How many clients wait there to be accepted."""
    return _listening().get((host, port), 0)


def holders(client, pids):
    """Which of the processes hold the other end of a client's TCP connection."""
    here, there = client.getsockname(), client.getpeername()
    inode = next(inode for local, remote, _, _, inode in _tcp_table()
                 if (_endpoint(local), _endpoint(remote)) == (there, here))
    return [pid for pid in pids if holds(pid, f"socket:[{inode}]")]


def owner(client, pids):
    """The one of them that does."""
    return holders(client, pids)[0]


def keep(pid, kept=True):
    """A process that stays from case to case is no leftover."""
    (_kept.add if kept else _kept.discard)(pid)


def _reap():
    """Collect orphans that were adopted and have ended; those still alive are left."""
    left = []
    for pid in set(children(os.getpid())) - _kept:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                left.append(pid)
        except ChildProcessError:
            pass
    return left


def _command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except FileNotFoundError:
        return "?"


def _kill_leftovers():
    """Kill what is left, and what becomes ours by that. Whether nothing remains."""
    for pid in _reap():
        os.kill(pid, signal.SIGKILL)
    return not _reap()


def check_no_leftovers():
    """No child of this process lives on, adopted ones included; what does is killed."""
    deadline = time.monotonic() + LEFTOVER_S
    while True:
        left = _reap()
        if not left:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.005)
    names = [f"{pid} ({_command_line(pid)})" for pid in left]
    wait_until(_kill_leftovers, "killed leftovers end")
    raise Failure(f"left over: {', '.join(names)}")


# Running the command


def run(*arguments, input_bytes=b"", before_exec=None, seconds=PATIENCE_S):
    """Run the command to its end. Returns subprocess.CompletedProcess with text streams."""
    done = subprocess.run([GEARBOX, *arguments], input=input_bytes, capture_output=True, check=False,
                          timeout=seconds, preexec_fn=before_exec)
    done.stdout = done.stdout.decode(errors="replace")
    done.stderr = done.stderr.decode(errors="replace")
    return done


def check_refusal(done, codes, *words):
    """A refusal: one of the exit codes, nothing on standard output, one line that has all the words."""
    codes = (codes,) if isinstance(codes, int) else codes
    shown = f"exit code {done.returncode}, standard error {done.stderr!r}"
    check(done.returncode in codes, f"{shown}; expected exit code {' or '.join(map(str, codes))}")
    check_equal(done.stdout, "", "standard output")
    check(done.stderr.endswith("\n") and done.stderr.count("\n") == 1, f"{shown}; expected one line")
    check(done.stderr.startswith("gearbox: "), f"{shown}; expected it to start with 'gearbox: '")
    for word in words:
        check(word in done.stderr, f"{shown}; expected it to name {word!r}")


def _difference(now, before):
    """Of two holdings of a process, as text."""
    more = sorted(set(now[1].items()) - set(before[1].items()))
    less = sorted(set(before[1].items()) - set(now[1].items()))
    return f"{now[0]} threads (before {before[0]}), more {more[:20]}, less {less[:20]}"


def _as_before(now, before):
    """Whether holdings are the same, but for the wake-up descriptor that a loop makes when it first needs one."""
    def kept(has, had):
        more = {number: target for number, target in has[1].items() if had[1].get(number) != target}
        loops = max(1, has[0])
        return (has[0] == had[0] and had[1].items() <= has[1].items() and len(more) <= loops
                and set(more.values()) <= {"anon_inode:[eventfd]"})

    return len(now) == len(before) and all(kept(*pair) for pair in zip(now, before))


def readable_of(files, seconds):
    """Those of them that can be read, waited for so long. Numbers beyond 1023 are usual here: no select(2)."""
    poll = select.poll()
    by_number = {file if isinstance(file, int) else file.fileno(): file for file in files}
    for number in by_number:
        poll.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll(seconds * 1000)]


class Server:
    """`gearbox serve` with its ready line read. As a context it ends in order: SIGTERM, exit code 0."""

    def __init__(self, *arguments, service="echo", listen=(f"{HOST}:0",), before_exec=None, prefix=(), expected_log=None,
                 pass_fds=(), variables=None, program=GEARBOX):
        addresses = [word for address in listen for word in ("--listen", address)]
        environment = {**os.environ, "TZ": "UTC0", **(variables or {})}
        if prefix:  # a tracer: the leak sanitizer cannot work under another one
            environment["ASAN_OPTIONS"] = environment.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        self.process = subprocess.Popen([*prefix, program, "serve", service, *addresses, *arguments],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=before_exec,
                                        env=environment, pass_fds=pass_fds)
        self.pid = self.process.pid
        self.expected_code = 0
        self.expected_log = expected_log  # what lines on standard error may match, those before the ready line as well
        self._pending = b""
        self.log = []  # lines of standard error but the ready line
        ready = None
        try:
            first = self.read_line()
            while first and expected_log and re.search(expected_log, first):
                self.log.append(first)
                first = self.read_line()
            ready = READY.match(first or "")
            check(ready, f"no ready line, but {first!r}")
            check_equal(int(ready["pid"]), self.pid, "pid in the ready line")
        except BaseException:
            self.kill()
            raise
        self.ready_line = first
        self.model = ready["model"]
        self.addresses = [BEFORE_SERVICE.sub("", address) for address in ready["where"].split(", ")]
        self.address = self.addresses[0]

    def _read_more(self, seconds):
        """Take what standard error has, waiting so long for it. Whether its end was not reached."""
        check(readable_of([self.process.stderr], seconds),
              f"no line on standard error within {seconds} s")
        chunk = os.read(self.process.stderr.fileno(), 65536)
        self._pending += chunk
        return bool(chunk)

    def _take_line(self):
        line, newline, rest = self._pending.partition(b"\n")
        if not newline:
            return None
        self._pending = rest
        return line.decode(errors="replace")

    def read_line(self):
        """The next line of standard error, or None at its end."""
        deadline = time.monotonic() + PATIENCE_S
        while (line := self._take_line()) is None:
            if not self._read_more(max(0, deadline - time.monotonic())):
                return None
        return line

    @property
    def host(self):
        return self.address.rsplit(":", 1)[0].strip("[]")

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    def connect(self, timeout=PATIENCE_S):
        """A blocking client socket to the first address."""
        if self.address.startswith("unix:"):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(timeout)
            client.connect(self.address[len("unix:"):])
            return client
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def connect_small(self, receive_buffer):
        """A blocking client socket with so small a buffer, to the first address, which is IPv4. Its window follows from that, so
        it is set before."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(PATIENCE_S)
        client.connect((self.host, self.port))
        return client

    def connect_later(self, source=None):
        """A non-blocking client socket that is being connected to the first address, which is IPv4."""
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            client.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            client.bind((source, 0))
        client.connect_ex((self.host, self.port))
        return client

    def counters(self):
        """Its summary as of now."""
        self.send_signal(signal.SIGUSR1)
        while not (line := self.read_line() or "{}").startswith("{"):
            self.log.append(line)
        return json.loads(line)

    def processes(self):
        """The pids of the server, the one that was started first."""
        return [self.pid, *descendants(self.pid)]

    def holdings(self):
        """What its processes hold: a list of (threads, descriptors), the server's own first."""
        found = []
        for pid in self.processes():
            try:
                # The threads first: what one of them held is closed by the time it has ended.
                found.append((threads(pid), descriptors(pid)))
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has ended meanwhile
        return found

    def rest(self):
        """Its holdings before anybody connects, once the workers have closed the pipes that told of their start."""
        def started():
            now = self.holdings()
            pipes = [target for _, held in now for number, target in held.items()
                     if number > 2 and target.startswith("pipe:")]
            return not pipes and now
        return wait_until(started, "the workers close the pipes that told of their start")

    def check_rest(self, before):
        """It comes to hold exactly what it did before: processes, threads, descriptors."""
        deadline = time.monotonic() + PATIENCE_S
        while not _as_before(now := self.holdings(), before):
            if time.monotonic() > deadline:
                raise Failure(f"processes: {len(now)}, before {len(before)}; different: "
                              + "; ".join(_difference(*pair) for pair in zip(now, before) if pair[0] != pair[1]))
            time.sleep(0.005)

    def send_signal(self, number=signal.SIGTERM):
        os.kill(self.pid, number)

    def wait(self):
        """Wait for its end; the rest of standard error goes to `log`. Returns the exit code (-N: signal N)."""
        # Its end, not that of standard error, which a process left over may hold open.
        ended = os.pidfd_open(self.pid) if self.process.poll() is None else None
        try:
            deadline = time.monotonic() + PATIENCE_S
            readable = [ended, self.process.stderr]
            while ended is not None:
                ready = readable_of(readable, max(0, deadline - time.monotonic()))
                check(ready, f"the server does not end within {PATIENCE_S} s")
                if ended in ready:
                    break
                if not self._read_more(0):
                    readable.remove(self.process.stderr)
        finally:
            if ended is not None:
                os.close(ended)
        while self.process.stderr in readable_of([self.process.stderr], 0):
            if not self._read_more(0):
                break
        while (line := self._take_line()) is not None:
            self.log.append(line)
        return self.process.wait(PATIENCE_S)

    def stop(self, number=signal.SIGTERM):
        """Send a signal and wait for the end. Returns the exit code."""
        if self.process.poll() is None:
            self.send_signal(number)
        return self.wait()

    def kill(self):
        """End it at once with all below it, for cases that failed."""
        for pid in reversed(self.processes()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(PATIENCE_S)
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.kill()
            for line in self.log:
                print(f"  server: {line}", file=sys.stderr)
            return
        try:
            code = self.stop()
            check_equal(code, self.expected_code, f"exit code of the server (log {self.log})")
            unexpected = [line for line in self.log
                          if not NOTICE.match(line) and not (self.expected_log and re.search(self.expected_log, line))]
            check(not unexpected or self.expected_code != 0, f"unexpected on standard error: {unexpected}")
        except BaseException:
            self.kill()
            raise
        self.process.stderr.close()


# Clients


def receive_exactly(client, size):
    """`size` bytes, or fewer when the peer ends before."""
    parts = []
    while size:
        part = client.recv(min(size, 1 << 16))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def receive_all(client):
    """Everything until the peer half-closes."""
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def _out_of_time(_number, _frame):
    raise Failure(f"out of time: {CASE_SECONDS_MAX} s")


def _run(name, function):
    """Run a case. Returns whether it passed."""
    began = time.monotonic()
    passed = True
    try:
        function()
    except Exception as error:  # one failed case must not hide the others
        passed = False
        _failed.set()
        print(f"FAILED {name}: {error}", file=sys.stderr)
        if not isinstance(error, Failure):
            traceback.print_exc()
    if VERBOSE:
        print(f"{time.monotonic() - began:7.2f} s  {name}", flush=True)
    return passed


def _run_unless_stopped(name, function):
    """The same, or None."""
    return None if STOP and _failed.is_set() else _run(name, function)


def _run_alone(name, function):
    def leaving_nothing():
        try:
            function()
        finally:
            check_no_leftovers()

    signal.alarm(CASE_SECONDS_MAX)
    passed = _run_unless_stopped(name, leaving_nothing)
    signal.alarm(0)
    return [passed]


def _run_together(cases):
    """Run cases that wait, a few at a time. What they left over counts as one more that failed."""
    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as threads_of_cases:
        signal.alarm(CASE_SECONDS_MAX * (1 + len(cases) // TOGETHER))
        try:
            passed = list(threads_of_cases.map(lambda row: _run_unless_stopped(*row), cases))
        except Failure as failure:
            print(f"FAILED: {failure}", file=sys.stderr, flush=True)
            _kill_leftovers()  # whoever waits for them goes on
            raise
        finally:
            signal.alarm(0)
    if not _run(f"{cases[0][0]} and those with it leave nothing", check_no_leftovers):
        passed.append(False)
    return passed


def main():
    """Run the cases named on the command line (none: all); the last line is "N passed, N failed"."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")
    signal.signal(signal.SIGALRM, _out_of_time)
    wanted = [row for row in _cases if len(sys.argv) < 2 or {row[0], row[0].partition("[")[0]} & set(sys.argv[1:])]
    passed = []
    for waits, rows in itertools.groupby(wanted, lambda row: row[2]):
        if waits:
            passed += _run_together([row[:2] for row in rows])
        else:
            for name, function, _ in rows:
                passed += _run_alone(name, function)
    print(f"{passed.count(True)} passed, {passed.count(False)} failed", flush=True)
    sys.exit(1 if False in passed or not passed else 0)
