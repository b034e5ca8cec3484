#!/usr/bin/env python3
"""run.py [NAME…]: put each fault of faults.toml into a copy of this tree; `gearbox verify` must find it.

Works in a temporary folder and never touches the tree. Prints a table; exit code 0 only if the tree
without a fault shows no difference and every fault was caught.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FAULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "faults.toml")
VERIFY_S = 300
SKIPPED = shutil.ignore_patterns(".git", "build", "build-*", "__pycache__")


class Broken(Exception):
    """A fault that could not be tried, as one line."""


def read_faults(names):
    with open(FAULTS, "rb") as file:
        faults = tomllib.load(file)["fault"]
    known = {fault["name"] for fault in faults}
    for name in names:
        if name not in known:
            sys.exit(f"no fault '{name}'; known: {', '.join(sorted(known))}")
    return [fault for fault in faults if not names or fault["name"] in names]


class Copy:
    """A copy of the tree with a build folder, in which one fault at a time is put and taken out."""

    def __init__(self, folder):
        self.tree = os.path.join(folder, "tree")
        self.build_folder = os.path.join(folder, "build")
        self.gearbox = os.path.join(self.build_folder, "gearbox")
        shutil.copytree(ROOT, self.tree, ignore=SKIPPED, symlinks=True)
        self.command("meson", "setup", self.build_folder, self.tree, "-Dbuildtype=plain", "-Doptimization=0",
                     "-Db_lto=false", "-Dwerror=false", "-Ddefault_library=static")
        self.build()

    def command(self, *words):
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Broken(f"{words[0]} fails: {(done.stdout + done.stderr).strip().splitlines()[-1]}")

    def build(self):
        self.command("ninja", "-C", self.build_folder, "gearbox")

    def put_in(self, fault):
        """Returns what takes it out again."""
        path = os.path.join(self.tree, fault["file"])
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if text.count(fault["find"]) != 1:
            raise Broken(f"'find' stands {text.count(fault['find'])} times in {fault['file']}: adapt faults.toml")

        def write(content):
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)

        write(text.replace(fault["find"], fault["replace"]))
        return lambda: write(text)

    def verify(self, service, *flags):
        """(exit code, or None when it took too long; what it printed)."""
        words = [self.gearbox, "verify", service, "--quiet", *flags]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as process:
            try:
                return process.wait(VERIFY_S), process.stdout.read()
            except subprocess.TimeoutExpired:
                process.kill()
                return None, process.stdout.read()


def services_of(fault):
    return fault.get("services", ["echo"])


def try_fault(copy, fault):
    """(whether it was caught, the first difference or why not)."""
    take_out = copy.put_in(fault)
    try:
        copy.build()
        for service in services_of(fault):
            code, printed = copy.verify(service, "--fail-fast", "--patience", "5s")
            differences = [line for line in printed.splitlines() if ": DIFFERENT " in line]
            if code == 1 and differences:
                return True, differences[0]
            if code is None:
                return False, f"verify {service} does not end within {VERIFY_S} s"
        return False, "no difference"
    finally:
        take_out()


def report(word, began, name, text):
    print(f"{word:7} {time.monotonic() - began:5.0f} s  {name:40} {text[:160]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these faults")
    parser.add_argument("--no-baseline", action="store_true", help="do not verify the tree without a fault first")
    arguments = parser.parse_args()
    faults = read_faults(arguments.names)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="gearbox-mutants-") as folder:
        began = time.monotonic()
        copy = Copy(folder)
        report("built", began, "(without a fault)", "")
        for service in sorted({s for fault in faults for s in services_of(fault)}):
            if arguments.no_baseline:
                break
            began = time.monotonic()
            code, printed = copy.verify(service)
            wrong += code != 0
            report("ok" if code == 0 else "WRONG", began, "(without a fault)", printed.splitlines()[-1])
        for fault in faults:
            began = time.monotonic()
            try:
                caught, text = try_fault(copy, fault)
            except Broken as problem:
                caught, text = False, str(problem)
            wrong += not caught
            report("caught" if caught else "MISSED", began, fault["name"], text)
    print(f"{len(faults)} faults, {wrong} not as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Broken as problem:
        sys.exit(f"mutants: {problem}")
