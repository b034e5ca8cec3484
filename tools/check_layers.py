#!/usr/bin/env python3
"""Hold includes, and the dependency objects of the build, to the table of who may use whom.

Prints one line per violation, with its place and the rule.
"""

import os
import re

import tree

# A folder of src/ and the folders that it may include besides itself; ARCHITECTURE.md has the same table.
MAY_USE = {
    "base": set(),
    "os": {"base"},
    "coro": {"base", "os"},
    "buffer": {"base"},
    "codec": {"base", "buffer"},
    "engine": {"base", "os", "buffer"},
    "loop": {"base", "os", "engine"},
    "file": {"base", "os", "engine", "loop"},
    "name": {"base", "os", "engine", "loop"},
    "tls": {"base", "os"},
    "announce": {"base", "os", "engine", "loop", "name", "tls"},
    "net": {"base", "os", "buffer", "codec", "engine", "loop", "file", "name", "tls"},
    "stream": {"base", "os", "coro", "buffer", "codec", "engine", "loop", "file", "name", "tls", "net"},
    "pool": {"base", "os", "buffer", "loop", "net"},
    "model": {"base", "os", "coro", "buffer", "codec", "engine", "loop", "file", "name", "tls", "announce", "net", "stream", "pool"},
}

# These see what a user of the library sees: public headers, and the headers of the folders named here.
# The command `gearbox` lists the built-in services, so it sees their list; `serve --watch` reads addresses as servers do.
# The innermost folder counts.
PUBLIC_ONLY = {
    "src/service": {"src/service"},
    "cli/gearbox": {"cli", "src/service"},
    "cli": {"cli", "src/tls", "src/model/listen_place.h"},
    "examples": {"examples"},
}

# Only os wraps the kernel, and only engine implements pollers and rings.
KERNEL_HEADERS = {
    "liburing.h", "linux/io_uring.h", "poll.h", "sys/epoll.h", "sys/eventfd.h", "sys/select.h",
    "sys/signalfd.h", "sys/timerfd.h",
}
KERNEL_FOLDERS = {"os", "engine"}
# Lines of the log are for below os, and must not wait.
KERNEL_FILES = {("src/base/stderr.c", "poll.h")}
# Of the C library, in a folder that is called as one of ours.
SYSTEM_HEADERS = {"net/if.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(path):
    for number, text in tree.lines(path):
        match = INCLUDE.match(text)
        if match:
            yield f"{path}:{number}", match.group(1) == "<", match.group(2)


def public_header_problem(name):
    if not os.path.exists(os.path.join(tree.ROOT, "include", name)):
        return f"<{name}> is not a public header"
    return None


def internal_problem(folder, is_test, angled, name):
    """The rule that an include in src/<folder> breaks, or None."""
    if name.startswith("gearbox/"):
        return public_header_problem(name) if angled else f'write <{name}>, not "{name}"'
    first = name.split("/")[0]
    if angled:
        if first in MAY_USE and "/" in name and name not in SYSTEM_HEADERS:
            return f'write "{name}", not <{name}>'
        if name in KERNEL_HEADERS and folder not in KERNEL_FOLDERS and not is_test:
            return f"<{name}>: only {' and '.join(sorted(KERNEL_FOLDERS))} reach the kernel"
        return None
    if is_test and (name == "harness.h" or first in ("sim", "tests")):
        return None
    if "/" not in name:
        return f'write "{folder}/{name}": an include shows its layer'
    if first == folder or first in MAY_USE[folder]:
        return None
    allowed = ", ".join(sorted(MAY_USE[folder])) or "nothing"
    return f'"{name}": {folder} may use {allowed}'


def outside_problem(place, is_test, angled, name):
    """The rule that an include in a folder of PUBLIC_ONLY breaks, or None."""
    if angled:
        if name.startswith("gearbox/"):
            return public_header_problem(name)
        if name.split("/")[0] in MAY_USE and "/" in name:
            return f"<{name}>: {place} sees public headers only"
        return None
    if is_test and name == "harness.h":
        return None
    if f"src/{name}" in PUBLIC_ONLY[place]:
        return None
    for own in PUBLIC_ONLY[place]:
        base = os.path.basename(own)
        rest = name[len(base) + 1:] if name.startswith(base + "/") else name
        if os.path.exists(os.path.join(tree.ROOT, own, rest)):
            return None
    return f'"{name}": {place} sees public headers (<gearbox/…>) and its own only'


def include_problems():
    for path in tree.files("src", "cli", "examples", "include", suffixes=(".c", ".h")):
        parts = path.split("/")
        is_test = "_test" in parts[-1]
        place = next((p for p in PUBLIC_ONLY if path.startswith(p + "/")), None)
        if parts[0] == "src" and not place and parts[1] not in MAY_USE:
            yield f"{path}:1: tools/check_layers.py does not know the folder src/{parts[1]}"
            continue
        for where, angled, name in includes(path):
            if ".." in name.split("/"):
                problem = f'"{name}": no ".." in includes'
            elif parts[0] == "include":
                problem = None if angled else f'"{name}": public headers include <gearbox/…> and system headers'
                if angled and name.startswith("gearbox/"):
                    problem = public_header_problem(name)
            elif place:
                problem = outside_problem(place, is_test, angled, name)
            else:
                problem = internal_problem(parts[1], is_test, angled, name)
            if problem and (path, name) not in KERNEL_FILES:
                yield f"{where}: {problem}"


def build_problems():
    """A folder's library and dependency object name only what the folder may use."""
    for path in tree.files("src", suffixes=("meson.build",)):
        parts = path.split("/")
        if len(parts) < 3:
            continue
        folder = parts[1]
        text = re.sub(r"#.*", "", tree.read(path))
        for match in re.finditer(r"\b(?:dependencies|link_with|link_whole)\s*:\s*\[([^\]]*)\]", text):
            number = text.count("\n", 0, match.start()) + 1
            for name in re.findall(r"\b(\w+)_(?:dep|lib)\b", match.group(1)):
                if name in MAY_USE and name != folder and name not in MAY_USE.get(folder, set()):
                    allowed = ", ".join(sorted(MAY_USE.get(folder, set()))) or "nothing"
                    yield f"{path}:{number}: {name}_dep: {folder} may use {allowed}"


tree.finish([*include_problems(), *build_problems()])
