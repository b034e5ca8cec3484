#!/usr/bin/env python3
"""What `--summary` counts, under every model, and the tables that tools make of it."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile

from certificates import TLS, made_once, make_tls
from client import answered
from lib import CASE_SECONDS_MAX, GEARBOX, Server, backlog, case, case_for_each, check, check_equal, \
    check_refusal, listens, main, receive_all, run, wait_until
from models import MODELS, PRESETS

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")
CLIENTS = 12
CROWD = 100
MESSAGE = b"counted\n"


def summary(arguments, visit, service="echo", **more):
    """What a server prints at its end, after `visit` was called with it."""
    with tempfile.TemporaryFile() as output:
        with Server(*arguments, "--summary", service=service, **more,
                    before_exec=lambda: os.dup2(output.fileno(), 1)) as server:
            visit(server)
        output.seek(0)
        text = output.read().decode()
    check(text.endswith("\n") and text.count("\n") == 1, f"one line: {text!r}")
    return json.loads(text)


def visits(server):
    for _ in range(CLIENTS):
        answered(server, MESSAGE)


@case_for_each(MODELS)
def the_sums_are_those_of_the_clients(model):
    found = summary(model.arguments, visits)
    size = CLIENTS * len(MESSAGE)
    check("workers=N" not in found["model"], f"the number of workers: {found['model']}")
    check_equal(found["accepted"], CLIENTS, "accepted")
    check_equal(found["connections"], 0, "open at the end")
    check_equal((found["bytes_in"], found["bytes_out"]), (size, size), "bytes")
    check(found["messages"] >= CLIENTS, f"messages: {found['messages']}")  # as many as reads, without a codec
    check_equal({reason: count for reason, count in found["closed"].items() if count}, {"eof": CLIENTS}, "reasons")
    places = found["workers"] + ([found["main"]] if found["main"] else [])
    for key in ("accepted", "messages"):
        check_equal(sum(place[key] for place in places), found[key], f"{key} of all places")
    check(all(place["waits"] > 0 for place in places if place["accepted"]), f"who works has waited: {places}")
    several = model.axes["workers"] != "1" and not model.per_connection and len(found["workers"]) > 1
    most = max(place["accepted"] for place in found["workers"])
    expected = round(most * len(found["workers"]) / CLIENTS, 3) if several else None
    check_equal(found["imbalance"], expected, f"imbalance of {found['workers']}")


@case
def each_address_is_told_with_what_comes_before_its_service():
    folder, address, lines = made_once(make_tls).name, r"127\.0\.0\.1:\d+", []
    found = summary([word.replace("FOLDER", folder) for word in TLS], lambda server: lines.append(server.ready_line), listen=(
        "127.0.0.1:0", "127.0.0.1:0,tls=no", "127.0.0.1:0,proxy-protocol=any", "discard=127.0.0.1:0,tls=no,proxy-protocol=any"))
    check(re.match(f"gearbox: serving echo on {address} over TLS, {address}, {address} behind a proxy over TLS; "
                   f"discard on {address} behind a proxy \\(model ", lines[0]), f"the ready line: {lines}")
    check_equal([address["address"] for address in found["addresses"]], re.findall(address, lines[0]), "addresses")
    check_equal([(address["service"], address["tls"], address["proxy_protocol"]) for address in found["addresses"]],
                [("echo", True, False), ("echo", False, False), ("echo", True, True), ("discard", False, True)], "of each")


@case
def routes_and_priorities_are_counted():
    """Where each worker process has a pool of its own, of all together."""
    def request(server, compute_us, block_us):
        body = (1).to_bytes(4, "big") + compute_us.to_bytes(4, "big") + block_us.to_bytes(4, "big")
        client = server.connect()
        client.sendall(len(body).to_bytes(4, "big") + body)
        client.shutdown(socket.SHUT_WR)
        check_equal(receive_all(client), (4).to_bytes(4, "big") + (1).to_bytes(4, "big"), "reply")
        client.close()

    def visit(server):
        for _ in range(3):
            request(server, 0, 0)
        for _ in range(2):
            request(server, 10, 0)
        request(server, 0, 10)

    for model, pool in (("thread", False), ("reactor-pool", True),
                        ("accept=acceptor,unit=process,workers=2,engine=epoll,compute=threads", True)):
        found = summary(("--model", model), visit, service="work-routed")
        check_equal(found["routes"], [{"service": "work-routed", "route": route, "messages": messages}
                                      for route, messages in (("short", 3), ("computes", 2), ("blocks", 1))], "routes")
        check_equal({name: level["jobs"] for name, level in (found["pool"] or {}).items()},
                    {"high": 0, "normal": 1, "low": 2} if pool else {}, f"jobs under {model}")
        for level in (found["pool"] or {}).values():
            check_equal(level["waiting"], 0, "waiting at the end")
            check((level["waiting_max"] == 0) == (level["jobs"] == 0), f"waited at once: {level}")
            check(level["wait_us"] >= level["wait_max_us"], f"waits: {level}")


@case_for_each(PRESETS)
def coroutines_and_their_fullest_stack_are_counted(model):
    def visit(server):
        for _ in range(3):
            client = server.connect()
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            check_equal(receive_all(client), b"hello", "what comes back")
            client.close()

    found = summary(model.arguments, visit, service="echo-sequential")["coroutines"]
    check_equal((found["alive"], found["ended"]), (0, 3), "alive, ended")
    check(1 <= found["alive_max"] <= 3, f"at once in one worker: {found}")
    native = model.axes["engine"] == "blocking"
    check(found["stack_used_max"] == 0 if native else 1000 < found["stack_used_max"] < 128 << 10, f"stacks: {found}")


@case_for_each([model for model in MODELS if model.axes["accept"] == "acceptor"])
def who_was_accepted_is_counted_whatever_ends_it(model):
    """Also those who still wait for a worker when a second signal comes."""
    clients = []

    def visit(server):
        for _ in range(CROWD):
            clients.append(server.connect())
            clients[-1].sendall(b"begun")
        wait_until(lambda: backlog(server.port) == 0, "all are accepted")
        server.send_signal()
        wait_until(lambda: not listens(server.port), "nobody listens any more")
        server.send_signal()
        check_equal(server.wait(), 0, "exit code")

    found = summary((*model.with_workers(1), "--drain-timeout", "1h"), visit, service="time-echo")
    for client in clients:
        client.close()
    check_equal(found["accepted"], len(clients), "accepted")
    check_equal(sum(found["closed"].values()), len(clients), f"the sum of {found['closed']}")


@case
def nobody_came():
    found = summary(("--model", "prefork-reactor,workers=3"), lambda server: None)
    check_equal([place["accepted"] for place in found["workers"]], [0, 0, 0], "accepted by each")
    check_equal((found["accepted"], found["imbalance"]), (0, None), "accepted, imbalance")
    check_equal(set(found["closed"].values()), {0}, "counts of reasons")


@case
def output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "wb") as full:
        with Server("--summary", before_exec=lambda: os.dup2(full.fileno(), 1)) as server:
            server.expected_code = 1
        check("summary" in server.log[-1], f"the last line: {server.log}")


@case
def a_refused_start_prints_none():
    check_refusal(run("serve", "echo", "--listen", "127.0.0.1:0", "--summary", "--model", "reactr"), 2, "reactr")


def accept_table(*arguments):
    done = subprocess.run(
        [sys.executable, os.path.join(TOOLS, "accept_table.py"), GEARBOX, "--rounds", "1", "--connections", "10",
         "--workers", "3", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=CASE_SECONDS_MAX)
    check_equal(done.returncode, 0, f"exit code ({done.stdout}{done.stderr})")
    return done.stdout


@case
def accept_table_has_a_row_for_a_way():
    printed = accept_table("place=round-robin")
    check("| 4 3 3 | 1.20 |" in printed, printed)


@case
def accept_table_has_rows_for_a_worker_each():
    printed = accept_table("each")
    for way in ("a process each", "a thread each"):
        check(re.search(rf"^\| acceptor, {way} .*\| 1 ×10 \| – \|$", printed, re.M), f"{way}: {printed}")


@case
def numbers_for_pages_are_not_measured_on_a_busy_machine():
    program = ("import os, sys; sys.path.insert(0, sys.argv[1]); os.getloadavg = lambda: (1.5, 0, 0)\n"
               "import pages; pages.need_rest(sys.argv[2] == 'force'); print('measures')")
    done = [subprocess.run([sys.executable, "-c", program, TOOLS, word], stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, check=False) for word in ("force", "ask")]
    check_equal((done[0].returncode, done[0].stdout), (0, "measures\n"), "what --force does")
    check_equal((done[1].returncode, done[1].stdout), (1, ""), "what it does else")
    check("1.5" in done[1].stderr and "--force" in done[1].stderr, done[1].stderr)


if __name__ == "__main__":
    main()
