#!/usr/bin/env python3
"""check_tidy.py BUILD [NODES]: clang-tidy, as .clang-tidy says, over every source of the build but tests.

NODES: so many states of a function its analyzer visits at most, instead of 225,000, which is where most of its time
goes. A file that passed is not looked at again until it, a header or the settings change. To see how clang-tidy
came to a conclusion: clang-tidy -p BUILD/tidy FILE.
"""

import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys

import tree

HINTS = "tools/tidy_hints.h"
LAUNCHERS = ("ccache", "distcc", "sccache")  # meson puts one before the compiler where it is installed
FINDING = re.compile(r"^(\S+):(\d+):\d+: (?:error|warning): (.*)")


def digest(*texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def clang_arguments(command, source):
    """The compiler's arguments without what it writes and what clang does not know."""
    words = shlex.split(command)
    if os.path.basename(words[0]) in LAUNCHERS:
        words = words[1:]
    kept, given = [], iter(words)
    for word in given:
        if word in ("-MQ", "-MF", "-o"):
            next(given)
        elif not re.match(r"-MD$|-flto|-fuse-linker|-W", word):
            kept.append(word)
    if "gb_error_set(" in tree.read(source) and source != "src/base/error.c":
        kept[1:1] = ["-I" + os.path.join(tree.ROOT, "include"), "-include", os.path.join(tree.ROOT, HINTS)]
    return kept


def write_commands(build, folder):
    """Commands that clang-tidy understands, into `folder`; returns them as {source: entry}."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        given = json.load(file)
    kept = {}
    for entry in given:
        source = os.path.relpath(os.path.join(entry["directory"], entry["file"]), tree.ROOT)
        if source.startswith("..") or "_test" in source or not source.endswith(".c") or not os.path.exists(os.path.join(tree.ROOT, source)):
            continue  # tests show their faults by running
        kept[source] = {"directory": entry["directory"], "file": os.path.join(tree.ROOT, source),
                        "arguments": clang_arguments(entry["command"], source)}
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "compile_commands.json"), "w", encoding="utf-8") as file:
        json.dump(list(kept.values()), file)
    return kept


def check(folder, source, nodes):
    """One line for each finding in a file."""
    less = [f"--extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang", f"max-nodes={nodes}") if nodes]
    done = subprocess.run(["clang-tidy", "--quiet", f"-p={folder}", *less, source], cwd=tree.ROOT,
                          capture_output=True, text=True, check=False)
    found = []
    for line in done.stdout.splitlines():
        match = FINDING.match(line)
        if match:
            path = os.path.relpath(os.path.join(tree.ROOT, match.group(1)), tree.ROOT)
            found.append(f"{path}:{match.group(2)}: {match.group(3).replace(',-warnings-as-errors', '')}")
    if done.returncode and not found:
        found.append(f"{source}: clang-tidy failed: {(done.stdout + done.stderr).strip()}")
    return found


def main(build, nodes=None):
    folder = os.path.join(os.path.abspath(build), "tidy")
    commands = write_commands(build, folder)
    headers = digest(tree.read(".clang-tidy"), *(tree.read(p) for p in tree.files(suffixes=(".h",))))
    wanted = {}
    for source in sorted(commands):
        mark = os.path.join(folder, digest(headers, tree.read(source), json.dumps(commands[source]), str(nodes)))
        if not os.path.exists(mark):
            wanted[source] = mark
    problems = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for source, found in zip(wanted, pool.map(lambda s: check(folder, s, nodes), wanted)):
            problems += found
            if not found:
                with open(wanted[source], "w", encoding="utf-8"):
                    pass
    tree.finish(list(dict.fromkeys(problems)))


main(*sys.argv[1:])
