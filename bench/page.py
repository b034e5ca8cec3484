"""Markdown: tables, and the parts of a page that a run fills, between <!-- NAME:begin --> and <!-- NAME:end -->."""

from server import Failure


def table(heading, rows, words=1):
    """The first `words` columns hold words, the others numbers."""
    ruler = ["---" if i < words else "---:" for i in range(len(heading))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heading, ruler, *rows])


def filled(text, name, content):
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise Failure(f"no {begin} before a {end}, once each")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{content.strip()}\n\n{end}{after}"


def fill(path, parts):
    """Fill several parts, {name: content}, or if a marker is missing none."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for name, content in parts.items():
        try:
            text = filled(text, name, content)
        except Failure as failure:
            raise Failure(f"{path}: {failure}") from failure
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
