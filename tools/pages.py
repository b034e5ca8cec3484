"""What the tools that write into documentation share: markers in a page, tables, the machine in words."""

import os

import tree

LOAD_MAX = 1.0


def replaced(page, mark, text):
    """The page's text with what lies between the markers of `mark` replaced."""
    whole = tree.read(page)
    begin, end = f"<!-- begin {mark}", f"<!-- end {mark} -->"
    if whole.count(begin) != 1 or whole.count(end) != 1 or whole.index(begin) > whole.index(end):
        raise SystemExit(f"{page}: no line \"{begin} …-->\" before a line \"{end}\", once each")
    first = whole.index("-->", whole.index(begin)) + len("-->\n")
    return f"{whole[:first]}\n{text.strip()}\n\n{whole[whole.index(end):]}"


def write(page, mark, text):
    result = replaced(page, mark, text)
    with open(os.path.join(tree.ROOT, page), "w", encoding="utf-8") as file:
        file.write(result)


def table(rows, right):
    """Markdown; the first row is the heading, columns from number `right` on hold numbers."""
    ruler = ["---" if i < right else "---:" for i in range(len(rows[0]))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], ruler, *rows[1:]])


def need_rest(force):
    """Ends the program when others use the machine: what is measured meanwhile is not for a page."""
    load = os.getloadavg()[0]
    if load > LOAD_MAX and not force:
        raise SystemExit(f"load average {load:.1f} over the last minute: numbers for a page are measured at "
                         f"{LOAD_MAX:.1f} or less; wait until the machine rests, or say --force")


def machine():
    """Where something was measured."""
    uname = os.uname()
    return (f"{uname.sysname} {uname.release} on {uname.machine}, {len(os.sched_getaffinity(0))} CPUs, "
            f"load average {os.getloadavg()[0]:.1f} when the run began")
