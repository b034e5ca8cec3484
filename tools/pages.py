"""What the tools that write into documentation share: markers in a page, tables, the machine in words."""

import os

import tree


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


def machine():
    """Where something was measured."""
    uname = os.uname()
    return (f"{uname.sysname} {uname.release} on {uname.machine}, {len(os.sched_getaffinity(0))} CPUs, "
            f"load average {os.getloadavg()[0]:.1f} when the run began")
