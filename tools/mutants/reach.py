"""Which cases of which tests execute a line of src/, so that only those are tried on a change there.

One build of the copy notes which basic blocks are reached (reached.c), and runs each case once. What a line has of
code, and in which blocks, is what objdump(1) says of the objects.
"""

import bisect
import collections
import concurrent.futures
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile

import elf
from tree_copy import HERE, TREE, Broken, read, run

# objdump of binutils 2.40 takes one file for another where lines are DWARF 5.
OPTIONS = ("-Doptimization=0", "-Dc_args=-g1 -gdwarf-4 -fsanitize-coverage=trace-pc")
NOTE = "__sanitizer_cov_trace_pc"
CASE_S, BLACKBOX_S, PROGRAM_S = 120, 900, 1800  # a black-box program is one case
MARK = re.compile(r"0*(?P<address>[0-9a-f]+) <(?P<name>[^>]+)>:$")


def sum_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def runtime(folder):
    """The object with reached.c; what is configured before a program is linked needs it already."""
    path = os.path.join(folder, "reached.o")
    done = subprocess.run(["cc", "-O2", "-fPIC", "-c", "-o", path, os.path.join(HERE, "reached.c")],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Broken(f"reached.c: {done.stderr.strip()}")
    return path


class Lines:
    """A source's lines as objdump names them, as paths in the tree; None: not of src/. What comes before the tree may be
    another folder's: ccache(1) has objects of all."""

    def __init__(self):
        self.known = {}

    def line(self, text):
        path, _, number = text.partition(" (disc")[0].rpartition(":")
        if path not in self.known:
            file = os.path.normpath(path.rpartition(f"/{TREE}/")[2])
            self.known[path] = file if file.startswith("src" + os.sep) else None
        return (self.known[path], int(number)) if self.known[path] and number.isdigit() else None


def decode(path, lines):
    """{function: (size, {where a block begins in it: its lines})} of an object file."""
    done = subprocess.run(["objdump", "-dlr", "--no-show-raw-insn", path], capture_output=True, text=True,
                          errors="replace", check=True)
    sizes = {name: size for _, size, name in elf.functions_of(path)}
    return {name: (sizes.get(name, 0), blocks) for name, blocks in blocks_of(done.stdout, lines).items()}


def blocks_of(listing, lines):
    """The same without sizes: a block begins behind the call that notes it, whose line is that of its first statement."""
    found = {}
    start, blocks, block, line = 0, {}, None, None
    held = None      # the line of a call, until it is known whether it only notes
    beginning = None  # the line of a call that notes: the next instruction begins the block

    for text in listing.splitlines():
        if text.startswith(" "):
            address = int(text[:text.index(":")], 16) - start
            if beginning is not None:
                block = blocks.setdefault(address, set())
                block.update(beginning)
                beginning = None
            if held and block is not None:
                block.add(held)
            held = None
            if "\tcall" in text or "\tbl\t" in text:
                held = line
            elif line and block is not None:
                block.add(line)
        elif text.startswith("\t"):
            if NOTE in text:
                beginning, held = ((held,) if held else ()), None
        elif text.startswith("/"):
            line = lines.line(text)
        else:
            match = MARK.match(text)
            if match:
                name = match["name"]
                start, blocks, block, line, held, beginning = int(match["address"], 16), {}, None, None, None, None
                found[name] = blocks
    return found


class Reach:
    def __init__(self, tree):
        self.tree = tree
        self.cases = {}   # of a test, as bits count them
        self.reached = collections.defaultdict(dict)  # (file, line): {test: bits}
        self.coded = collections.defaultdict(set)     # file: lines that have code
        self.objects = collections.defaultdict(lambda: collections.defaultdict(set))  # file: {object: lines}
        self.symbols = collections.defaultdict(set)   # function: objects that hold it

    def measure(self, suite, tests, store, workers):
        """Of `suite`, the build that notes; `tests` are [(name, its cases)]. `store` keeps it for another run."""
        kept = {"objects": {}, "tests": {}}
        if os.path.exists(store):
            with open(store, "rb") as file:
                kept = pickle.load(file)
        blocks = self.read_objects(suite, kept["objects"], workers)
        by_name = {test.name: test for test in suite.tests}
        wanted = [(by_name[name], cases) for name, cases in tests if name in by_name]

        def note(job):
            test, cases = job
            key = [sum_of(os.path.join(suite.build_folder, target)) for target in test.targets] + cases
            row = kept["tests"].get(test.name)
            if not row or row["key"] != key:
                row = {"key": key, "masks": self.note(suite, test, cases)}
            return test, cases, row

        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for test, cases, row in pool.map(note, wanted):
                kept["tests"][test.name] = row
                self.cases[test.name] = cases
                self.take(suite, test, row["masks"], blocks)
        with open(store, "wb") as file:
            pickle.dump(kept, file)

    def read_objects(self, suite, kept, workers):
        """{(function, its size): [blocks]} of all objects."""
        lines, found = Lines(), collections.defaultdict(list)
        objects = [(file, name, os.path.join(suite.build_folder, name))
                   for file, names in suite.objects.items() for name in names]
        objects = [row for row in objects if os.path.exists(row[2])]

        def read_one(row):
            path = row[2]
            key = sum_of(path)
            if key not in kept:
                kept[key] = decode(path, lines)
            return row, kept[key]

        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for (_, name, _), functions in pool.map(read_one, objects):
                for function, (size, blocks) in functions.items():
                    self.symbols[function].add(name)
                    if not any(blocks.values()):
                        continue
                    if blocks not in found[function, size]:  # a header's, in many objects
                        found[function, size].append(blocks)
                    for block in blocks.values():
                        for file, line in block:
                            self.coded[file].add(line)
                            self.objects[file][name].add(line)
        return found

    def note(self, suite, test, cases):
        """{address: the cases that reach it}, as note_cases.py finds it."""
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
            task, result = os.path.join(folder, "task"), os.path.join(folder, "result")
            with open(task, "w", encoding="utf-8") as file:
                json.dump({"words": test.words, "program": test.program, "cases": cases,
                           "seconds": CASE_S if test.own else BLACKBOX_S,
                           "environment": suite.environment(test, 60), "cwd": suite.copy.tree}, file)
            run([sys.executable, os.path.join(HERE, "note_cases.py"), task, result], PROGRAM_S, output)
            if not os.path.exists(result):
                output.seek(0)
                raise Broken(f"{test.name} could not be noted: {output.read()[-300:]}")
            with open(result, encoding="utf-8") as file:
                return {int(place): int(mask, 16) for place, mask in json.load(file).items()}

    def take(self, suite, test, masks, found):
        """From addresses of a program to lines."""
        functions = [row for row in elf.functions_of(test.program) if row[1]]
        starts = [address for address, _, _ in functions]
        for place, mask in masks.items():
            at = bisect.bisect_right(starts, place) - 1
            if at < 0:
                continue
            address, size, name = functions[at]
            for blocks in found.get((name, size), ()):
                for line in blocks.get(place - address, ()):
                    row = self.reached[line]
                    row[test.name] = row.get(test.name, 0) | mask

    def of(self, change, text):
        """{test: the cases that execute what is changed}."""
        lines = self.lines_of(change, text) if change.function else self.lines_of_macro(change, text)
        masks = collections.Counter()
        for line in lines:
            for test, mask in self.reached.get(line, {}).items():
                masks[test] |= mask
        return {test: [case for at, case in enumerate(self.cases[test]) if mask >> at & 1]
                for test, mask in masks.items()}

    def lines_of(self, change, text):
        """The lines of a change inside of a function, or all of the function where these have no code of their own."""
        first = text.count("\n", 0, change.begin) + 1
        last = first + text.count("\n", change.begin, max(change.end - 1, change.begin))
        coded = self.coded[change.file]
        lines = [(change.file, line) for line in range(first, last + 1) if line in coded]
        return lines or [(change.file, line) for line in body(text, change.begin) if line in coded]

    def lines_of_macro(self, change, text):
        """Where the macro, or one that is made of it, is used; a whole file where that is outside of its functions."""
        begin = text.rfind("\n", 0, change.begin) + 1
        match = re.match(r"\s*#\s*define\s+(\w+)", text[begin:])
        names, found, seen = [match[1]] if match else [], set(), set()
        while names:
            name = names.pop()
            if name in seen:
                continue
            seen.add(name)
            for file, number, line in mentions(self.tree, name):
                define = re.match(r"\s*#\s*define\s+(\w+)", line)
                if define:
                    names.append(define[1])
                elif number in self.coded[file]:
                    found.add((file, number))
                elif not line.lstrip().startswith(("*", "/*", "//", "#")):
                    near = os.path.dirname(file) + os.sep if file.endswith(".h") else file
                    found.update((other, at) for other in list(self.coded) if other.startswith(near)
                                 for at in self.coded[other])
        return found

    def holders(self, change, text):
        """The objects that a change in a header's function goes into; None: not known."""
        if not change.function:
            return None
        lines = set(body(text, change.begin))
        return {name for name, coded in self.objects[change.file].items() if coded & lines} | self.symbols[change.function]


def body(text, at):
    """The lines of the function there: it begins and ends with a brace at the margin."""
    begin, end = text.rfind("\n{", 0, at), text.find("\n}", at)
    first = text.count("\n", 0, max(begin, 0)) + 1
    return range(first, first + text.count("\n", max(begin, 0), end if end >= 0 else None) + 2)


def mentions(tree, name):
    """(file, line number, line) of each line of src/ with that word."""
    word = re.compile(rf"\b{re.escape(name)}\b")
    for folder, _, names in os.walk(os.path.join(tree, "src")):
        for file in names:
            if not file.endswith((".c", ".h")):
                continue
            path = os.path.join(folder, file)
            text = read(path)
            if name in text:
                for number, line in enumerate(text.splitlines(), 1):
                    if word.search(line):
                        yield os.path.relpath(path, tree), number, line
