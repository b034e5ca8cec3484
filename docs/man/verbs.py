#!/usr/bin/env python3
"""verbs.py GEARBOX MORE OUT: the manual pages of the command and of each verb, gearbox.1, gearbox-serve.1, ….

What a verb does and its flags come from the command's own help, so that a page says what the command says; MORE is the
folder with what is to be added by hand, a file a page: parts of DESCRIPTION, then sections of their own.
"""

import pathlib
import re
import subprocess
import sys

import mdoc

ROW = re.compile(r"^  (\S.*?)(?:  +(\S.*))?$")


class Command:
    def __init__(self, path):
        self.path = path

    def help(self, *words):
        return subprocess.run([self.path, "help", *words], capture_output=True, text=True, check=True).stdout


def rows_of(lines):
    """[word, text] of a table in a help text; what is indented further goes on."""
    rows = []
    for text in lines:
        if re.match(r"  \S", text):
            left, right = ROW.match(text).groups()
            rows.append([left, right or ""])
        elif text.strip():
            rows[-1][1] = (rows[-1][1] + " " + text.strip()).strip()
    return rows


def blocks_of(text):
    """Paragraphs of a help text, each a list of lines."""
    return [block.split("\n") for block in text.strip("\n").split("\n\n")]


def macro(words):
    """A word or two of a usage line: a flag, what it takes, or something in place of which a user writes his own."""
    parts = []
    for word in words.split():
        if word.startswith("--"):
            parts.append(f"Fl {word[1:]}")
        elif word == "|":
            parts.append("|")
        else:
            parts.append(f"Ar {word}")
    return " ".join(parts)


def usage(program, verb, text):
    """SYNOPSIS: usage lines with their brackets."""
    rows = []
    for line in text:
        rest = re.sub(r"^(Usage:)?\s*gearbox\s*", "", line).removeprefix(verb).strip()
        rows.append(f".Nm gearbox {verb}".rstrip())
        for bracket, plain in re.findall(r"\[([^]]*)\]|([^[]+)", rest):
            if bracket.strip():
                rows.append(f".Op {macro(bracket)}")
            elif plain.strip():
                rows.append(f".{macro(plain)}")
    return ".Sh SYNOPSIS\n" + "\n".join(rows) + "\n"


def flag(left):
    """A row's left side: --key and what it takes."""
    key, _, value = left.partition(" ")
    return f".It Fl {key[1:]}" + (f' Ar "{mdoc.escape(value)}"' if value else "") + "\n"


def setting(left):
    key, _, value = left.partition("=")
    return f".It Cm {key}" + (f' Ns = Ns Ar "{mdoc.escape(value)}"' if value else "") + "\n"


def table(rows, item):
    return ".Bl -tag -width Ds\n" + "".join(item(left) + mdoc.prose(right) for left, right in rows) + ".El\n"


def options(groups):
    text = ".Sh OPTIONS\n"
    for title, rows in groups:
        text += (f".Ss {title}\n" if title != "Flags" else "") + table(rows, flag)
    return text


def groups_of(blocks):
    """(title, rows) of the tables of flags."""
    return [(block[0].rstrip(":"), rows_of(block[1:])) for block in blocks
            if block[0].endswith(":") and len(block) > 1 and block[1].startswith("  --")]


def more_of(folder, name):
    """(what goes on with DESCRIPTION, sections) that were written by hand, and the references of the page."""
    path = folder / f"{name}.mdoc"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    text, _, seen = text.partition(".Sh SEE ALSO\n")
    first, mark, rest = text.partition(".Sh ")
    references = [tuple(row.split()[1:3]) for row in seen.splitlines() if row.startswith(".Xr")]
    return first, mark + rest, references


def exit_status(blocks):
    for block in blocks:
        if block[0].startswith("Exit codes:"):
            text = " ".join(block).removeprefix("Exit codes:").strip()
            return ".Sh EXIT STATUS\n" + mdoc.prose(text[:1].upper() + text[1:])
    return ".Sh EXIT STATUS\n" + mdoc.prose("0 success, 1 failure at run time, 2 wrong usage.")


def services(command, names):
    """What serve has besides: the services, each with its settings."""
    text = ".Sh SERVICES\n.Bl -tag -width Ds\n"
    for name, summary in names:
        text += f".It Cm {name}\n" + mdoc.prose(summary)
        for block in blocks_of(command.help("serve", name)):
            if block[0].startswith(f"Settings of {name}") and len(block) > 1:
                rows = [row for row in rows_of(block[1:]) if "=" in row[0]]
                text += table([(left.removeprefix("--set").strip(), right) for left, right in rows], setting)
    return text + ".El\n"


def verb_page(command, folder, verb, summary):
    name = f"gearbox-{verb}"
    blocks = blocks_of(command.help(verb))
    groups, text = groups_of(blocks), mdoc.head(name, 1, [name], summary)
    text += usage(command, verb, blocks[0])
    more, sections, references = more_of(folder, name)
    said = [block for block in blocks[1:] if not block[0].endswith(":") and not block[0].startswith(("Exit codes", '"'))]
    text += ".Sh DESCRIPTION\n" + (".Pp\n".join(mdoc.prose(" ".join(block)) for block in said) or mdoc.prose(
        summary[:1].upper() + summary[1:] + "."))
    text += ".Pp\n" + more if more.strip() else ""
    if verb == "serve":
        served = next(rows_of(block[1:]) for block in blocks if block[0] == "Services:")
        groups = groups_of(blocks_of(command.help("serve", "echo")))
        text += options(groups) + services(command, served)
    elif groups:
        text += options(groups)
    text += exit_status(blocks) + sections
    return name, text + mdoc.see_also([("gearbox", 1), *references])


def main_page(command, folder, verbs):
    text = mdoc.head("gearbox", 1, ["gearbox"], "one handler, every server model")
    text += ".Sh SYNOPSIS\n.Nm\n.Ar COMMAND\n.Op Ar ARGUMENT ...\n"
    more, sections, references = more_of(folder, "gearbox")
    text += ".Sh DESCRIPTION\n" + more + ".Pp\nThe commands are:\n"
    text += table(verbs, lambda verb: f".It Cm {verb}\n")
    text += exit_status([]) + sections
    pages = [(f"gearbox-{verb}", 1) for verb, _ in verbs if verb not in ("help", "version")]
    return "gearbox", text + mdoc.see_also([*pages, *references])


def main():
    command, folder, out = Command(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    listed = next(block for block in blocks_of(command.help()) if block[0] == "Commands:")
    verbs = rows_of(listed[1:])
    pages = [main_page(command, folder, verbs)]
    pages += [verb_page(command, folder, verb, summary) for verb, summary in verbs if verb not in ("help", "version")]
    for name, text in pages:
        (out / f"{name}.1").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
