#!/usr/bin/env python3
"""check_docs.py GEARBOX: what the documentation names exists.

Looks at README.md, ARCHITECTURE.md, CONTRIBUTING.md, docs/ and every folder's README.md for paths in
backticks, links, verbs of ./dev, subcommands and flags of the command, and at the numbers of rules of lifetime. It
reports only what is certain to be wrong: anything that could mean something else passes.
"""

import functools
import glob
import os
import re
import subprocess
import sys

import tree

PATH = re.compile(r"^[A-Za-z0-9_.*/-]+$")
FILE_SUFFIXES = (".c", ".h", ".py", ".sh", ".md", ".build")
SKIPPED = ("build", "http", "/")  # made by building, of the web, of the whole machine


def documents():
    pages = [p for p in tree.files(suffixes=(".md",))
             if os.path.basename(p) == "README.md" or p.startswith("docs/")]
    return pages + [p for p in ("ARCHITECTURE.md", "CONTRIBUTING.md") if os.path.exists(os.path.join(tree.ROOT, p))]


def pieces(page):
    """(line number, text, whether code) of a page: prose lines, and the code in them or between fences."""
    fenced = False
    for number, text in tree.lines(page):
        if text.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced:
            yield number, text, True
        else:
            for code in re.findall(r"`([^`]+)`", text):
                yield number, code, True
            yield number, re.sub(r"`[^`]+`", "", text), False


@functools.lru_cache(None)
def names():
    """Base names of every file, and the names of all folders, in the tree."""
    paths = tree.files()
    return {os.path.basename(p) for p in paths}, {part for p in paths for part in os.path.dirname(p).split("/")}


@functools.lru_cache(None)
def known_first():
    """What a path of this tree may begin with: its own folders and those of src/."""
    first = set()
    for folder in ("", "src", "include"):
        where = os.path.join(tree.ROOT, folder)
        if os.path.isdir(where):
            first |= {n for n in os.listdir(where) if os.path.isdir(os.path.join(where, n))}
    return first


def path_problem(page, text):
    """What is wrong with a word in backticks, if it is a path of this tree at all."""
    text = text.rstrip(".").removeprefix("./")
    if not PATH.match(text) or text.startswith(SKIPPED) or ".." in text:
        return None
    if "/" not in text:
        if not text.endswith(FILE_SUFFIXES) or text in FILE_SUFFIXES or re.match(r"^[xyn*][_.]", text):
            return None
        if "*" in text or text in names()[0]:
            return None
        return f"no file {text} in the tree"
    if text.split("/")[0] not in known_first():
        return None
    for base in ("", "src", "include", os.path.dirname(page)):
        place = os.path.join(tree.ROOT, base, text)
        if os.path.exists(place) or glob.glob(place) or glob.glob(place + ".[ch]"):
            return None
    return f"no {text} in the tree"


def link_problem(page, target):
    if re.match(r"^[a-z]+:", target) or target.startswith("#"):
        return None
    place = os.path.join(tree.ROOT, os.path.dirname(page), target.split("#")[0])
    return None if os.path.exists(place) else f"the link to {target} leads nowhere"


@functools.lru_cache(None)
def verbs():
    return set(re.findall(r"^verb_(\w+)\(\)", tree.read("dev"), re.M))


class Command:
    """What the built command says about itself."""

    def __init__(self, path):
        self.path = path
        self.overview = self.ask("help")

    @functools.lru_cache(None)
    def ask(self, *arguments):
        done = subprocess.run([self.path, *arguments], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=20)
        return done.stdout + done.stderr if done.returncode == 0 else ""

    def has(self, subcommand):
        return bool(re.search(rf"\b{re.escape(subcommand)}\b", self.overview))

    def flags(self, subcommand, *words):
        """Flags that help names: of the subcommand, and of it with one of the words (a service)."""
        text = self.ask(subcommand, "--help") + "".join(self.ask(subcommand, word, "--help") for word in words)
        return set(re.findall(r"--([a-z][a-z0-9-]*)", text)) | {"help"}


def command_problems(command, text):
    """Subcommands and flags in one line of code."""
    # Only where the command begins a line of code, so that prose within code is not mistaken.
    match = re.match(r"^\s*(?:[$#]\s+)?(?:[\w./~-]*/)?gearbox ([a-z]+)(?![\w/])(.*)", text)
    if not match or not command.overview:
        return
    subcommand, rest = match.groups()
    if not command.has(subcommand):
        yield f"the command has no '{subcommand}'"
        return
    known = command.flags(subcommand, *(["echo"] if subcommand == "serve" else []))
    if len(known) > 1:
        for flag in re.findall(r"(?<!\S)\[?--([a-z][a-z0-9-]*)", rest.split(" | ")[0].split("#")[0]):
            if flag not in known:
                yield f"'gearbox {subcommand}' has no --{flag}"


def page_problems(page, command):
    for number, text, is_code in pieces(page):
        found = []
        for verb in re.findall(r"(?<![\w/])\./dev ([a-z]+)\b", text):
            if is_code and verb not in verbs():
                found.append(f"./dev has no verb '{verb}'")
        if is_code:
            if " " not in text.strip():
                found.append(path_problem(page, text.strip()))
            found += command_problems(command, text)
        else:
            found += [link_problem(page, target) for target in re.findall(r"\]\(([^)\s]+)\)", text)]
        for problem in found:
            if problem:
                yield f"{page}:{number}: {problem}"


def rule_problems():
    """Rules of lifetime: each number once, and each that the program names is there."""
    page, known = "docs/lifetimes.md", set()
    for number, text in tree.lines(page):
        match = re.match(r"^(\d+)\. ", text)
        if match and match[1] in known:
            yield f"{page}:{number}: rule {match[1]} is there twice"
        known |= {match[1]} if match else set()
    for source in tree.files(suffixes=(".c", ".h")):
        named = re.findall(r"\bgb__rule(?:_in\([^,()]+|\()(?:, )?\s*(\d+),", tree.read(source))
        yield from (f"{source}: rule {rule} is not in {page}" for rule in named if rule not in known)


def advice_problems():
    """Rules of `advise`: the page has each that the table has, and no other."""
    page = "docs/advise.md"
    told = {name for row in re.findall(r"(?m)^\| ([a-z, -]+) \|.*[+−]\d", tree.read(page)) for name in row.split(", ")}
    rules = set(re.findall(r'(?m)^\t\{ "([a-z-]+)",', tree.read("cli/advise/rules.c")))
    yield from (f"{page}: the rule {name} of cli/advise/rules.c is missing" for name in sorted(rules - told))
    yield from (f"{page}: {name} is no rule of cli/advise/rules.c" for name in sorted(told - rules))


def main(path):
    command = Command(os.path.abspath(path))
    tree.finish([problem for page in documents() for problem in page_problems(page, command)] +
                list(rule_problems()) + list(advice_problems()))


main(sys.argv[1])
