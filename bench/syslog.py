#!/usr/bin/python3
"""Log records: CPU time and instructions of the service `syslog` a record, beside rsyslog's imtcp.

Each takes records of RFC 5424 over TCP and writes them to a file of its own, all on one CPU; who sends is on another one
and visits them in turn, round after round. A visit sends its records over several connections, waits until they are in
the file, looks whether each of them is there once and in order, and counts the CPU time that all of it took the server.
What counts is the median over the rounds of the ratio to rsyslog within a round.

Instructions are those of user space, counted by valgrind: more records less fewer, by the records between, so that what
beginning and ending cost cancels out.

`senders` has util-linux's logger and rsyslog send a million records each to every preset, and looks for each of them in
the file. RSYSLOGD names another rsyslogd.
"""

import contextlib
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import callgrind
import measure
import subject
from foreign import Foreign, program
from results import spread
from server import PATIENCE_S, Failure, Server, settled_cpu_ns, until

RSYSLOG = """
global(workDirectory="{folder}")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="{port}")
action(type="omfile" file="{folder}/log" template="RSYSLOG_SyslogProtocol23Format")
"""
COUNTED = (4000, 12000)  # records: fewer and more, under valgrind


class Load(NamedTuple):
    name: str
    text: str
    piece: int  # bytes that are sent at once; 0: a record
    octets: bool = False  # its length comes before each record
    rate: int = 0  # sends a second, when they are due; 0: as fast as they are taken


LOADS = [
    Load("lines", "lines, 16 KiB a send", 16384),
    Load("octets", "counted octets, 16 KiB a send", 16384, True),
    Load("single", "lines, a record a send", 0),
    Load("paced", "lines, a record a send, 20,000 a second", 0, rate=20000),
]


class Row(NamedTuple):
    name: str
    model: str = ""  # of ours


ROWS = [Row("reactor", "reactor,engine=epoll"), Row("proactor", "proactor"), Row("thread", "thread"),
        Row("rsyslogd")]


def record(connection, number, size):
    """In the form in which rsyslog writes it as well."""
    head = f"<13>1 2026-11-28T12:00:00.000000+00:00 host bench {connection} ID - {number} "
    return (head + "x" * (size - len(head))).encode()


class Records:
    """What each connection sends in every visit, and what must come to the file."""

    def __init__(self, load, count, connections, size):
        self.count = count // connections * connections
        self.lines = [[record(number, one, size) for one in range(count // connections)]
                      for number in range(connections)]
        self.size = sum(len(line) + 1 for line in itertools.chain(*self.lines))
        self.rate = load.rate
        self.pieces = [self.cut([b"%d %s" % (len(line), line) if load.octets else line + b"\n" for line in lines],
                                load.piece) for lines in self.lines]

    @staticmethod
    def cut(frames, size):
        data = b"".join(frames)
        return [data[at:at + size] for at in range(0, len(data), size)] if size else frames

    def send(self, port):
        """Over all connections in turn, each blocking: who does not read holds them up."""
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S))
                       for _ in self.pieces]
            number, began = 0, time.monotonic()
            for pieces in itertools.zip_longest(*self.pieces):
                for one, piece in zip(sockets, pieces):
                    while self.rate and time.monotonic() < began + number / self.rate:
                        pass
                    if piece:
                        one.sendall(piece)
                    number += 1
            for one in sockets:
                one.shutdown(socket.SHUT_WR)

    def check(self, data, name):
        """Each once, and those of a connection in order."""
        left = [iter(lines) for lines in self.lines]
        for line in data.split(b"\n")[:-1]:
            if next(left[int(line.split(b" ", 5)[4])], None) != line:
                raise Failure(f"{name}: a record is wrong, doubled or out of order: {line[:80]!r}")
        if any(next(one, None) for one in left):
            raise Failure(f"{name}: a record is missing")


class Subject:
    """A server, and the file that it writes."""

    def __init__(self, row, options, stack, prefix=()):
        self.name = row.name
        if row.model:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            command = [f"{options.build}/gearbox", "serve", "syslog", *subject.LISTEN, "--model", row.model]
            self.path = os.path.join(folder, "log")
            self.server = stack.enter_context(Server(row.name, [*command, "--set", f"file={self.path}"],
                                                     {options.cpus[0]}, prefix=prefix))
        else:
            command = [*prefix, program("rsyslogd"), "-n", "-f", "{config}", "-i", "{folder}/pid"]
            self.server = stack.enter_context(Foreign(row.name, command, RSYSLOG, options.cpus[0]))
            self.path = os.path.join(self.server.folder.name, "log")

    def stored(self):
        """Bytes in its file."""
        try:
            return os.stat(self.path).st_size
        except FileNotFoundError:
            return 0

    def visit(self, records):
        """Send them, and see them in the file."""
        before = self.stored()
        records.send(self.server.port)
        until(lambda: self.stored() >= before + records.size, f"{self.name} stores all records")
        with open(self.path, "rb") as file:
            file.seek(before)
            records.check(file.read(), self.name)

    def measured(self, records):
        used, began = settled_cpu_ns(self.server.pid), time.monotonic()
        self.visit(records)
        taken = time.monotonic() - began
        used = settled_cpu_ns(self.server.pid) - used
        os.truncate(self.path, 0)
        return {"cpu_us_per_record": used / 1000 / records.count, "records_per_second": records.count / taken}


