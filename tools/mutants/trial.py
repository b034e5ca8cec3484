"""Which tests notice a change: each in turn, the nearest and cheapest first, until one fails."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import tempfile
import time

from tree_copy import Broken, end_running, run

PATIENCE_S, PATIENCE_FACTOR = 30, 5  # what a test may take at least, and how many times as long as it does
BASELINE_S = 600
SUITES = ("unit", "blackbox")
THREAD_OPTIONS = ("-Db_sanitize=thread", "-Dc_args=-fno-sanitize-recover=all -g1")
STOPPING = {"TEST_STOP": "1", "TEST_SECONDS": "40"}  # the harness: one failure is enough
SMALL = {"SIM_ROUNDS": "3", "NET_ROUNDS": "6", "TSAN_OPTIONS": "exitcode=99"}


@contextlib.contextmanager
def ending():
    """Whoever is interrupted does not wait for what runs."""
    try:
        yield
    except KeyboardInterrupt:
        end_running()
        raise


class Test:
    """A row of `meson introspect --tests`."""

    def __init__(self, row, build_folder):
        self.name, self.words, self.environment = row["name"], row["cmd"], row["env"]
        self.suite = row["suite"][0].split(":")[-1]
        self.own = self.suite == "unit"  # its program holds the changed file itself
        folder = os.path.realpath(build_folder) + os.sep
        programs = [path for path in (*self.words, self.environment.get("GEARBOX", ""))
                    if os.path.realpath(path).startswith(folder)]
        self.targets = sorted({os.path.relpath(os.path.realpath(path), os.path.realpath(build_folder))
                               for path in programs})
        self.seconds = None  # measured without a change
        self.sums = None     # of its programs without a change


class Suite:
    """The tests of one build of the copy."""

    def __init__(self, copy, build_folder, options, suites, workers):
        self.copy, self.build_folder, self.workers = copy, build_folder, workers
        self.thread = "-Db_sanitize=thread" in options
        copy.configure(build_folder, *options)
        rows = json.loads(copy.command("meson", "introspect", "--tests", build_folder))
        self.tests = [test for test in (Test(row, build_folder) for row in rows)
                      if test.suite in suites and test.targets]
        self.build(self.tests)
        for test in self.tests:
            test.sums = self.sums(test)

    def build(self, tests):
        targets = sorted({target for test in tests for target in test.targets})
        self.copy.build(self.build_folder, *targets)

    def sums(self, test):
        found = []
        for target in test.targets:
            with open(os.path.join(self.build_folder, target), "rb") as file:
                found.append(hashlib.sha256(file.read()).hexdigest())
        return found

    def run_test(self, test, seconds):
        """(exit code, or None when it took too long; seconds)."""
        began = time.monotonic()
        environment = {**os.environ, **test.environment, **STOPPING, "PYTHONDONTWRITEBYTECODE": "1"}
        words = test.words
        if self.thread:
            environment.update(SMALL)
            words = ["setarch", "-R", *words]
        with tempfile.TemporaryFile() as output:
            code = run(words, seconds, output, env=environment, cwd=self.copy.tree)
        return code, time.monotonic() - began

    def measure(self):
        """Run all without a change. Returns the names of those that fail: they say nothing and are left out."""
        def measure_one(test):
            for _ in range(2):
                code, test.seconds = self.run_test(test, BASELINE_S)
                if code == 0:
                    return True
            return False

        unknown = [test for test in self.tests if test.seconds is None]
        with concurrent.futures.ThreadPoolExecutor(self.workers) as pool:
            passing = list(pool.map(measure_one, unknown))
        failing = [test.name for test, passes in zip(unknown, passing) if not passes]
        self.tests = [test for test in self.tests if test.name not in failing]
        return failing

    def remember(self, path):
        """Take over or keep what was measured, so that another run need not."""
        known = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                known = json.load(file)
        for test in self.tests:
            row = known.get(test.name)
            if row and row["sums"] == test.sums:
                test.seconds = row["seconds"]
        failing = self.measure()
        with open(path, "w", encoding="utf-8") as file:
            json.dump({test.name: {"sums": test.sums, "seconds": test.seconds} for test in self.tests}, file)
        return failing

    def rounds_for(self, file):
        """Lists of tests, one after the other: those of the folder, the other small programs, the black-box ones."""
        folder = file.split("/")[1]

        def near(test):
            return test.name == folder or test.name.startswith(folder + "-")

        def cheapest(tests):
            return sorted(tests, key=lambda test: test.seconds)

        own = [test for test in self.tests if test.own]
        rounds = [cheapest(test for test in own if near(test)), cheapest(test for test in own if not near(test)),
                  cheapest(test for test in self.tests if not test.own)]
        return [tests for tests in rounds if tests]

    def notices(self, test):
        code, _ = self.run_test(test, max(PATIENCE_S, PATIENCE_FACTOR * test.seconds))
        if code == 0:
            return None
        return "timeout" if code is None else "fails"

    def first_to_notice(self, tests):
        """(name, how) of the first test that notices, or None. `workers` at a time."""
        with concurrent.futures.ThreadPoolExecutor(self.workers) as pool, ending():
            futures = {}
            waiting = list(tests)
            found = None
            while (waiting and not found) or futures:
                while waiting and not found and len(futures) < self.workers:
                    test = waiting.pop(0)
                    futures[pool.submit(self.notices, test)] = test
                done, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    test, how = futures.pop(future), future.result()
                    # What needs a second look: a test on real sockets beside which much else ran.
                    if how and not found and (test.own or self.notices(test)):
                        found = (test.name, how)
            return found

    def judge(self, file):
        """With a change in `file`: ("noticed", by whom), ("survived", "") or ("same code", "")."""
        differs = False
        for tests in self.rounds_for(file):
            self.build(tests)
            concerned = [test for test in tests if self.sums(test) != test.sums]
            if not concerned:
                continue
            differs = True
            found = self.first_to_notice(concerned)
            if found:
                return "noticed", f"{found[0]} {found[1]}"
        return ("survived", "") if differs else ("same code", "")


class Trial:
    """The suites that a change is tried on: an ordinary build, and for orders of memory a thread sanitizer's, since
    the processors that most have give the same code for most orders."""

    def __init__(self, copy, folder, suites, workers, tell):
        self.copy, self.folder, self.suites, self.workers, self.tell = copy, folder, suites, workers, tell
        self.made = {}

    def suite(self, name):
        if name not in self.made:
            began = time.monotonic()
            build_folder = os.path.join(self.folder, name)
            options = THREAD_OPTIONS if name == "build-thread" else ("-Doptimization=1",)
            suites = ("unit",) if name == "build-thread" else self.suites
            suite = Suite(self.copy, build_folder, options, suites, self.workers)
            self.tell(f"{name}: built in {time.monotonic() - began:.0f} s")
            began = time.monotonic()
            failing = suite.remember(os.path.join(self.folder, f"{name}.json"))
            self.tell(f"{name}: {len(suite.tests)} tests in {time.monotonic() - began:.0f} s"
                      + (f"; fail without a change and are left out: {', '.join(failing)}" if failing else ""))
            self.made[name] = suite
        return self.made[name]

    def judge(self, change, text):
        """As Suite.judge; "does not compile" also."""
        suite = self.suite("build-thread" if change.kind == "order" else "build-plain")
        with self.copy.holding(change.file, text):
            try:
                return suite.judge(change.file)
            except Broken as problem:
                return "does not compile", str(problem)


