#!/usr/bin/env python3
"""docs/tutorial.md: its file compiles, and its commands do what it says, in their order."""

import tempfile

import reader
from lib import case, check, main


@case
def the_tutorial_does_what_it_says():
    page = reader.page("tutorial.md")
    program, = reader.blocks(page, "c")
    commands = reader.commands(page)
    check(len(commands) > 8, f"commands {commands}")
    with tempfile.TemporaryDirectory() as folder, reader.Reader(folder) as follower:
        (follower.folder / "sums.c").write_text(program, encoding="utf-8")
        for command in commands:
            follower.follow(command)
    told = follower.told
    check("reactor-pool" in told["./sums compare"], told["./sums compare"])
    check("--model " in told["./sums advise"] and "Why:" in told["./sums advise"], told["./sums advise"])
    check("\nmodel " in told["cat sums.conf"], told["cat sums.conf"])


if __name__ == "__main__":
    main()
