"""The tests of one build of a copy: what they are made of, how long each case takes, and whether it fails."""

import collections
import concurrent.futures
import json
import math
import os
import re
import shutil
import tempfile
import time

from reach import sum_of
from tree_copy import run

LEAST_S, FACTOR = 5, 10  # what a case may take at least, and how many times as long as it does
LEAST_BLACKBOX_S = 60    # all of a program
PROGRAM_S, CASE_S = 600, 60  # without a change
SEED = "1"  # the same for what is noted, timed and tried
FAILED = re.compile(r"^FAILED (?P<name>\S+)$", re.MULTILINE)
TIMED = re.compile(r"^(?P<seconds>[0-9.]+) s  (?P<name>\S+)$", re.MULTILINE)
LATE = "{}: ended by signal 14, out of time"
THREAD = {"SIM_ROUNDS": "3", "TSAN_OPTIONS": "exitcode=99"}

Outcome = collections.namedtuple("Outcome", "code seconds failed times")  # failed: {case: how}, times: {case: seconds}


class Test:
    """A row of `meson introspect --tests`."""

    def __init__(self, row, build_folder):
        self.name, self.words, self.set = row["name"], row["cmd"], row["env"]
        self.suite = row["suite"][0].split(":")[-1]
        self.own = self.suite == "unit"  # its program holds the changed file itself
        folder = os.path.realpath(build_folder)
        programs = [os.path.realpath(path)
                    for path in (*self.words, self.set.get("GEARBOX", ""), self.set.get("HANDLERS", ""))]
        self.targets = sorted({os.path.relpath(path, folder) for path in programs if path.startswith(folder + os.sep)})
        # What is looked into: the unit test itself, the command that black-box tests start.
        self.program = os.path.realpath(self.set.get("GEARBOX", self.words[0]))
        self.seconds = {}  # of each case without a change; "" is all of a program that has none
        self.failing = []  # cases that fail without a change


class Suite:
    def __init__(self, copy, build_folder, options, chosen, jobs):
        """`chosen` says of a Test whether it is wanted."""
        self.copy, self.build_folder, self.jobs = copy, build_folder, jobs
        self.thread = "-Db_sanitize=thread" in options
        copy.configure(build_folder, *options)
        rows = json.loads(copy.command("meson", "introspect", "--tests", build_folder))
        self.tests = [test for test in (Test(row, build_folder) for row in rows) if test.targets and chosen(test)]
        self.objects = collections.defaultdict(list)  # of a source
        self.sums = {}  # of objects without a change
        with open(os.path.join(build_folder, "compile_commands.json"), encoding="utf-8") as file:
            for row in json.load(file):
                path = os.path.normpath(os.path.join(row["directory"], row["file"]))
                self.objects[os.path.relpath(path, copy.tree)].append(row["output"])

    def build(self, targets, jobs=1):
        if targets:
            self.copy.build(self.build_folder, jobs, *sorted(targets))

    def build_all(self):
        self.build({target for test in self.tests for target in test.targets}, self.jobs)
        self.take_sums()

    def take_sums(self):
        self.sums = {name: self.sum(name) for names in self.objects.values() for name in names if self.sum(name)}

    def sum(self, name):
        path = os.path.join(self.build_folder, name)
        return sum_of(path) if os.path.exists(path) else None

    def environment(self, test, seconds):
        environment = {**test.set, "TEST_SEED": SEED, "TEST_SECONDS": str(math.ceil(seconds)), "TEST_VERBOSE": "1",
                       "PYTHONDONTWRITEBYTECODE": "1"}
        return {**environment, **THREAD} if self.thread else environment

    def run(self, test, cases, case_s, program_s, stop=False):
        """Run these cases of a test, each for at most so long; `stop`: one that fails is enough."""
        environment = {**os.environ, **self.environment(test, case_s), **({"TEST_STOP": "1"} if stop else {})}
        words = test.words + [case for case in cases if case]
        if self.thread:
            words = ["setarch", "-R", *words]
        began = time.monotonic()
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            code = run(words, program_s, output, env=environment, cwd=self.copy.tree)
            output.seek(0)
            text = output.read()
        failed = {name: "takes too long" if LATE.format(name) in text else "fails" for name in FAILED.findall(text)}
        times = {match["name"]: float(match["seconds"]) for match in TIMED.finditer(text)}
        if code != 0 and not failed:
            failed = {"": "takes too long" if code is None else "fails"}
        return Outcome(code, time.monotonic() - began, failed, times)

    def measure(self, store):
        """How long each case takes; names those that fail: they say nothing and are left out."""
        kept = {}
        if os.path.exists(store):
            with open(store, encoding="utf-8") as file:
                kept = json.load(file)

        def measure_one(test):
            key = [self.sum(target) for target in test.targets]
            row = kept.get(test.name)
            if not row or row["key"] != key:
                outcome = self.run(test, [], CASE_S, PROGRAM_S)
                times = outcome.times if test.own else {}  # a black-box test is one case
                failing = {name for name in outcome.failed
                           if self.run(test, [name], CASE_S, PROGRAM_S).code != 0}  # alone
                row = {"key": key, "seconds": times or {"": outcome.seconds}, "failing": sorted(failing)}
            test.seconds, test.failing = row["seconds"], row["failing"]
            return row

        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            rows = list(pool.map(measure_one, self.tests))
        with open(store, "w", encoding="utf-8") as file:
            json.dump({test.name: row for test, row in zip(self.tests, rows)}, file)
        return [f"{test.name} {name}".strip() for test in self.tests for name in test.failing]

    def notices(self, test, cases):
        """(case, how) of one that fails now and once more by itself, or None."""
        cases = [case for case in cases if case not in test.failing]
        while cases:
            normal = [test.seconds.get(case, 0) for case in cases]
            case_s = max(LEAST_S if test.own else LEAST_BLACKBOX_S, FACTOR * max(normal))
            program_s = FACTOR * sum(normal) + 3 * case_s if test.own else case_s
            outcome = self.run(test, cases, case_s, program_s, stop=True)
            if outcome.code == 0:
                return None
            for case, how in outcome.failed.items():
                # What fails beside much else need not fail alone.
                if self.run(test, [case] if case else cases, case_s, program_s, stop=True).code != 0:
                    return case, how
            if "" in outcome.failed:
                return None
            cases = [case for case in cases if case not in outcome.failed]
        return None


def link_arguments(*others):
    """The option of meson that says how to link: soon."""
    words = [*others, *(["-fuse-ld=lld"] if shutil.which("ld.lld") else [])]
    return [f"-Dc_link_args={' '.join(words)}"] if words else []
