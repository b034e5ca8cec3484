"""Which test notices a change: of those that execute it the nearest and cheapest first, until one fails."""

import concurrent.futures
import os
import threading
import time

from reach import OPTIONS, Reach, runtime
from suite import Suite, link_arguments
from tree_copy import Broken, Copy

THREAD_OPTIONS = ("-Db_sanitize=thread", "-Dc_args=-fno-sanitize-recover=all -g1")
CLASSES_S = (0.1, 0.5)  # cases up to so long before longer ones
TOGETHER = (1, 3, 8)    # programs that are linked at once: few while it is likely that one of them notices
NOBODY = "no test reaches it"


def is_about(test, folders):
    """Tests of what stands above src/ know little of it, and are many programs."""
    return not test.own or test.name.split("-")[0] in folders


class Bench:
    """One copy, in which one change at a time is tried."""

    def __init__(self, copy, folder, chosen, jobs):
        self.copy, self.folder, self.chosen, self.jobs = copy, folder, chosen, jobs
        self.plain = self.suite("build-plain", ("-Doptimization=1", *link_arguments()))
        self.thread = None

    def suite(self, name, options):
        return Suite(self.copy, os.path.join(self.folder, name), options, self.chosen, self.jobs)

    def thread_suite(self):
        """Processors that most have give the same code for most orders of memory: a thread sanitizer's build does not."""
        if not self.thread:
            self.thread = self.suite("build-thread", THREAD_OPTIONS)
        return self.thread


class Trial:
    """All that is needed to try changes: copies, and what is known of the tests without one."""

    def __init__(self, folder, root, suites, tests, jobs, tell):
        self.folder, self.root, self.tell, self.jobs = folder, root, tell, jobs
        folders = {*os.listdir(os.path.join(root, "src")), "fuzz", "sim"}
        self.chosen = lambda test: test.suite in suites and is_about(test, folders) and (not tests or test.name in tests)
        self.reach = None
        self.lock, self.free = threading.Lock(), []

    def prepare(self):
        began = time.monotonic()
        first = self.bench(0)
        first.plain.build_all()
        self.tell(f"built in {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        noting = first.suite("build-reach", (OPTIONS[0], OPTIONS[1], *link_arguments(runtime(self.folder))))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:  # tests mostly wait, compilers do not
            built = pool.submit(noting.build_all)
            failing = first.plain.measure(os.path.join(self.folder, "seconds.json"))
            built.result()
        self.tell(f"{len(first.plain.tests)} tests, {sum(len(test.seconds) for test in first.plain.tests)} cases "
                  f"in {time.monotonic() - began:.0f} s"
                  + (f"; fail without a change and are left out: {', '.join(failing)}" if failing else ""))
        began = time.monotonic()
        self.reach = Reach(first.copy.tree)
        self.reach.measure(noting, [(test.name, list(test.seconds)) for test in first.plain.tests],
                           os.path.join(self.folder, "reach.pickle"), self.jobs)
        self.tell(f"what each reaches: {time.monotonic() - began:.0f} s")
        self.free = [first]
        for number in range(1, self.jobs):
            bench = self.bench(number)
            bench.plain.build(first.plain.sums, self.jobs)  # objects alone: not all programs will be needed
            bench.plain.take_sums()
            for test, known in zip(bench.plain.tests, first.plain.tests):
                test.seconds, test.failing = known.seconds, known.failing
            self.free.append(bench)

    def bench(self, number):
        folder = os.path.join(self.folder, str(number))
        return Bench(Copy(folder, self.root), folder, self.chosen, self.jobs)

    def judge(self, change, text, after):
        """What becomes of the text `after` in place of `text`: ("noticed", by whom), ("survived", what is known of it),
        ("same code", "") or ("does not compile", why)."""
        with self.lock:
            bench = max(self.free, key=lambda bench: bench.thread is not None)
            self.free.remove(bench)
        try:
            cases = self.reach.of(change, text)
            if change.kind == "order":
                return judge_order(bench, change, after, cases)
            return judge(bench.plain, change, after, cases, self.objects(bench.plain, change, text))
        except Broken as problem:
            return "does not compile", str(problem)
        finally:
            with self.lock:
                self.free.append(bench)

    def objects(self, suite, change, text):
        """(those that a change goes into, whether others that depend on the file are to be left as they are)."""
        if change.file.endswith(".c"):
            names = [name for name in suite.objects.get(change.file, ()) if name in suite.sums]
            if not names:
                raise Broken("is not part of this build")
            return names, False
        holders = self.reach.holders(change, text)
        return ([name for name in suite.sums if name in holders], True) if holders is not None else (list(suite.sums), False)


def judge(suite, change, after, cases, objects):
    names, alone = objects
    built = [os.path.join(suite.build_folder, name) for name in names] if alone else None
    with suite.copy.holding(change.file, after, built):
        suite.build(names)
        if all(suite.sum(name) == suite.sums[name] for name in names):
            return "same code", ""
        if not cases:
            return "survived", NOBODY
        tried = 0
        for batch in batches(steps(suite, change, cases)):
            suite.build({target for test, _ in batch for target in test.targets})
            for test, names in batch:
                tried += len(names)
                found = suite.notices(test, names)
                if found:
                    return "noticed", told(test, found)
        return "survived", f"{tried} cases in {len(cases)} programs execute it"


def judge_order(bench, change, after, cases):
    """On the thread sanitizer's build, of which nothing is known beforehand."""
    suite = bench.thread_suite()
    wanted = [(test, cases[test.name]) for test in suite.tests if test.name in cases and test.own]
    cases = {test.name: names for test, names in wanted}
    suite.build({target for test, _ in wanted for target in test.targets}, bench.jobs)
    for test, names in wanted:
        unknown = [name for name in names if name not in test.seconds]
        if unknown:
            outcome = suite.run(test, unknown, 120, 1200)
            test.seconds.update(outcome.times or {"": outcome.seconds})
            test.failing += list(outcome.failed)
    with suite.copy.holding(change.file, after):
        for batch in batches(steps(suite, change, cases)):
            suite.build({target for test, _ in batch for target in test.targets}, bench.jobs)
            for test, names in batch:
                found = suite.notices(test, names)
                if found:
                    return "noticed", told(test, found)
    return "survived", f"under the thread sanitizer; {len(cases)} programs execute it" if cases else NOBODY


def told(test, found):
    case, how = found
    return f"{test.name}: {case} {how}" if case else f"{test.name} {how}"


def steps(suite, change, cases):
    """[(test, cases)] in the order in which they are tried. A program comes again for its longer cases."""
    folder = change.file.split("/")[1]
    found = []
    for test in suite.tests:
        near = test.name == folder or test.name.startswith(folder + "-")
        classes = {}
        for case in cases.get(test.name, ()):
            seconds = test.seconds.get(case, 0)
            classes.setdefault(sum(seconds > most for most in CLASSES_S), []).append(case)
        for number, names in classes.items():
            found.append(((not test.own, number, not near, sum(test.seconds.get(name, 0) for name in names)), test, names))
    return [(test, names) for _, test, names in sorted(found, key=lambda row: row[0])]


def batches(rows):
    at = 0
    for number in range(len(rows)):
        size = TOGETHER[min(number, len(TOGETHER) - 1)]
        if rows[at:at + size]:
            yield rows[at:at + size]
        at += size
