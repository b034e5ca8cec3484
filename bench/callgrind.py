"""What a load costs a server in user space, counted by valgrind: instructions, system calls, allocations.

A server runs under callgrind twice, with fewer and with more messages; the difference, divided by the messages
between, is what one message costs. Starting, warming up and ending cancel out.

What the figures include: everything in user space, with libc's wrappers of system calls. Valgrind hides the
vDSO, so a reading of the clock counts as the few instructions of a system call's wrapper. It is none outside
of valgrind, and is not counted as one.
"""

import collections
import os
import re
import tempfile

from lockstep import Client
from server import PATIENCE_S, Failure
from subject import start

ALLOCATING = {"malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "memalign", "valloc", "mmap", "mmap64"}
NO_SYSTEM_CALL = {"clock_gettime", "gettimeofday", "time", "getcpu", "clock_getres"}  # the vDSO's
# Of the signals that end the server, not of its messages: how often they come under valgrind is up to chance.
NO_SYSTEM_CALL |= {"tgkill", "rt_sigreturn"}
SYSTEM_CALL = re.compile(r"^SYSCALL\[\d+,\d+\]\(\s*\d+\) (?:sys_)?(\w+)")
NAME = re.compile(r"\((\d+)\)(?: (.*))?")
POSITION = re.compile(r"[+*\-\d]")

# Who waits on a ring does not notice a signal at once: valgrind looks for signals once in 100,000 basic blocks.
ROUNDS_MAX = 50000


class Counts:
    """What was counted in one run, or, after subtraction and division, what one message costs."""

    PARTS = ("own", "inclusive", "lines", "calls", "system_calls")

    def __init__(self):
        self.own = collections.Counter()  # instructions of a function, by its name
        self.inclusive = collections.Counter()  # with those of what it calls
        self.lines = collections.Counter()  # instructions by (function, file, line)
        self.calls = collections.Counter()  # of a function, by its name
        self.system_calls = collections.Counter()  # by name

    @property
    def instructions(self):
        return sum(self.own.values())

    @property
    def allocations(self):
        return sum(count for name, count in self.calls.items() if name in ALLOCATING)

    def per(self, fewer, messages):
        """What one of the messages costs by which `fewer` had less."""
        result = Counts()
        for part in self.PARTS:
            mine, other, target = getattr(self, part), getattr(fewer, part), getattr(result, part)
            for key in mine.keys() | other.keys():
                if mine[key] != other[key]:
                    target[key] = (mine[key] - other[key]) / messages
        return result


class Parser:
    """Reads callgrind's output: https://valgrind.org/docs/manual/cl-format.html"""

    def __init__(self, counts):
        self.counts = counts
        self.functions, self.files = {}, {}
        self.function = self.file = self.callee = None
        self.line = 0
        self.called = False  # the next line of costs is that of a call

    @staticmethod
    def name(text, known):
        """A name is written out once, with a number that stands for it from then on."""
        number, name = NAME.match(text).groups()
        if name is not None:
            known[number] = name
        return known[number]

    def take(self, text):
        key, separator, value = text.partition("=")
        if key in ("fl", "fi", "fe"):
            self.file = self.name(value, self.files)
        elif key == "fn":
            self.function = self.name(value, self.functions)
        elif key in ("cfi", "cfl"):
            self.name(value, self.files)
        elif key == "cfn":
            self.callee = self.name(value, self.functions)
        elif key == "calls":
            # A thread's or a signal's first function has a callee's name such as "malloc'2" when recursive.
            self.counts.calls[self.callee.partition("'")[0]] += int(value.split()[0])
            self.called = True
        elif not separator and POSITION.match(text):
            self.take_costs(text.split())

    def take_costs(self, fields):
        if fields[0][0] in "+-":
            self.line += int(fields[0])
        elif fields[0] != "*":
            self.line = int(fields[0])
        cost = int(fields[1]) if len(fields) > 1 else 0
        self.counts.inclusive[self.function] += cost
        if not self.called:
            self.counts.own[self.function] += cost
            self.counts.lines[self.function, self.file, self.line] += cost
        self.called = False


def parse(profile, log):
    counts = Counts()
    parser = Parser(counts)
    with open(profile, encoding="utf-8", errors="replace") as file:
        for text in file:
            parser.take(text.rstrip("\n"))
    with open(log, encoding="utf-8", errors="replace") as file:
        for text in file:
            found = SYSTEM_CALL.match(text)
            if found and found.group(1) not in NO_SYSTEM_CALL:
                counts.system_calls[found.group(1)] += 1
    return counts


def run(name, command, build, load, rounds):
    """One run of so many rounds, or as many as it takes to end: (counts, messages, rounds)."""
    with tempfile.TemporaryDirectory(prefix="gearbox-count-") as folder:
        profile, log = os.path.join(folder, "profile"), os.path.join(folder, "log")
        prefix = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={profile}", f"--log-file={log}",
                  "--trace-syscalls=yes"]
        with start(name, command, build, prefix=prefix) as server, \
                Client(server, load.connections, load.size, load.start) as client:
            go = getattr(client, load.order)
            for _ in range(rounds):
                if not go():
                    raise Failure(f"{name}: not all messages were answered")
            server.process.terminate()
            ended = client.sees_end(0.3)
            while not ended:  # the same load, so that what it costs is no other than before
                if rounds > ROUNDS_MAX:
                    raise Failure(f"{name}: does not end under valgrind")
                rounds += 1
                try:
                    ended = not go()
                except OSError:
                    ended = True
            messages = client.answered
            client.close()
            server.ended_within(PATIENCE_S)
        return parse(profile, log), messages, rounds


class Load:
    """What the client does: an order of `Client`, its connections, bytes a message, rounds of it to count, and what each
    message begins with."""

    def __init__(self, order, connections, size, rounds, start=b""):
        self.order, self.connections, self.size, self.rounds, self.start = order, connections, size, rounds, start


def per_message(name, command, build, load):
    """What a message of the load costs this server: Counts."""
    fewer, messages_fewer, rounds = run(name, command, build, load, max(load.rounds // 5, 1))
    more, messages_more, _ = run(name, command, build, load, rounds + load.rounds)
    return more.per(fewer, messages_more - messages_fewer)
