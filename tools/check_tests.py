#!/usr/bin/env python3
"""Every test in the tree is named in a meson.build: a test that nobody runs is worse than none."""

import os

import tree


def registered(path):
    """Whether the nearest meson.build, or one above it, names the file."""
    folder, name = os.path.split(path)
    while True:
        build = os.path.join(folder, "meson.build")
        if os.path.exists(os.path.join(tree.ROOT, build)):
            relative = os.path.relpath(path, folder or ".")
            text = tree.read(build)
            if f"'{relative}'" in text or f"'{name}'" in text:
                return True
        if not folder:
            return False
        folder = os.path.dirname(folder)


tree.finish([f"{path}:1: no meson.build names this test"
             for path in tree.files(suffixes=("_test.c", "_test.py", "_test.sh")) if not registered(path)])
