#!/usr/bin/env python3
"""abi.py [--record [--again]]: what the public headers declare, as binaries see it, beside what was recorded of it.

An object with a pointer to each function, and a variable of each type and constant, is compiled from the headers alone:
abidw (abigail-tools) describes it, abidiff compares. That the library has just these symbols is what check_symbols.py holds.
The record, and the GB_ABI that it was made with, are packaging/abi/. A change that old binaries would notice wants another
number; then, and after additions, the record is to be made anew. --again: the recorded number was never released.
"""

import os
import platform
import re
import subprocess
import sys
import tempfile

import tree
from check_symbols import declared

FOLDER = os.path.join(tree.ROOT, "packaging", "abi")
RECORD = os.path.join(FOLDER, f"{platform.machine()}.xml")
NUMBER = os.path.join(FOLDER, "number")
SHOWN_MAX = 60  # lines of a difference


def headers_text():
    texts = (tree.read(path) for path in tree.files("include", suffixes=(".h",)))
    return "\n".join(re.sub(r"/\*.*?\*/", "", text, flags=re.S) for text in texts)


def constants(text):
    """Enumerators of enums, without those that a macro makes."""
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.M)
    for body in re.findall(r"\benum\b[^;{()]*\{([^}]*)\}", text):
        yield from re.findall(r"\b(GB_[A-Z0-9_]+)\b(?=\s*(?:=|,|$|\n))", re.sub(r"=[^,]*", "", body))


def source():
    text = headers_text()
    yield "#include <gearbox/gearbox.h>"
    for name in sorted(declared()):
        yield f"extern __typeof__(&{name}) at_{name}; __typeof__(&{name}) at_{name} = &{name};"
    for kind, name in sorted(set(re.findall(r"\b(struct|union|enum)\s+(gb_\w+)\s*\{", text))):
        yield f"{kind} {name} {kind}_{name};"
    for name in sorted(set(constants(text))):
        yield f"enum of_{name} {{ value_of_{name} = (int){name} }} constant_{name};"


def run(*command):
    return subprocess.run(command, check=False, capture_output=True, text=True)


def must(*command):
    done = run(*command)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def describe(folder):
    """The path of the description of what the headers say now."""
    code, library, xml = (os.path.join(folder, name) for name in ("abi.c", "abi.so", "abi.xml"))
    with open(code, "w", encoding="utf-8") as file:
        file.write("\n".join(source()) + "\n")
    must("cc", "-std=gnu17", "-g", "-O0", "-shared", "-fPIC", f"-I{tree.ROOT}/include", "-o", library, code)
    must("abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--type-id-style", "hash",
         "--no-elf-needed", "--out-file", xml, library)
    return xml


def differences(xml, *options):
    done = run("abidiff", *options, RECORD, xml)
    if done.returncode & 3:  # of abidiff itself
        sys.exit(f"abidiff: {done.stdout}{done.stderr}")
    return done.stdout if done.returncode else ""


def judge(xml, number, recorded):
    """What has to be done, and the difference that shows it."""
    changed = differences(xml, "--no-added-syms")
    if changed and number == recorded:
        return f"old binaries would notice: raise GB_ABI in include/gearbox/types.h (it is {number}), and record", changed
    if changed or number != recorded:
        return "GB_ABI is another one than recorded: ./dev abi --record", changed
    added = differences(xml)
    return ("what was added is not recorded: ./dev abi --record", added) if added else (None, None)


def record(xml, number):
    with open(xml, encoding="utf-8") as file, open(RECORD, "w", encoding="utf-8") as to:
        to.write(file.read())
    with open(NUMBER, "w", encoding="utf-8") as to:
        to.write(f"{number}\n")


def main():
    number = int(re.search(r"#define GB_ABI ([0-9]+)u", tree.read("include/gearbox/types.h"))[1])
    recording, again = "--record" in sys.argv, "--again" in sys.argv
    if not recording and not os.path.exists(RECORD):
        print(f"nothing is recorded for {platform.machine()}")
        return
    with tempfile.TemporaryDirectory() as folder:
        xml = describe(folder)
        what, shown = None, None
        if os.path.exists(RECORD):
            with open(NUMBER, encoding="utf-8") as file:
                recorded = int(file.read())
            what, shown = judge(xml, number, recorded)
            if recording and (again or number != recorded or not (what and what.startswith("old binaries"))):
                what = None
        if what:
            lines = shown.splitlines()
            print("\n".join(lines[:SHOWN_MAX] + ["…"] * (len(lines) > SHOWN_MAX)))
            sys.exit(what)
        if recording:
            record(xml, number)


if __name__ == "__main__":
    main()
