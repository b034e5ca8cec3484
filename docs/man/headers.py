#!/usr/bin/env python3
"""headers.py MORE OUT HEADER…: manual pages of section 3: gb_conn.3 from conn.h and so on, and the overview gearbox.3.

A header's comments are the reference; here they are only set in another way. What belongs together there, a comment and
the declarations below it, is a paragraph with its heading. MORE is the folder with what the overview says by hand.
"""

import pathlib
import re
import sys

import mdoc

# What is none of the reader's business, and what only makes the header work.
HIDDEN = re.compile(r"^(#(include|ifdef|ifndef|if|else|elif|endif|undef)\b|GB_BEGIN|GB_END|#define (GEARBOX_\w+_H|GB_BEGIN|GB_END|GB__\w+)\b"
                    r"|struct gb__\w+;|static_assert|_Static_assert)")
FUNCTION = re.compile(r"^(?P<result>[^(=]*?[\s*])(?P<name>gb_[a-z0-9_]+)\((?P<arguments>.*)\)$", re.S)
ATTRIBUTE = re.compile(r"\s*(?:__attribute__\(\(.*?\)\)|GB_PRINTF\([^)]*\))(?=\s*;?$)", re.S)


def text_of(comment):
    """A comment without its stars."""
    inner = re.sub(r"^/\*\*?|\*/$", "", comment.strip())
    return "\n".join(re.sub(r"^\s*\* ?", "", row).strip() for row in inner.split("\n")).strip()


def declaration_end(source, at):
    """Where a declaration or a line of the preprocessor ends."""
    if source[at] == "#":
        end = source.index("\n", at)
        while source[end - 1] == "\\":
            end = source.index("\n", end + 1)
        return end
    depth, inline = 0, source.startswith("static inline", at)
    while True:
        if source.startswith("/*", at):
            at = source.index("*/", at) + 2
            continue
        depth += (source[at] == "{") - (source[at] == "}")
        if depth == 0 and (source[at] == ";" or (source[at] == "}" and inline)):
            break
        at += 1
    rest = re.compile(r"[ \t]*/\*[^*].*?\*/", re.S).match(source, at + 1)
    return rest.end() if rest else at + 1


def parts_of(source):
    """(comment, [declaration, …]) in their order; the first is the header's own comment."""
    parts, at, fresh = [], 0, True
    while True:
        while at < len(source) and source[at].isspace():
            fresh = fresh or source.startswith("\n\n", at)
            at += 1
        if at >= len(source):
            return parts
        if source.startswith("/*", at):
            end = source.index("*/", at) + 2
            parts.append((text_of(source[at:end]), []))
        elif HIDDEN.match(source[at:]):
            end = source.index("\n", at)
            while source[end - 1] == "\\":
                end = source.index("\n", end + 1)
        else:
            end = declaration_end(source, at)
            if fresh and parts and parts[-1][1] and source[at] != "#":
                parts.append(("", []))
            parts[-1][1].append(source[at:end])
        fresh, at = False, end


def function_of(declaration):
    """(result, name, [argument, …]) of a function's declaration, else None."""
    declaration = re.sub(r"/\*.*?\*/", "", declaration, flags=re.S)
    start = re.match(r"GB_API (?!extern)|static inline ", declaration)
    if not start:
        return None
    bare = ATTRIBUTE.sub("", declaration[start.end():].partition("\n{")[0].strip().rstrip(";").strip())
    found = FUNCTION.match(" ".join(bare.split()))
    if not found:
        return None
    arguments, depth, row = [], 0, ""
    for letter in found["arguments"]:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            arguments.append(row.strip())
            row = ""
        else:
            row += letter
    return found["result"].strip(), found["name"], [*arguments, row.strip()]


