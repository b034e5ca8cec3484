"""`./dev mutants --random N`: changes at random places of src/, each tried on the quick suite."""

import difflib
import json
import os
import random
import re
import signal
import tempfile
import time
import tomllib

import changes
from tree_copy import Copy, check_containment, read
from trial import SUITES, Trial

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
    return {(row["file"], row["was"], row["becomes"]): row["why"] for row in rows}


def difference(file, before, after):
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), file, file, n=2, lineterm="")
    return "\n".join("    " + line for line in lines)


class Draw:
    """Changes in the order of the seed."""

    def __init__(self, root, folders, seed):
        self.texts = {file: read(os.path.join(root, file)) for file in source_files(root, folders)}
        self.all = [change for file, text in self.texts.items() for change in changes.changes_of(file, text)]
        random.Random(seed).shuffle(self.all)

    def again(self, path):
        """Only those that survived the run that left this report."""
        with open(path, encoding="utf-8") as file:
            survived = [row["change"] for row in json.load(file)["changes"] if row["verdict"] == "survived"]
        self.all = [change for change in self.all if changes.identity(self.texts[change.file], change) in survived]


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
        self.counts = dict.fromkeys(("noticed", "survived", "equivalent", "same code", "does not compile"), 0)
        self.rows = []
        self.ends = time.monotonic() + arguments.minutes * 60

    def run(self):
        arguments = self.arguments
        draw = Draw(arguments.tree, arguments.folder, self.seed)
        if arguments.again:
            draw.again(arguments.again)
        equivalent = read_equivalent(arguments.tree)
        print(f"seed {self.seed}: {arguments.random} of {len(draw.all)} possible changes", flush=True)
        copy = Copy(self.folder, arguments.tree, arguments.jobs)
        suites = SUITES[:1] if arguments.unit else SUITES
        trial = Trial(copy, self.folder, suites, arguments.jobs, lambda text: print(text, flush=True))
        try:
            for change in draw.all:
                if self.tried() >= arguments.random or time.monotonic() > self.ends:
                    break
                self.try_one(trial, change, draw.texts[change.file], equivalent)
                self.write_report()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        return self.tell()

    def tried(self):
        return sum(self.counts.values()) - self.counts["does not compile"]

    def try_one(self, trial, change, text, equivalent):
        began = time.monotonic()
        after = changes.changed(text, change)
        identity = changes.identity(text, change)
        why = equivalent.get((change.file, identity["was"], identity["becomes"]))
        verdict, by = ("equivalent", why) if why else trial.judge(change, after)
        self.counts[verdict] += 1
        line = text.count("\n", 0, change.begin) + 1
        print(f"{verdict:16} {time.monotonic() - began:4.0f} s  {change.file}:{line} {change.kind}: {by}", flush=True)
        if verdict == "survived":
            print(difference(change.file, text, after), flush=True)
        self.rows.append({"verdict": verdict, "by": by, "kind": change.kind, "change": identity})

    def write_report(self):
        if self.arguments.report:
            with open(self.arguments.report, "w", encoding="utf-8") as file:
                json.dump({"seed": self.seed, "counts": self.counts, "changes": self.rows}, file, indent=1)

    def tell(self):
        counts = self.counts
        judged = counts["noticed"] + counts["survived"]
        share = counts["noticed"] / judged if judged else 0
        print(f"seed {self.seed}: {self.tried()} changes, {counts['noticed']} noticed, {counts['survived']} survived, "
              f"{counts['equivalent'] + counts['same code']} equivalent ({counts['same code']} of them the same code); "
              f"{counts['does not compile']} did not compile and were drawn again")
        print(f"{100 * share:.0f} % of those that are not equivalent were noticed")
        if self.tried() < self.arguments.random and not self.arguments.again:
            print(f"stopped early: {self.tried()} of {self.arguments.random}")
        return 0 if judged and share >= GOAL else 1
