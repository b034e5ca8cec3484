#!/usr/bin/env python3
"""docs/guide.md: its files compile, and its commands do what it says, in their order."""

import re
import tempfile

import reader
from lib import case, check, check_equal, main


@case
def the_guide_does_what_it_says():
    page = reader.page("guide.md")
    files = re.findall(r"(\w+\.(?:conf|c))\b[^\n]*:\n\n```\w+\n(.*?)^```$", page, re.M | re.S)
    check_equal(len(files), len(reader.blocks(page, "c") + reader.blocks(page, "conf")), "files with a name")
    commands = reader.commands(page)
    check(len(commands) > 20, f"commands {commands}")
    with tempfile.TemporaryDirectory() as folder, reader.Reader(folder) as follower:
        for name, text in files:
            (follower.folder / name).write_text(text, encoding="utf-8")
        skipped = False  # up to the end of what needs a program that is not here
        for command in commands:
            if command.startswith("systemd-socket-activate"):
                skipped = not follower.has("systemd-socket-activate")
                if skipped:
                    print("systemd: skipped (systemd-socket-activate is missing)")
            if not skipped:
                follower.follow(command)
            skipped = skipped and command != "kill %1"
    check("--max-message" in follower.told["./greeter help serve"], follower.told["./greeter help serve"])


if __name__ == "__main__":
    main()