def names_of(declaration):
    """What a declaration declares, for a heading."""
    if function := function_of(declaration):
        return [function[1]]
    if found := re.match(r"#define (\w+)", declaration):
        return [found[1]]
    if found := re.match(r"(struct|enum|union) (gb_\w+)", declaration):
        return [f"{found[1]} {found[2]}"]
    if found := re.match(r"enum \{\s*(GB_\w+)", declaration):
        return [found[1]]
    found = re.findall(r"\b(gb_[a-z0-9_]+)(?=\(|\[|;)", re.sub(r"/\*.*?\*/", "", declaration, flags=re.S))
    return found[:1]


def quoted(text):
    return '"' + text.replace('"', '\\(dq') + '"'


def synopsis(header, functions):
    rows = [f".In gearbox/{header}"]
    for result, name, arguments in functions:
        rows.append(f".Ft {quoted(result)}\n.Fo {name}")
        rows += [f".Fa {quoted(argument)}" for argument in arguments]
        rows.append(".Fc")
    return ".Sh SYNOPSIS\n" + "\n".join(rows) + "\n"


def described(comment, declarations):
    """A part of the page: heading, what it looks like, what is said of it."""
    text = mdoc.paragraphs(comment) if comment else ""
    names = [name for declaration in declarations for name in names_of(declaration)]
    if not declarations:
        return ".Pp\n" + text if text else ""
    shown = "\n".join(declaration.replace("GB_API ", "") for declaration in declarations if not function_of(declaration))
    return (f".Ss {', '.join(dict.fromkeys(names))}\n" + (mdoc.literal(shown) if shown else "")
            + text)


def summary_of(parts):
    """(first sentence, what goes on in that paragraph, the other paragraphs) of a header's comment."""
    summary, _, rest = parts[0][0].partition("\n\n")
    first, *more = mdoc.sentences(summary)
    return first.rstrip("."), " ".join(more), rest


def page(header, every):
    source = header.read_text(encoding="utf-8")
    parts = parts_of(source)
    functions = [function for _, declarations in parts for declaration in declarations
                 if (function := function_of(declaration))]
    name = f"gb_{header.stem}"
    names = dict.fromkeys([name, *(function[1] for function in functions)])
    first, more, rest = summary_of(parts)
    text = mdoc.head(name, 3, names, mdoc.lowered(first.replace('"', "")))
    text += ".Sh LIBRARY\nlibgearbox; pkg-config and CMake know it as gearbox.\n"
    text += synopsis(header.name, functions) + ".Sh DESCRIPTION\n" + mdoc.prose(f"{first}. {more}")
    text += ".Pp\n" + mdoc.paragraphs(rest) if rest.strip() else ""
    text += described("", parts[0][1]) + "".join(described(*part) for part in parts[1:])
    used = re.findall(r"#include <gearbox/(\w+)\.h>", source)
    references = [("gearbox", 3), *((f"gb_{other}", 3) for other in used if other in every)]
    return name, text + mdoc.see_also(references)


def overview(more, headers):
    """gearbox.3: what was written by hand, and every page with its sentence."""
    written = (more / "gearbox.3.mdoc").read_text(encoding="utf-8")
    text = mdoc.head("gearbox", 3, ["gearbox"], "TCP servers: one handler under every concurrency model")
    text += ".Sh LIBRARY\nlibgearbox; pkg-config and CMake know it as gearbox.\n"
    text += ".Sh SYNOPSIS\n.In gearbox/gearbox.h\n.Sh DESCRIPTION\n" + written + ".Sh HEADERS\n.Bl -tag -width Ds\n"
    for header in headers:
        first = summary_of(parts_of(header.read_text(encoding="utf-8")))[0]
        text += f".It Xr gb_{header.stem} 3\n" + mdoc.prose(f"{first}.")
    return "gearbox", text + ".El\n" + mdoc.see_also([("gearbox", 1)])


def main():
    more, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    headers = sorted(map(pathlib.Path, sys.argv[3:]))
    every = {header.stem for header in headers}
    for name, text in [overview(more, headers), *(page(header, every) for header in headers)]:
        (out / f"{name}.3").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
