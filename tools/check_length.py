#!/usr/bin/env python3
"""A ratchet on the length of files: above 700 lines, ask which second noun has appeared.

tools/length_limits.txt lists the files that are longer, each with its length. A listed file may shrink,
never grow; when it shrinks, its number follows (this check prints the line to write).
"""

import os

import tree

LIMIT = 700
LIST = "tools/length_limits.txt"
SUFFIXES = (".c", ".h", ".py", ".sh", ".build")


def read_limits():
    limits = {}
    for number, text in tree.lines(LIST):
        text = text.split("#")[0].strip()
        if text:
            path, length = text.rsplit(None, 1)
            limits[path] = (int(length), number)
    return limits


def problems():
    limits = read_limits()
    for path, (limit, number) in limits.items():
        if not os.path.exists(os.path.join(tree.ROOT, path)):
            yield f"{LIST}:{number}: {path} is gone: remove this line"
    for path in tree.files(suffixes=SUFFIXES) + ["dev"]:
        length = len(tree.read(path).splitlines())
        limit, number = limits.get(path, (LIMIT, 0))
        if length > limit:
            yield f"{path}: {length} lines, {limit} allowed: split it"
        elif number and length <= LIMIT:
            yield f"{LIST}:{number}: {path} has {length} lines: remove this line"
        elif number and length < limit:
            yield f'{LIST}:{number}: {path} shrank: write "{path} {length}"'


tree.finish(list(problems()))
