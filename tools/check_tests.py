#!/usr/bin/env python3
"""Every test in the tree is named in a meson.build: a test that nobody runs is worse than none."""

import os
import re

import tree


def named():
    """What the meson.build files name, as paths from the root."""
    for build in tree.files(suffixes=("meson.build",)):
        for name in re.findall(r"'([^'\n]+_test\.(?:c|py|sh))'", tree.read(build)):
            yield os.path.normpath(os.path.join(os.path.dirname(build), name))


NAMED = set(named())
tree.finish([f"{path}:1: no meson.build names this test"
             for path in tree.files(suffixes=("_test.c", "_test.py", "_test.sh")) if path not in NAMED])
