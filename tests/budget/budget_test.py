#!/usr/bin/python3
"""Instructions, system calls, allocations and memory stay within their budgets. Counts, and times nothing.
Arguments: the build folder, then what the names of the cases to run contain (none: all)."""

import concurrent.futures
import os
import sys

import budgets
import callgrind
import instructions
import memory
import subject

# A count is a difference of two runs by many messages: one odd event in either is no cost of a message.
TOLERANCE = 0.005
QUANTITIES = {
    "instructions": lambda counts, echo, lines: counts.instructions,
    "system calls": lambda counts, echo, lines: sum(counts.system_calls.values()),
    "allocations": lambda counts, echo, lines: counts.allocations,
    "codec instructions": lambda counts, echo, lines: counts.instructions - echo.instructions - searching(counts),
    "route instructions": lambda counts, echo, lines: counts.instructions - lines.instructions,
}
CODEC_BASE = "reactor"  # what lines are compared with
ROUTE_BASE = "reactor, lines"  # and what routes are


def searching(counts):
    """Instructions of memchr, which any codec of lines needs: the bytes' own cost."""
    return sum(own for name, own in counts.own.items() if "memchr" in name)


class Middle:
    """A count, or the middle one of three: on a busy machine a timer that fires meanwhile is in one or another run of it."""

    def __init__(self, begin):
        self.begin, self.begun = begin, [begin()]

    def twice_more(self):
        if len(self.begun) == 1:
            self.begun += [self.begin(), self.begin()]

    def result(self):
        return sorted((one.result() for one in self.begun), key=lambda counts: counts.instructions)[len(self.begun) // 2]


class Case:
    """A row of the table, with what it takes to count it, of which `counts` may be counted again."""

    def __init__(self, name, budget, goal, count, counts=()):
        self.name, self.budget, self.goal, self.count, self.counts = name, budget, goal, count, counts

    def run(self):
        """Whether it holds; says the numbers."""
        try:
            counted = self.count()
            if self.counts and not self.holds(counted):
                print(f"again  {self.name}: {counted:,.2f}")
                for one in self.counts:
                    one.twice_more()
                counted = self.count()
        except (subject.Failure, OSError) as failure:
            print(f"FAILED {self.name}: {failure}")
            return False
        good = self.holds(counted)
        goal = "" if self.goal is None else f", goal {self.goal:,}"
        print(f"{'ok    ' if good else 'FAILED'} {self.name}: {counted:,.2f}, budget {self.budget:,}{goal}")
        return good

    def holds(self, counted):
        return counted <= self.budget + TOLERANCE


class Counter:
    """Counts each pair of subject and load once, beside each other, however many rows ask for it."""

    def __init__(self, build, pool):
        self.build, self.pool = build, pool
        self.subjects, self.loads = dict(instructions.SUBJECTS), dict(instructions.LOADS)
        self.commands = {row[0]: row[1] for row in memory.SUBJECTS}
        self.waiting = {}

    def once(self, key, begin):
        if key not in self.waiting:
            self.waiting[key] = begin()
        return self.waiting[key]

    def counted(self, name, load):
        return self.once((name, load), lambda: Middle(lambda: self.pool.submit(
            callgrind.per_message, name, self.subjects[name], self.build, self.loads[load])))

    def held(self, name):
        held = {"thread": budgets.HELD_THREADS, "fork": budgets.HELD_PROCESSES}.get(name, budgets.HELD_CONNECTIONS)
        return self.once(name, lambda: self.pool.submit(memory.measure, name, self.commands[name], self.build, held))

    def cases(self, words):
        """The rows whose names have all the words; counting has begun for them."""
        for name, load, what, budget, goal in budgets.COUNTED:
            title = f"{name}, {load}: {what}"
            if all(word in title for word in words):
                counts, echo = self.counted(name, load), self.counted(CODEC_BASE, load)
                lines = self.counted(ROUTE_BASE, load) if what.startswith("route") else echo
                yield Case(title, budget, goal, lambda what=what, counts=counts, echo=echo, lines=lines:
                           QUANTITIES[what](counts.result(), echo.result(), lines.result()), {counts, echo, lines})
        for name, what, budget, goal in budgets.HELD:
            title = f"{name}, idle connection: {what.replace('_', ' ')}"
            if all(word in title for word in words):
                yield Case(title, budget, goal, lambda what=what, held=self.held(name): held.result()[what])


def main(build, *words):
    with_ring = subject.io_uring_works(build)
    if not with_ring:
        print("io_uring is refused here: proactors are not counted")
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        cases = list(Counter(build, pool).cases(words))
        results = [case.run() for case in cases if with_ring or not case.name.startswith("proactor")]
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
