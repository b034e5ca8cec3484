#!/usr/bin/python3
"""Forwarding: CPU time of the proxy a message, beside HAProxy and nginx's stream module.

All are up at the same time, each on one CPU, before one echo server; that and the load are on another CPU, and the load
visits the proxies in turn, round after round. What counts is the median over the rounds of the ratio to the better of
HAProxy and nginx within a round. Those of them that are not installed are left out, and said to be; HAPROXY, NGINX and
NGINX_STREAM (its module's file) name others.
"""

import contextlib
import os
import statistics
import sys
from typing import NamedTuple

import measure
import subject
from foreign import Foreign, program
from results import spread
from server import Server

LOADS = [
    ("64 B", "50 connections, 64 B", ["--connections", "50"]),
    ("16 KiB", "50 connections, 16 KiB", ["--connections", "50", "--size", "16384"]),
    ("once", "50 at a time: connect, 64 B, close", ["--connections", "50", "--once"]),
]

HAPROXY = """
global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen bench
    bind 127.0.0.1:{port}
    server echo 127.0.0.1:{upstream}
"""

NGINX = """
{module}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 4000; }}
stream {{ server {{ listen 127.0.0.1:{port} backlog=4096; proxy_pass 127.0.0.1:{upstream}; }} }}
"""


class Row(NamedTuple):
    name: str
    model: str = ""  # of ours


ROWS = [Row("reactor", "reactor,engine=epoll"), Row("proactor", "proactor"), Row("HAProxy"), Row("nginx")]


def start(row, options, upstream, more=(), haproxy=HAPROXY, nginx=NGINX, **values):
    """One of them: ours with more flags, the others with these files of configuration, and values for what these name."""
    cpu = options.cpus[0]
    if row.model:
        command = ["{build}/gearbox", "serve", "proxy", *subject.LISTEN, "--model", row.model, "--set",
                   f"upstream=127.0.0.1:{upstream}", *more]
        return Server(row.name, [part.format(build=options.build) for part in command], {cpu})
    if row.name == "HAProxy":
        return Foreign(row.name, [program(row.name), "-f", "{config}"], haproxy, cpu, upstream=upstream, **values)
    module = os.environ.get("NGINX_STREAM", "/usr/lib/nginx/modules/ngx_stream_module.so")
    return Foreign(row.name, [program(row.name), "-c", "{config}"], nginx, cpu, upstream=upstream,
                   module=f"load_module {module};" if os.path.exists(module) else "", **values)


def chosen(options):
    """(rows that can be measured here, what is said of those that are not installed)."""
    missing = [row.name for row in ROWS if not row.model and not program(row.name)]
    rows = [row for row in subject.chosen(ROWS, options.subject, "subject") if row.name not in missing]
    if not subject.io_uring_works(options.build):
        rows = [row for row in rows if row.name != "proactor"]
    return rows, f"; not installed: {', '.join(missing)}" if missing else ""


def better(visits, number):
    """The less of what the others used in a round."""
    return min(visits[name][number]["cpu_us_per_message"] for name in ("HAProxy", "nginx") if name in visits)


def tell(visits, report):
    found = {}
    for name, rounds in visits.items():
        used = statistics.median(one["cpu_us_per_message"] for one in rounds)
        found[name] = {"cpu_us": used, "rounds": rounds}
        line = f"  {name:<12} {used:>8.2f} µs"
        if {"HAProxy", "nginx"} & set(visits):
            middle, lower, upper = spread([one["cpu_us_per_message"] / better(visits, number)
                                           for number, one in enumerate(rounds)])
            found[name].update(ratio=middle, ratio_lower=lower, ratio_upper=upper)
            line += f"  {middle:>7.3f}  {lower:.3f} – {upper:.3f}"
        report.say(line)
    return found


def count(options, report):
    rows, missing = chosen(options)
    report.say(f"{options.rounds} rounds of {options.seconds} s, proxies on CPU {options.cpus[0]}, load and echo server on "
               f"CPU {options.cpus[1]}, load average {os.getloadavg()[0]:.1f} when it began{missing}")
    results = {}
    with contextlib.ExitStack() as stack:
        load_cpu = {options.cpus[1]}
        echo = stack.enter_context(subject.start("echo", subject.model("reactor,engine=epoll"), options.build,
                                                 cpus=load_cpu))
        proxies = {row.name: stack.enter_context(start(row, options, echo.port)) for row in rows}
        for name, text, load in subject.chosen(LOADS, options.load, "load"):
            visits = measure.interleaved(name, list(proxies), options.rounds,
                                         lambda one, load=load: measure.visit(proxies[one], load, load_cpu, options))
            report.say(f"\n{text}: CPU a message, ratio to the better of the others, its quartiles")
            results[name] = tell(visits, report)
    return {"loads": results}


def main():
    parser = subject.command_line("proxy", __doc__, "build-bench")
    subject.add_rounds(parser)
    subject.add_choice(parser, "subject", ROWS)
    subject.add_choice(parser, "load", LOADS)
    options = parser.parse_args()
    subject.check_rounds(parser, options)
    options.spin = False
    return subject.run(options, count)


if __name__ == "__main__":
    sys.exit(main())
