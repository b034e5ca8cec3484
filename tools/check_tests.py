#!/usr/bin/env python3
"""Every test in the tree is named in a meson.build: a test that nobody runs is worse than none. Those of the
command have a row each in the table of their folder."""

import os
import re

import tree


def named():
    """What the meson.build files name, as paths from the root."""
    for build in tree.files(suffixes=("meson.build",)):
        for name in re.findall(r"'([^'\n]+_test\.(?:c|py|sh))'", tree.read(build)):
            yield os.path.normpath(os.path.join(os.path.dirname(build), name))


NAMED = set(named())
problems = [f"{path}:1: no meson.build names this test"
            for path in tree.files(suffixes=("_test.c", "_test.py", "_test.sh")) if path not in NAMED]
LISTED = "tests/blackbox/README.md"
for path in tree.files(os.path.dirname(LISTED), suffixes=("_test.py",)):
    name = os.path.basename(path).removesuffix("_test.py")
    if f"\n| `{name}` |" not in tree.read(LISTED):
        problems.append(f"{path}:1: {LISTED} has no row of this test")
tree.finish(problems)
