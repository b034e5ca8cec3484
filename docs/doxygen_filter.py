#!/usr/bin/env python3
"""doxygen_filter.py HEADER: a public header as Doxygen wants to have it, on standard output, line by line the same.

The first comment is the file's; what stands behind a field or an enumerator is said of that; code in backticks, and
backslashes, are text; of declarations that stand together those without a comment belong to the one before.
"""

import html
import pathlib
import re
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.S)


def code(found):
    # A full stop before anything but white space would end the sentence that sums a comment up.
    return "<code>" + html.escape(found[1], quote=False).replace("./", "&#46;/") + "</code>"


def comment(found):
    return re.sub(r"`([^`\n]+)`", code, found[0].replace("\\", "\\\\"))


def main():
    header = pathlib.Path(sys.argv[1])
    text = COMMENT.sub(comment, header.read_text(encoding="utf-8"))
    text = re.sub(r"(?<=[\w;{,)]) +/\* ", " /**< ", text)  # behind something on its line
    text = re.sub(r"^/\*$(?=(?:\n \*.*)+\nGB_API)", "/**", text, flags=re.M)  # said of all below it
    text = text.replace("/**", f"/** @file {header.name} @brief", 1)
    before = None
    for written in text.split("\n"):
        line = written
        if name := re.match(r"GB_API .*?\b(gb_\w+)\(|#define (GB_\w+)", line):
            if before and alone and "/**<" not in line and line[-1] != "\\":
                line = f"/** With {before}. */ {line}" if name[1] else f"{line} /**< With {before}. */"
            before = name[1] or name[2]
        elif not line:
            before = None
        alone = not written.rstrip().endswith("*/")
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
