"""What the checks share: the root of the tree, its files, and how a check reports."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def files(*folders, suffixes=("",)):
    """Paths relative to the root, sorted, of the files below `folders` (none: the whole tree)."""
    found = []
    for folder in folders or (".",):
        for where, names, here in os.walk(os.path.join(ROOT, folder)):
            names[:] = [n for n in names if not n.startswith((".git", "__pycache__", "build"))]
            for name in here:
                if name.endswith(tuple(suffixes)):
                    found.append(os.path.relpath(os.path.join(where, name), ROOT))
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def lines(path):
    """(number, text) of each line, from 1."""
    return list(enumerate(read(path).splitlines(), 1))


def finish(problems):
    """Print the problems, one a line, and end the program: 0 when there are none."""
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)
