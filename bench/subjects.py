"""What is measured and how it is loaded. A peer, a model or a load is one row."""

from typing import NamedTuple

RAW, MODEL, PEER, SCRIPT, TRIED = "raw", "model", "peer", "script", "tried"
GROUPS = (RAW, MODEL, PEER, SCRIPT, TRIED)  # the last runs when it is named
# Kinds of work: one CPU; one CPU and lines; one CPU and a connection handed over, to a busy worker; two CPUs.
ONE, LINES, HANDED, BUSY, TWO = "one", "lines", "handed", "busy", "two"


class Subject(NamedTuple):
    name: str
    group: str
    command: list
    yardstick: str  # what it is compared with, and whose capacity sets the rate of a paced load
    also: tuple = ()  # what else it is compared with
    families: tuple = (ONE,)
    package: str = ""  # Debian's, for the report


class Load(NamedTuple):
    name: str
    text: str
    arguments: list
    family: str = ONE
    paced: bool = False  # at a rate; what counts is p99, not CPU time


def raw(name, yardstick=None, loops=1, option=None, group=RAW, **more):
    command = ["{bench}/" + name.split()[0]]
    if loops > 1:
        command += ["--loops", str(loops)]
    if option:
        command.append(option)
    return Subject(name, group, command, yardstick or name, **more)


def model(name, spec, yardstick, command=("{gearbox}", "serve", "echo"), **more):
    command = [*command, "--listen", "127.0.0.1:0", "--model", spec]
    return Subject(name, MODEL, command, yardstick, **more)


def busy(name, spec, yardstick="busy reactor"):
    return model(name, spec, yardstick, command=["{bench}/busy_echo"], families=(BUSY,))


def peer(name, package, program, yardstick="raw_epoll", also=("reactor",)):
    return Subject(name, PEER, ["{bench}/peers/" + program], yardstick, also, package=package)


def script(name, package, *command):
    return Subject(name, SCRIPT, list(command), "raw_epoll", ("reactor",), package=package)


# "again": the same twice. How far the ratio of the two strays from 1 is the noise.
SUBJECTS = [
    raw("raw_epoll", families=(ONE, LINES, HANDED)),
    raw("raw_epoll again", "raw_epoll", families=(ONE, LINES, HANDED)),
    raw("raw_uring", also=("raw_epoll",)),
    raw("raw_uring again", "raw_uring"),
    raw("raw_uring_registered", "raw_uring", group=TRIED),
    raw("raw_uring_zero_copy", "raw_uring", group=TRIED),
    raw("raw_poll"),
    model("reactor", "reactor", "raw_epoll", families=(ONE, LINES, HANDED)),
    model("proactor", "proactor", "raw_uring", also=("reactor",)),
    model("reactor on poll", "reactor,engine=poll", "raw_poll"),
    model("line codec", "reactor", "raw_epoll", command=["{bench}/line_echo"], also=("reactor",), families=(LINES,)),
    model("main and one sub-reactor", "multi-reactor,workers=1", "reactor", families=(HANDED,)),
    busy("busy reactor", "reactor"),
    busy("busy reactor again", "reactor"),
    busy("busy main and one sub-reactor", "multi-reactor,workers=1"),
    busy("busy proactor", "proactor"),
    busy("busy main and one sub-proactor", "multi-proactor,workers=1", "busy proactor"),
    raw("raw_epoll x2", loops=2, families=(TWO,)),
    raw("raw_epoll x2 again", "raw_epoll x2", loops=2, families=(TWO,)),
    raw("raw_epoll x2 one table", "raw_epoll x2", loops=2, option="--one-table", families=(TWO,)),
    raw("raw_uring x2", loops=2, families=(TWO,)),
    model("multi-reactor", "multi-reactor,workers=2", "raw_epoll x2", families=(TWO,)),
    model("multi-reactor-reuseport", "multi-reactor-reuseport,workers=2", "raw_epoll x2", families=(TWO,)),
    model("multi-proactor", "multi-proactor,workers=2", "raw_uring x2", families=(TWO,)),
    peer("libuv", "libuv1", "uv"),
    peer("libevent", "libevent-core-2.1-7", "event"),
    peer("libev", "libev4", "ev"),
    peer("Asio, epoll", "libasio-dev", "asio_epoll"),
    peer("Asio, io_uring", "libasio-dev", "asio_uring", "raw_uring", ("proactor",)),
    peer("ACE", "libace-7.0.8", "ace"),
    script("Node.js", "nodejs", "node", "{source}/peers/node.js"),
    script("asyncio", "python3", "/usr/bin/python3", "{source}/peers/asyncio_echo.py"),
    script("Tornado", "python3-tornado", "/usr/bin/python3", "{source}/peers/tornado_echo.py"),
    script("Twisted", "python3-twisted", "/usr/bin/python3", "{source}/peers/twisted_echo.py"),
]

LOADS = [
    Load("50x64B", "50 connections, 64 B", ["--connections", "50"]),
    Load("1000x64B", "1000 connections, 64 B", ["--connections", "1000"]),
    Load("50x64Bx16", "50 connections, 64 B, 16 in flight", ["--connections", "50", "--depth", "16"]),
    Load("50x16KiB", "50 connections, 16 KiB", ["--connections", "50", "--size", "16384"]),
    Load("once", "50 at a time: connect, 64 B, close", ["--connections", "50", "--once"]),
    Load("50+5000idle", "50 connections, 64 B, beside 5000 idle", ["--connections", "50", "--idle", "5000"]),
    Load("lines", "50 connections, lines of 64 B", ["--connections", "50", "--lines"], LINES),
    Load("linesx16", "50 connections, lines of 64 B, 16 in flight",
         ["--connections", "50", "--lines", "--depth", "16"], LINES),
    Load("handed", "50 at a time: connect, 64 B, close; accepted by another thread", ["--connections", "50", "--once"],
         HANDED),
    Load("handed-busy", "50 at a time: connect, 64 B, some computing, close; accepted by another thread",
         ["--connections", "50", "--once"], BUSY),
    Load("two-50x64B", "two CPUs, 50 connections, 64 B", ["--connections", "50"], TWO),
    Load("two-1000x64B", "two CPUs, 1000 connections, 64 B", ["--connections", "1000"], TWO),
    Load("p99", "50 connections, 64 B, at 70 % of what the yardstick can do", ["--connections", "50", "--spin"],
         paced=True),
]
PACE = 0.7  # of capacity
PACED_ROUND = 4  # as long as another load's: the hundredth slowest message needs more of them than a mean


def places(options):
    """What stands for the braces in a command."""
    return {"bench": f"{options.build}/bench", "gearbox": options.gearbox, "source": options.source}


def command_of(subject, options):
    return [part.format(**places(options)) for part in subject.command]


def pairs(load, names):
    """(subject, base) of every ratio under a load, of the subjects that took part."""
    by_name = {subject.name: subject for subject in SUBJECTS if subject.name in names}
    for subject in by_name.values():
        for base in (subject.yardstick, *subject.also):
            # At different rates latencies say nothing about each other.
            comparable = not load.paced or base == subject.yardstick or (
                base in by_name and by_name[base].yardstick == subject.yardstick)
            if base in by_name and base != subject.name and comparable:
                yield subject.name, base