def instructions(row, load, options):
    """Of one record, in user space."""
    counted = []
    for count in COUNTED:
        with tempfile.TemporaryDirectory(prefix="gearbox-count-") as folder, contextlib.ExitStack() as stack:
            profile = os.path.join(folder, "profile")
            records = Records(load, count, options.connections, options.size)
            prefix = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={profile}", "--log-file=/dev/null"]
            Subject(row, options, stack, prefix).visit(records)
            stack.close()
            parsed = callgrind.parse(profile, "/dev/null")
            counted.append((parsed, records.count))
    (fewer, few), (more, many) = counted
    return more.per(fewer, many - few)


def tell(rows, visits, counts, report):
    found = {}
    report.say(f"  {'':<10} {'CPU':>9}            {'quartiles':>15} {'instructions':>14}")
    for name in [row.name for row in rows]:
        found[name] = {"rounds": visits[name],
                       "cpu_us": statistics.median(one["cpu_us_per_record"] for one in visits[name])}
        line = f"  {name:<10} {found[name]['cpu_us']:>6.2f} µs"
        if "rsyslogd" in visits:
            middle, lower, upper = spread([one["cpu_us_per_record"] / other["cpu_us_per_record"]
                                           for one, other in zip(visits[name], visits["rsyslogd"])])
            found[name].update(ratio=middle, ratio_lower=lower, ratio_upper=upper)
            line += f"  {middle:>7.3f}  {lower:.3f} – {upper:.3f}"
        if name in counts:
            found[name]["instructions"] = counts[name].instructions
            line += f" {counts[name].instructions:>14,.0f}"
        report.say(line)
    return found


def count(options, report):
    rows = [row for row in subject.chosen(ROWS, options.subject, "subject") if row.model or program(row.name)]
    missing = [row.name for row in ROWS if not row.model and not program(row.name)]
    if not subject.io_uring_works(options.build):
        rows = [row for row in rows if row.name != "proactor"]
    report.say(f"{options.rounds} rounds of {options.records:,} records of {options.size} bytes over {options.connections} "
               f"connections, servers on CPU {options.cpus[0]}, sender on CPU {options.cpus[1]}, load average "
               f"{os.getloadavg()[0]:.1f} when it began" + (f"; not installed: {', '.join(missing)}" if missing else ""))
    os.sched_setaffinity(0, {options.cpus[1]})
    results = {}
    with contextlib.ExitStack() as stack:
        servers = {row.name: Subject(row, options, stack) for row in rows}
        for load in subject.chosen(LOADS, options.load, "load"):
            records = Records(load, options.records, options.connections, options.size)
            visits = measure.interleaved(load.name, list(servers), options.rounds,
                                         lambda name, records=records: servers[name].measured(records))
            counts = {row.name: instructions(row, load, options) for row in rows} if options.instructions else {}
            if options.functions:
                for name, one in counts.items():
                    print(name)
                    for function, own in one.own.most_common(options.functions):
                        print(f"  {own:>8.1f}  {function}")
            report.say(f"\n{load.text}: CPU a record, ratio to rsyslogd, its quartiles")
            results[load.name] = tell(rows, visits, counts, report)
    return {"loads": results}


def senders(records):
    """The test of other senders, with more of them. Returns its exit code."""
    folder = os.path.join(subject.ROOT, "tests", "blackbox")
    environment = {**os.environ, "GEARBOX": os.path.join(subject.ROOT, "build-bench", "gearbox"),
                   "SYSLOG_RECORDS": str(records), "BLACKBOX_VERBOSE": "1"}
    return subprocess.run([sys.executable, os.path.join(folder, "syslog_test.py"),
                           "records_of_other_senders_arrive_once_and_in_order"], env=environment, check=False).returncode


def main():
    parser = subject.command_line("syslog", __doc__, "build-bench")
    subject.add_rounds(parser)
    subject.add_choice(parser, "subject", ROWS)
    subject.add_choice(parser, "load", LOADS)
    parser.add_argument("what", nargs="?", choices=["senders"], help="the records of other senders, in place of figures")
    parser.add_argument("--records", type=int, help="a visit (default 50,000), respectively a sender (a million)")
    parser.add_argument("--connections", type=int, default=10, help="(default 10)")
    parser.add_argument("--size", type=int, default=160, help="bytes of a record (default 160)")
    parser.add_argument("--no-instructions", dest="instructions", action="store_false", help="CPU time alone")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="list the dearest so many")
    options = parser.parse_args()
    if options.what:
        return senders(options.records or 1000000)
    options.records = options.records or 50000
    subject.check_rounds(parser, options)
    if options.instructions and not shutil.which("valgrind"):
        measure.say("bench: needs valgrind, or --no-instructions")
        return 2
    return subject.run(options, count)


if __name__ == "__main__":
    sys.exit(main())
