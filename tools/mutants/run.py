#!/usr/bin/env python3
"""run.py [NAME…]: put each fault of faults.toml into a copy of this tree; `gearbox verify` must find it.
run.py --random N: put small changes at random places instead; the tests must notice each.

Works in a temporary folder and never touches the tree. Prints a table; exit code 0 only if the tree
without a fault shows no difference and every fault was caught, respectively nine of ten were noticed.
"""

import argparse
import os
import sys
import tempfile
import time
import tomllib

import random_faults
from tree_copy import HERE, ROOT, Broken, Copy, check_containment, read, run

FAULTS = os.path.join(HERE, "faults.toml")
VERIFY_S = 300


def read_faults(names):
    with open(FAULTS, "rb") as file:
        faults = tomllib.load(file)["fault"]
    known = {fault["name"] for fault in faults}
    for name in names:
        if name not in known:
            sys.exit(f"no fault '{name}'; known: {', '.join(sorted(known))}")
    return [fault for fault in faults if not names or fault["name"] in names]


class Subject:
    """The command, built from a copy of the tree, before `gearbox verify`."""

    def __init__(self, folder):
        self.copy = Copy(folder)
        self.build_folder = os.path.join(folder, "build")
        self.gearbox = os.path.join(self.build_folder, "gearbox")
        self.copy.configure(self.build_folder, "-Doptimization=0")
        self.build()

    def build(self):
        self.copy.build(self.build_folder, 0, "gearbox")

    def holding(self, fault):
        """The tree has the fault for as long as this lasts."""
        text = read(os.path.join(self.copy.tree, fault["file"]))
        if text.count(fault["find"]) != 1:
            raise Broken(f"'find' stands {text.count(fault['find'])} times in {fault['file']}: adapt faults.toml")
        return self.copy.holding(fault["file"], text.replace(fault["find"], fault["replace"]))

    def verify(self, service, *flags):
        """(exit code, or None when it took too long; what it printed)."""
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            code = run([self.gearbox, "verify", service, "--quiet", *flags], VERIFY_S, output)
            output.seek(0)
            return code, output.read()


def services_of(fault):
    return fault.get("services", ["echo"])


def try_fault(subject, fault):
    """(whether it was caught, the first difference or why not)."""
    with subject.holding(fault):
        subject.build()
        for service in services_of(fault):
            code, printed = subject.verify(service, "--fail-fast", "--patience", "5s")
            differences = [line for line in printed.splitlines() if ": DIFFERENT " in line]
            if code == 1 and differences:
                return True, differences[0]
            if code is None:
                return False, f"verify {service} does not end within {VERIFY_S} s"
        return False, "no difference"


def report(word, began, name, text):
    print(f"{word:7} {time.monotonic() - began:5.0f} s  {name:40} {text[:160]}", flush=True)


def run_named(arguments):
    check_containment()
    faults = read_faults(arguments.names)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="gearbox-mutants-") as folder:
        began = time.monotonic()
        subject = Subject(folder)
        report("built", began, "(without a fault)", "")
        for service in sorted({s for fault in faults for s in services_of(fault)}):
            if arguments.no_baseline:
                break
            began = time.monotonic()
            code, printed = subject.verify(service)
            wrong += code != 0
            report("ok" if code == 0 else "WRONG", began, "(without a fault)", printed.splitlines()[-1])
        for fault in faults:
            began = time.monotonic()
            try:
                caught, text = try_fault(subject, fault)
            except Broken as problem:
                caught, text = False, str(problem)
            wrong += not caught
            report("caught" if caught else "MISSED", began, fault["name"], text)
    print(f"{len(faults)} faults, {wrong} not as they should be")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these faults")
    parser.add_argument("--no-baseline", action="store_true", help="do not verify the tree without a fault first")
    drawn = parser.add_argument_group("changes at random")
    drawn.add_argument("--random", type=int, metavar="N", help="how many that compile")
    drawn.add_argument("--seed", type=int, help="which; the report names it (default: another each time)")
    drawn.add_argument("--folder", nargs="+", default=[], metavar="PATH", help="only in these: src/loop, src/os/cpu.c")
    drawn.add_argument("--unit", action="store_true", help="the unit tests alone")
    drawn.add_argument("--blackbox", action="store_true", help="the black-box tests alone")
    drawn.add_argument("--tests", nargs="+", default=[], metavar="NAME", help="only these of them")
    drawn.add_argument("--jobs", type=int, default=2, help="changes at a time (default %(default)s)")
    drawn.add_argument("--minutes", type=float, default=600, help="begin no other after so long (default %(default)s)")
    drawn.add_argument("--work", metavar="FOLDER", help="keep the copy and its builds here for the next run")
    drawn.add_argument("--report", metavar="FILE", help="write all verdicts as JSON")
    drawn.add_argument("--again", metavar="FILE", help="those that survived according to this report, and then the sum of both")
    drawn.add_argument("--tree", default=ROOT, help=argparse.SUPPRESS)  # the tool's own test
    arguments = parser.parse_args()
    if arguments.random is None:
        return run_named(arguments)
    if arguments.names:
        parser.error("--random takes no names")
    return random_faults.run(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Broken as problem:
        sys.exit(f"mutants: {problem}")
