#!/usr/bin/env python3
"""docs/from-*.md: what there was before compiles where its library is, and what we have in its place answers."""

import pathlib
import shlex
import subprocess
import tempfile

import reader
from lib import add_case, case, check_equal, main
from program import Program

# page: how its first program is compiled, by pkg-config's name or by a header; what ours is asked, and answers
PAGES = {
    "from-libuv.md": (("cc", "libuv", None), b"abc\nd\n", b"ABC\nD\n"),
    "from-libevent.md": (("cc", "libevent", None), b"abc\n\n", b"3\n0\n"),
    "from-asio.md": (("c++ -std=c++20", None, "/usr/include/asio.hpp"), b"2\n", b"2\n1\nlift-off\n"),
    "from-muduo.md": (None, b"you\n", b"hello, you\r\n"),
}


def compile_before(text, how):
    compiler, package, header = how
    flags = []
    if package:
        asked = subprocess.run(["pkg-config", "--cflags", package], capture_output=True, text=True, check=False)
        if asked.returncode:
            print(f"{package}: skipped (is not installed)")
            return
        flags = asked.stdout.split()
    elif not pathlib.Path(header).exists():
        print(f"{header}: skipped (is not installed)")
        return
    language = "c++" if "++" in compiler else "c"
    done = subprocess.run([*shlex.split(compiler), "-x", language, "-Wall", "-Wextra", "-fsyntax-only", *flags, "-"], input=text,
                          capture_output=True, text=True, check=False)
    check_equal((done.returncode, done.stderr), (0, ""), "compiling what there was before")


def page_does_what_it_says(name, how, asked, answered):
    text = reader.page(name)
    programs = reader.blocks(text, "(?:c|cpp)")
    check_equal(len(programs), 2, f"programs of {name}")
    build, serve = reader.commands(text)
    if how:
        compile_before(programs[0], how)
    with tempfile.TemporaryDirectory() as folder:
        follower = reader.Reader(folder)
        source = build.split()[3]
        (follower.folder / source).write_text(programs[1], encoding="utf-8")
        follower.call(build)
        program, *arguments = serve.replace(reader.ADDRESS, "127.0.0.1:0").split()
        for model in ([], ["--model", "thread"]):
            more = [word for word in arguments if not model or word not in ("--model", "multi-reactor,workers=4")]
            with Program(str(follower.folder / program), *more, *model, environment=follower.environment) as server:
                client, replies = server.connect()
                with client, replies:
                    client.sendall(asked)
                    check_equal(replies.read(len(answered)), answered, f"{name} {model}")


@case
def each_page_is_followed():
    check_equal(sorted(path.name for path in (reader.ROOT / "docs").glob("from-*.md")), sorted(PAGES), "docs/from-*.md")


for row in PAGES.items():
    add_case(f"page[{row[0]}]", page_does_what_it_says, row[0], *row[1], waits=True)

if __name__ == "__main__":
    main()
