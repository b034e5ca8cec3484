"""What the benches that count share: the servers that they look at, their command lines and reports."""

import argparse
import json
import os
import platform
import subprocess

import page
from measure import processor, say
from server import PATIENCE_S, Failure, Refused, Server

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

# Who watches for stalls does so by the clock, which counts have nothing to do with.
LISTEN = ["--listen", "127.0.0.1:0", "--stall-limit", "0"]


def raw(name):
    return ["{build}/bench/" + name]


def model(spec, *more):
    return ["{build}/gearbox", "serve", "echo", *LISTEN, "--model", spec, *more]


def line_echo(spec, *first):
    return ["{build}/bench/line_echo", *first, *LISTEN, "--model", spec]


def sequential(spec, *first, more=()):
    """echo by straight-line handlers"""
    return ["{build}/bench/sequential_echo", *first, *LISTEN, "--model", spec, *more]


def peer(name):
    """On another library; `./dev bench` builds them in a folder of their own."""
    return [os.path.join(ROOT, "build-bench", "bench", "peers", name)]


class Report:
    """Prints lines, and keeps them for a part of a page: --report FILE."""

    def __init__(self, path):
        self.path = path
        self.lines = []

    def say(self, text):
        print(text)
        self.lines.append(text)

    def fill(self, name):
        """Put what was said between the markers of this name."""
        if self.path:
            page.fill(self.path, {name: "```\n" + "\n".join(self.lines).strip() + "\n```"})


def start(name, command, build, **more):
    """A server of one of these commands."""
    return Server(name, [part.format(build=build) for part in command], **more)


def io_uring_works(build):
    """Whether this machine lets anybody use it; a seccomp filter, a sysctl or an old kernel may be in the way."""
    try:
        with start("raw_uring", raw("raw_uring"), build):
            return True
    except Refused:
        return False


def machine():
    """What a report must name, since on another machine all of it may be different."""
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "cpu": processor(),
        "libc": " ".join(platform.libc_ver()),
        "compiler": first_line(["cc", "--version"]),
    }


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    except FileNotFoundError:
        return f"no {command[0]}"
    return done.stdout.partition("\n")[0]


def told(command, codes=(0,), **more):
    """What a command of gearbox prints as JSON; it ends with one of these codes when it does."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False, **more)
    if done.returncode not in codes or not done.stdout:
        raise Failure(f"{' '.join(command)}: {(done.stderr or '').strip() or f'it ended with code {done.returncode}'}")
    return json.loads(done.stdout)


def chosen(rows, names, what):
    """The rows with these names in front, all of them if there are none."""
    known = [row[0] for row in rows]
    for name in names or []:
        if name not in known:
            raise Failure(f"no {what} {name}; there are: {'; '.join(known)}")
    return [row for row in rows if not names or row[0] in names]


def add_rounds(parser):
    """Of a bench that measures CPU time in rounds: how many, how long, on which CPUs."""
    parser.add_argument("--rounds", type=int, default=15, help="(default 15)")
    parser.add_argument("--seconds", type=float, default=0.25, help="of load, a round and server (default 0.25)")
    parser.add_argument("--cpus", default="0,1", metavar="S,L", help="for the servers, for the load (default 0,1)")


def check_rounds(parser, options):
    allowed = os.sched_getaffinity(0)
    try:
        options.cpus = [int(number) for number in options.cpus.split(",")]
    except ValueError:
        options.cpus = []
    if len(options.cpus) != 2 or not allowed.issuperset(options.cpus):
        parser.error(f"--cpus: two of {sorted(allowed)} are needed, as in 0,1")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be above 0")


def add_choice(parser, what, rows):
    """An option for names of rows, which `chosen` takes."""
    parser.add_argument(f"--{what}", action="append", metavar="NAME",
                        help=f"only this one, may be repeated: {'; '.join(row[0] for row in rows)}")


def command_line(name, text, build):
    """The parser of a bench that counts, with the options that all have."""
    parser = argparse.ArgumentParser(prog=f"bench {name}", description=text,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(name=name)
    parser.add_argument("--json", metavar="FILE", help="write everything measured")
    parser.add_argument("--report", metavar="FILE", help="fill the marked part of this page")
    parser.add_argument("--build", default=os.path.join(ROOT, build), metavar="FOLDER")
    return parser


def run(options, count, **tools):
    """Count, print, and write what the options ask for; count(options, report) returns what --json writes. The
    versions of tools are named beside the machine. Returns the exit code."""
    about = {**machine(), **tools}
    try:
        report = Report(options.report)
        report.say(", ".join(about.values()))
        results = count(options, report)
        report.fill(options.name)
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump({"machine": about, **results}, file, indent=1)
    except (Failure, OSError) as failure:
        say(f"bench: {failure}")
        return 1
    return 0
