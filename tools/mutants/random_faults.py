"""`./dev mutants --random N`: changes at random places of src/, each tried on the tests that execute it."""

import collections
import concurrent.futures
import difflib
import json
import os
import random
import re
import signal
import tempfile
import threading
import time
import tomllib

import changes
from tree_copy import STOPPING, Stopped, check_containment, end_running, read
from trial import Trial

EQUIVALENT = os.path.join("tools", "mutants", "equivalent.toml")
GOAL = 0.9


def source_files(root, folders):
    found = []
    for folder, _, names in os.walk(os.path.join(root, "src")):
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names
                  if name.endswith((".c", ".h")) and not re.search(r"_test(_driver)?\.[ch]$", name)]
    return sorted(file for file in found
                  if not folders or any(file == prefix.rstrip("/") or file.startswith(prefix.rstrip("/") + "/")
                                        for prefix in folders))


def read_equivalent(root):
    path = os.path.join(root, EQUIVALENT)
    if not os.path.exists(path):
        return {}
    with open(path, "rb") as file:
        rows = tomllib.load(file).get("change", [])
    return {(row["file"], row.get("function", ""), row["was"], row["becomes"]): row["why"] for row in rows}


def key_of(identity):
    return identity["file"], identity["function"], identity["was"], identity["becomes"]


def difference(file, before, after):
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), file, file, n=2, lineterm="")
    return "\n".join("    " + line for line in lines)


class Draw:
    """Changes in the order of the seed."""

    def __init__(self, root, folders, seed):
        self.texts = {file: read(os.path.join(root, file)) for file in source_files(root, folders)}
        self.all = [change for file, text in self.texts.items() for change in changes.changes_of(file, text)]
        random.Random(seed).shuffle(self.all)

    def identity(self, change):
        return changes.identity(self.texts[change.file], change)


def run(arguments):
    check_containment()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job would ignore the first
        signal.signal(number, signal.default_int_handler)
    os.nice(max(10 - os.nice(0), 0))
    with tempfile.TemporaryDirectory(prefix="gearbox-mutants-") as temporary:
        return Run(arguments, arguments.work or temporary).run()


