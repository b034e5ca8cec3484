#!/usr/bin/env python3
"""check_symbols.py LIBRARY.so COMMAND LIBRARY.a: the first two export exactly what the public headers declare with GB_API,
the command for the handlers that it loads; the third has no global name that does not begin with gb_."""

import re
import subprocess
import sys

import tree


def declared():
    """{name: place} of every declaration marked GB_API."""
    found = {}
    for path in tree.files("include", suffixes=(".h",)):
        text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), tree.read(path), flags=re.S)
        text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m.group().count("\n"), text, flags=re.M)
        for match in re.finditer(r"\bGB_API\b([^;{]*)", text):
            declaration = match.group(1)
            # The name of a function stands before its first parenthesis, that of an object at the end.
            name = re.search(r"(\w+)\s*(?:\(|\[|$)", declaration.strip())
            if name:
                found[name.group(1)] = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
    return found


def exported(library):
    output = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library],
                            check=True, capture_output=True, text=True).stdout
    # The version of the symbols is one itself, absolute.
    return {name.split("@")[0] for name, kind, *_ in map(str.split, output.splitlines()) if kind != "A"}


def archive_problems(archive):
    # Of the compiler, whose objects may be its intermediate language.
    output = subprocess.run(["gcc-nm", "-g", "--defined-only", "--format=posix", archive],
                            check=True, capture_output=True, text=True).stdout
    names = {words[0] for words in map(str.split, output.splitlines()) if len(words) > 1}
    for name in sorted(names):
        if not name.startswith("gb_"):
            yield f"{archive}: {name} is global and does not begin with gb_: it would clash with a program's own"
    for name in sorted(set(declared()) - names):
        yield f"{archive}: lacks {name}"


def problems(library, strict=True):
    public, symbols = declared(), exported(library)
    if not strict:  # a program also has the names of its linker
        symbols = {name for name in symbols if name.startswith("gb_")}
    for name in sorted(public):
        if not name.startswith("gb_") or name.startswith("gb__"):
            yield f"{public[name]}: {name}: public names begin with gb_ (and not gb__)"
        if name not in symbols:
            yield f"{public[name]}: {name} is declared, but {library} does not export it"
    for name in sorted(symbols - set(public)):
        yield f"{library}: exports {name}, which no public header declares with GB_API"


if __name__ == "__main__":
    tree.finish([*problems(sys.argv[1]), *problems(sys.argv[2], strict=False), *archive_problems(sys.argv[3])])
