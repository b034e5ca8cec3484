#!/usr/bin/env python3
"""Headers that binaries would notice a change of are refused until their ABI has another number."""

import pathlib
import re
import shutil
import subprocess
import tempfile

from lib import PATIENCE_S, add_case, case, check, check_equal, main

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = "2.2"  # of abidw: others write another record


def here():
    try:
        said = subprocess.run(["abidw", "--version"], capture_output=True, text=True, check=False, timeout=PATIENCE_S).stdout
    except FileNotFoundError:
        return "missing"
    return ".".join(re.findall(r"[0-9]+", said)[:2])


class Tree:
    """A copy of what the check looks at, recorded as it is."""

    def __init__(self, folder):
        self.root = pathlib.Path(folder)
        for name in ("include", "tools"):
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        (self.root / "packaging/abi").mkdir(parents=True)
        check_equal(self.call("--record"), (0, ""), "the first record")

    def call(self, *arguments):
        done = subprocess.run([self.root / "tools/abi.py", *arguments], capture_output=True, text=True, check=False,
                              timeout=PATIENCE_S)
        return done.returncode, done.stdout + done.stderr

    def change(self, header, before, after):
        path = self.root / "include/gearbox" / header
        text = path.read_text()
        check(before in text, f"{header} lacks {before}")
        path.write_text(text.replace(before, after, 1))

    def raise_number(self):
        path = self.root / "include/gearbox/types.h"
        path.write_text(re.sub(r"(#define GB_ABI )([0-9]+)u", lambda found: f"{found[1]}{int(found[2]) + 1}u", path.read_text()))


def wants_a_number(header, before, after):
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(folder)
        tree.change(header, before, after)
        for arguments in ((), ("--record",)):
            code, said = tree.call(*arguments)
            check(code == 1 and "raise GB_ABI" in said, f"{arguments}: {code}, {said}")
        tree.raise_number()
        check(tree.call()[0] == 1, "the number is not recorded")
        check_equal(tree.call("--record"), (0, ""), "the record of another number")
        check_equal(tree.call(), (0, ""), "what was recorded")


CHANGES = {
    "field": ("types.h", "size_t size; ", "size_t size, more; "),
    "flag": ("service.h", "GB_TRAIT_HEAVY_COMPUTE = 1u << 1", "GB_TRAIT_HEAVY_COMPUTE = 1u << 9"),
    "removed": ("types.h", "GB_API const char *gb_version(void);", ""),
}


@case
def an_addition_is_recorded_without_a_number():
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(folder)
        tree.change("types.h", "*gb_version(void);", "*gb_version(void);\nGB_API const char *gb_name(void);")
        code, said = tree.call()
        check(code == 1 and "gb_name" in said and "--record" in said, f"{code}, {said}")
        check_equal(tree.call("--record"), (0, ""), "the record")
        check_equal(tree.call(), (0, ""), "what was recorded")


if __name__ == "__main__":
    if here() == VERSION:
        for each, change in CHANGES.items():
            add_case(f"wants_a_number[{each}]", wants_a_number, *change, waits=True)
        main()
    else:
        print(f"skipped: abidw {here()}, written for {VERSION}\n0 passed, 0 failed")