class Run:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, os.path.abspath(folder)
        self.seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
        self.draw = Draw(arguments.tree, arguments.folder, self.seed)
        self.equivalent = read_equivalent(arguments.tree)
        self.rows = {}  # by the order in which they were drawn
        self.ends = time.monotonic() + arguments.minutes * 60
        self.lock = threading.Lock()
        self.trial = None

    def run(self):
        arguments = self.arguments
        os.makedirs(self.folder, exist_ok=True)
        suites = ("unit",) if arguments.unit else ("blackbox",) if arguments.blackbox else ("unit", "blackbox")
        self.trial = Trial(self.folder, arguments.tree, suites, arguments.tests, arguments.jobs, tell)
        waiting = self.again(arguments.again) if arguments.again else list(range(len(self.draw.all)))
        number = self.counted() + len(waiting) if arguments.again else arguments.random
        tell(f"seed {self.seed}: {len(waiting) if arguments.again else number} of {len(self.draw.all)} possible changes")
        self.tell_misplaced()
        try:
            self.trial.prepare()
            while waiting and self.counted() < number and not self.late():
                taken = waiting[:number - self.counted()]  # what does not compile is drawn again
                del waiting[:len(taken)]
                # Orders of memory come last and one by one: they need a build of their own.
                last = [at for at in taken if self.draw.all[at].kind == "order"]
                self.try_beside([at for at in taken if at not in last], arguments.jobs)
                self.try_beside(last, 1)
        except KeyboardInterrupt:
            tell("interrupted")
        return self.tell(number)

    def tell_misplaced(self):
        """What is listed as equivalent, but is not there, or more than once."""
        files = {key[0] for key in self.equivalent if not self.arguments.folder or key[0] in self.draw.texts}
        found = collections.Counter(key_of(self.draw.identity(change)) for change in self.draw.all if change.file in files)
        for key in self.equivalent:
            if key[0] in files and found[key] != 1:
                tell(f"{EQUIVALENT}: {found[key]} places of {key[0]}, function '{key[1]}', read '{key[2]}': adapt it")

    def again(self, path):
        """Take over what an earlier run knows; its survivors are returned, to be tried once more."""
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        self.seed = report["seed"]
        places = collections.defaultdict(list)  # several that read alike
        for at, change in enumerate(self.draw.all):
            places[key_of(self.draw.identity(change))].append(at)
        waiting = []
        for row in report["changes"]:
            alike = places[key_of(row["change"])]
            if row["verdict"] == "survived" and alike:
                waiting.append(alike.pop(0))
            else:  # also what the tree has no more, under a number of its own
                self.rows[len(self.draw.all) + len(self.rows)] = row
        return waiting

    def late(self):
        return STOPPING.is_set() or time.monotonic() > self.ends

    def counted(self):
        return sum(row["verdict"] != "does not compile" for row in self.rows.values())

    def try_beside(self, taken, jobs):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            tries = [pool.submit(self.try_one, at) for at in taken]
            try:
                for one in tries:
                    one.result()
            except KeyboardInterrupt:
                end_running()
                raise

    def try_one(self, at):
        if self.late():
            return
        change, began = self.draw.all[at], time.monotonic()
        text = self.draw.texts[change.file]
        after, identity = changes.changed(text, change), self.draw.identity(change)
        why = self.equivalent.get(key_of(identity))
        try:
            verdict, by = ("equivalent", why) if why else self.trial.judge(change, text, after)
        except Stopped:
            return
        line = text.count("\n", 0, change.begin) + 1
        with self.lock:
            self.rows[at] = {"verdict": verdict, "by": by, "kind": change.kind, "change": identity}
            tell(f"{verdict:16} {time.monotonic() - began:4.0f} s  {change.file}:{line} {change.kind}: {by}")
            if verdict == "survived":
                tell(difference(change.file, text, after))
            self.write_report()

    def counts(self, rows):
        counts = dict.fromkeys(("noticed", "survived", "equivalent", "same code", "does not compile"), 0)
        for row in rows:
            counts[row["verdict"]] += 1
        return counts

    def write_report(self):
        if self.arguments.report:
            rows = [self.rows[at] for at in sorted(self.rows)]
            with open(self.arguments.report, "w", encoding="utf-8") as file:
                json.dump({"seed": self.seed, "counts": self.counts(rows), "changes": rows}, file, indent=1)

    def tell(self, number):
        self.write_report()
        rows = list(self.rows.values())
        folders = sorted({folder_of(row) for row in rows})
        tell(f"{'':12} {'noticed':>8} {'survived':>8} {'equivalent':>10} {'same code':>10}")
        for folder in folders:
            counts = self.counts([row for row in rows if folder_of(row) == folder])
            tell(f"{folder:12} {counts['noticed']:8} {counts['survived']:8} {counts['equivalent']:10} {counts['same code']:10}")
        counts = self.counts(rows)
        judged = counts["noticed"] + counts["survived"]
        share = counts["noticed"] / judged if judged else 0
        tell(f"seed {self.seed}: {self.counted()} changes, {counts['noticed']} noticed, {counts['survived']} survived, "
             f"{counts['equivalent'] + counts['same code']} equivalent ({counts['same code']} of them the same code); "
             f"{counts['does not compile']} did not compile and were drawn again")
        tell(f"{100 * share:.0f} % of those that are not equivalent were noticed")
        if self.counted() < number:
            tell(f"stopped early: {self.counted()} of {number}")
        return 0 if judged and share >= GOAL else 1


def folder_of(row):
    return os.path.dirname(row["change"]["file"]).split(os.sep)[1]


def tell(text):
    print(text, flush=True)
