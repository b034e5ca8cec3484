#!/usr/bin/python3
"""TLS: CPU time of the server a handshake and a message, and memory of an idle connection, beside HAProxy and nginx.

Each terminates TLS 1.3 with the same certificate (ECDSA, P-256) and the same OpenSSL, and forwards to one echo server. All are up
at the same time, each on one CPU; the echo server and the load are on another one, and the load visits them in turn, round after
round. What counts is the median over the rounds of the ratio to the better of HAProxy and nginx within a round. Those of them that
are not installed are left out, and said to be; HAPROXY, NGINX and NGINX_STREAM (its module's file) name others.
"""

import contextlib
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

import measure
import proxy
import subject
from server import PATIENCE_S, Failure, child, settled_cpu_ns, settled_memory

HANDSHAKES = ["--connections", "10", "--reconnect", "--messages-per-connection", "1"]
LOADS = [
    ("full", "full handshakes, a message of 64 B each", [*HANDSHAKES, "--tls-resume", "no"]),
    ("resumed", "resumed handshakes, a message of 64 B each", [*HANDSHAKES]),
    ("64 B", "10 connections, 64 B", ["--connections", "10"]),
    ("16 KiB", "10 connections, 16 KiB", ["--connections", "10", "--size", "16KiB"]),
]
IDLE = "idle"
IDLE_FIRST, IDLE_MORE = 20, 400  # connections: those that memory is there for, and those that are counted
IDLE_REST_S = 25  # before memory is looked at: whoever gives some back when he rests has done so

HAPROXY = proxy.HAPROXY.replace("bind 127.0.0.1:{port}", "bind 127.0.0.1:{port} ssl crt {keys}/both.pem ssl-min-ver TLSv1.3")
NGINX = proxy.NGINX.replace("listen 127.0.0.1:{port} backlog=4096;",
                            "listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {keys}/cert.pem; "
                            "ssl_certificate_key {keys}/key.pem; ssl_protocols TLSv1.3;")


def make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", "/CN=localhost", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
                   check=True, capture_output=True)
    with open(f"{folder}/both.pem", "w", encoding="ascii") as both:
        for name in ("cert", "key"):
            with open(f"{folder}/{name}.pem", encoding="ascii") as part:
                both.write(part.read())


def visit(server, arguments, cpus, options):
    """One round of one server: what it used, for whatever came of the load."""
    command = [f"{options.build}/gearbox", "load", f"127.0.0.1:{server.port}", "--tls", "--tls-insecure", "--json", "--quiet",
               "--duration", f"{max(1, int(options.seconds * 1000))}ms", *arguments]
    before = settled_cpu_ns(server.pid)
    load = child(command, cpus, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said, errors = load.communicate(timeout=PATIENCE_S)
    used = settled_cpu_ns(server.pid) - before
    result = json.loads(said) if said else {}
    if load.returncode not in (0, 3) or not result.get("messages"):  # 3: on a machine that is loaded
        raise Failure(f"{server.name} under {' '.join(arguments)}: {errors.strip()}")
    return {"cpu_us_per_message": used / 1000 / result["messages"], "messages": result["messages"]}


def hold(server, count, context):
    """So many connections that have said something, and are silent then."""
    held = []
    for _ in range(count):
        plain = socket.create_connection(("127.0.0.1", server.port), PATIENCE_S)
        client = context.wrap_socket(plain)
        client.sendall(b"x" * 64)
        got = 0
        while got < 64:
            got += len(client.recv(64))
        held.append(client)
    return held


def idle(servers, context):
    """Bytes a connection of each."""
    held, sizes = [], []
    for count in (IDLE_FIRST, IDLE_MORE):
        held += [client for server in servers.values() for client in hold(server, count, context)]
        time.sleep(IDLE_REST_S)
        sizes.append({name: settled_memory(server.pid) for name, server in servers.items()})
    for client in held:
        client.close()
    return {name: (sizes[1][name] - sizes[0][name]) / IDLE_MORE for name in servers}


def tell_idle(servers, report):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    report.say(f"\nidle: memory of a connection that was answered {IDLE_REST_S} s ago, with the one to the echo server")
    found = idle(servers, context)
    others = [found[name] for name in ("HAProxy", "nginx") if name in found]
    for name, each in found.items():
        report.say(f"  {name:<12} {each:>8.0f} B" + (f"  {each / min(others):>7.3f}" if others else ""))
    return found


def tell(visits, report):
    found = proxy.tell(visits, report)
    busiest = min(statistics.median(one["messages"] for one in rounds) for rounds in visits.values())
    report.say(f"  ({busiest:.0f} messages a round at least)")
    return found


def count(options, report):
    rows, missing = proxy.chosen(options)
    report.say(f"{ssl.OPENSSL_VERSION}; {options.rounds} rounds of {options.seconds} s, servers on CPU {options.cpus[0]}, load and "
               f"echo server on CPU {options.cpus[1]}, load average {os.getloadavg()[0]:.1f} when it began{missing}")
    results = {}
    with contextlib.ExitStack() as stack:
        load_cpu = {options.cpus[1]}
        keys = stack.enter_context(tempfile.TemporaryDirectory())
        make_certificate(keys)
        echo = stack.enter_context(subject.start("echo", subject.model("reactor,engine=epoll"), options.build,
                                                 cpus=load_cpu))
        ours = ("--tls-cert", f"{keys}/cert.pem", "--tls-key", f"{keys}/key.pem", "--tls-version", "1.3")
        servers = {row.name: stack.enter_context(proxy.start(row, options, echo.port, ours, HAPROXY, NGINX, keys=keys))
                   for row in rows}
        for name, text, load in subject.chosen([*LOADS, (IDLE, "", [])], options.load, "load"):
            if name == IDLE:
                results[name] = tell_idle(servers, report)
                continue
            visits = measure.interleaved(name, list(servers), options.rounds,
                                         lambda one, load=load: visit(servers[one], load, load_cpu, options))
            report.say(f"\n{text}: CPU each, ratio to the better of the others, its quartiles")
            results[name] = tell(visits, report)
    return {"loads": results}


def main():
    parser = subject.command_line("tls", __doc__, "build-bench")
    subject.add_rounds(parser)
    subject.add_choice(parser, "subject", proxy.ROWS)
    subject.add_choice(parser, "load", [*LOADS, (IDLE, "idle connections", [])])
    options = parser.parse_args()
    subject.check_rounds(parser, options)
    return subject.run(options, count)


if __name__ == "__main__":
    sys.exit(main())
