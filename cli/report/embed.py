#!/usr/bin/env python3
"""embed.py LIBRARY_FOLDER PAGE OUTPUT: put the report's page together, as C.

The page is page.html with its style, the modules of D3 and its own scripts inlined, and split where the comparison
goes. Its policy (Content-Security-Policy) names the style and the script by their hashes, so that a browser runs
nothing else, and fetches nothing at all.
"""

import base64
import hashlib
import os
import re
import sys

# Each after what it needs. Debian's packages and npm's have them in the same place.
MODULES = ("array", "collection", "color", "format", "interpolate", "path", "time", "time-format", "scale",
           "selection", "axis", "shape")
SCRIPTS = ("dom", "data", "figures", "words", "chart", "lines", "bars", "heat", "drawing", "table", "sheets", "main")
DATA = "@DATA@"


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def library(folder):
    texts = []
    for module in MODULES:
        path = os.path.join(folder, f"d3-{module}", "dist", f"d3-{module}.min.js")
        if os.path.exists(path):  # collection is not in D3 from version 6 on
            texts.append(read(path).strip())
        elif module != "collection":
            sys.exit(f"embed.py: no {path}: install Debian's node-d3-{module}, or npm's d3")
    return "\n".join(texts)


def digest(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def without_comments(text):
    """Whole lines of comments are for who reads the source."""
    text = re.sub(r"^\s*/\*(?!!).*?\*/\n", "", text, flags=re.M | re.S)
    return re.sub(r"^\s*//.*\n|^\s*\n", "", text, flags=re.M)


def page(libraries, folder):
    style = without_comments(read(folder, "style.css"))
    own = "".join(without_comments(read(folder, f"{name}.js")) for name in SCRIPTS)
    script = f"{read(folder, 'license.txt')}{library(libraries)}\n(() => {{\n'use strict';\n{own}}})();\n"
    if re.search(r"</script|<!--", script, re.I) or "</style" in style:
        sys.exit("embed.py: a script or style holds what ends it")
    text = read(folder, "page.html")
    for mark, value in (("@STYLE_HASH@", digest(style)), ("@SCRIPT_HASH@", digest(script)), ("@STYLE@", style),
                        ("@SCRIPT@", script)):
        if text.count(mark) != 1:
            sys.exit(f"embed.py: page.html should have {mark} once")
        text = text.replace(mark, value)
    return text


def literal(name, text):
    escaped = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "?": "\\?"}
    out = [f"const char {name}[] =\n"]
    data = text.encode()
    for start in range(0, len(data), 120):
        out.append('"' + "".join(escaped.get(chr(byte)) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
                                 for byte in data[start:start + 120]) + '"\n')
    out.append(f";\nconst size_t {name}_size = sizeof({name}) - 1;\n")
    return "".join(out)


def main(libraries, folder, output):
    head, mark, tail = page(libraries, folder).partition(DATA)
    if not mark:
        sys.exit(f"embed.py: page.html should have {DATA}")
    with open(output, "w", encoding="ascii") as file:
        file.write('/* Made by embed.py. */\n#include "report/page.h"\n\n')
        file.write(literal("gb__report_page_head", head) + "\n" + literal("gb__report_page_tail", tail))


main(*sys.argv[1:])
