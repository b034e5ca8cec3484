"""Text as the source of a manual page, mdoc(7)."""

import re
import textwrap

DATE = "November 28, 2026"

# A full stop that ends no sentence.
_SHORT = re.compile(r"(?:\b(?:e\.g|i\.e|vs|cf|etc|et al|[A-Z]))\.$")


def escape(text):
    """As an argument or a line of text."""
    return text.replace("\\", "\\e")


def guarded(text):
    """A line of text that is no macro."""
    return "\\&" + text if text[:1] in (".", "'") else text


def line(text):
    """A line of text as it is."""
    return guarded(escape(text))


def sentences(text):
    """A sentence a line, as mdoc wants them."""
    words, row = text.split(), []
    for index, word in enumerate(words):
        row.append(word)
        following = words[index + 1] if index + 1 < len(words) else ""
        if re.search(r"[.!?][\"')\]`]*$", word) and not _SHORT.search(word) and following:
            yield " ".join(row)
            row = []
    if row:
        yield " ".join(row)


def lowered(text):
    """The beginning of a sentence as what follows a dash."""
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def prose(text):
    """A paragraph."""
    bold = (re.sub(r"`([^`]+)`", r"\\fB\1\\fR", escape(sentence)) for sentence in sentences(text))
    rows = (row for sentence in bold for row in textwrap.wrap(sentence, 72, break_long_words=False, break_on_hyphens=False))
    return "\n".join(map(guarded, rows)) + "\n"


def paragraphs(text):
    """Paragraphs, parted by empty lines."""
    return ".Pp\n".join(prose(part) for part in re.split(r"\n\s*\n", text.strip()) if part.strip())


def literal(text):
    """Lines as they are."""
    rows = (line(row) for row in text.expandtabs(4).rstrip("\n").split("\n"))
    return ".Bd -literal -offset indent\n" + "\n".join(rows) + "\n.Ed\n"


def head(title, section, names, summary):
    """A page down to its NAME."""
    listed = " ,\n.Nm ".join(names)
    return f".Dd {DATE}\n.Dt {title.upper()} {section}\n.Os\n.Sh NAME\n.Nm {listed}\n.Nd {summary}\n"


def see_also(references):
    """The section SEE ALSO; references are (name, section)."""
    ordered = sorted(set(references), key=lambda row: (str(row[1]), row[0]))
    return ".Sh SEE ALSO\n" + " ,\n".join(f".Xr {name} {section}" for name, section in ordered) + "\n"
