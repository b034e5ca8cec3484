#!/usr/bin/env python3
"""Sockets of packets (unix-seqpacket:): each that comes is one message and each answer one packet, under every model."""

import os
import socket
import tempfile

from client import seeded
from lib import Failure, PATIENCE_S, Server, case, case_for_each, check, check_equal, check_refusal, main, run
from models import EACH_ENGINE, PRESETS
from passing import passed

MAX = 65536
LOCAL = [model for model in PRESETS if model.axes["accept"] != "reuseport" and model.axes["compute"] != "processes"]


def connect(name):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(PATIENCE_S)
    client.connect(name)
    return client


def echoed(client, sizes, randomness):
    """Some are sent before the first answer is read; each comes back by itself."""
    packets = [randomness.randbytes(size) for size in sizes]
    for packet in packets:
        check_equal(client.send(packet), len(packet), "bytes sent")
    for packet in packets:
        check(client.recv(2 * MAX) == packet, f"the answer to {len(packet)} bytes differs")


def conversation(name):
    randomness, seed = seeded()
    try:
        converse(name, randomness)
    except Failure as failure:
        raise Failure(f"{failure} (seed {seed})") from None


def converse(name, randomness):
    with connect(name) as client:
        for _ in range(20):
            echoed(client, [randomness.randrange(1, 400) for _ in range(randomness.randrange(1, 12))], randomness)
        echoed(client, (MAX, 1, 2), randomness)
        client.send(b"last")
        client.shutdown(socket.SHUT_WR)
        check_equal(client.recv(10), b"last", "what was said before the end")
        check_equal(client.recv(10), b"", "behind the last packet")


def too_large(name):
    """It is not handed up cut, and nothing is answered to it."""
    with connect(name) as client:
        client.send(bytes(MAX + 1))
        try:
            check_equal(client.recv(MAX), b"", "the answer to a packet that is too large")
        except ConnectionResetError:
            pass


@case_for_each(LOCAL)
def packets_come_back_one_by_one(model):
    with tempfile.TemporaryDirectory() as folder, \
            Server(*model.arguments, listen=(f"unix-seqpacket:{folder}/s",), expected_log="message_too_large") as server:
        check_equal(server.address, f"unix-seqpacket:{folder}/s", "the address of the ready line")
        check(" behind a proxy" not in server.ready_line, server.ready_line)
        conversation(f"{folder}/s")
        too_large(f"{folder}/s")
        conversation(f"{folder}/s")


@case_for_each([model for model in LOCAL if model.serving(2)])
def the_load_generator_sends_packets(model):
    name = f"unix-seqpacket:@gearbox-packet-test-{os.getpid()}"
    with Server(*model.serving(2), listen=(name,)):
        done = run("load", name, "--connections", "2", "--depth", "5", "--messages", "300", "--size", "1..4096", "--quiet")
        check(done.returncode in (0, 3), f"exit code {done.returncode}: {done.stdout}{done.stderr}")


@case
def a_straight_line_handler_has_packets_too():
    with tempfile.TemporaryDirectory() as folder:
        for model in ("reactor", "thread", "proactor"):
            with Server("--model", model, service="echo-sequential", listen=(f"unix-seqpacket:{folder}/s",)):
                conversation(f"{folder}/s")


@case_for_each(EACH_ENGINE)
def one_that_was_passed_in_is_known_by_its_type(model):
    if model.axes["compute"] == "processes":
        return
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{folder}/s")
        listener.listen()
        with passed((listener,)) as how, Server(*model.arguments, listen=("systemd",), **how) as server:
            check_equal(server.address, f"unix-seqpacket:{folder}/s", "the address of the ready line")
            conversation(f"{folder}/s")


@case
def who_listens_is_not_replaced_and_who_does_not_is():
    with tempfile.TemporaryDirectory() as folder:
        with Server(listen=(f"unix-seqpacket:{folder}/s",)):
            for kind in ("unix-seqpacket", "unix"):
                check_refusal(run("serve", "echo", "--listen", f"{kind}:{folder}/s"), 1, "is in use")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
            stale.bind(f"{folder}/s")
        with Server(listen=(f"unix-seqpacket:{folder}/s",)):
            conversation(f"{folder}/s")


@case_for_each(LOCAL)
def a_service_that_joins_streams_is_refused_at_start(model):
    for where in ("unix-seqpacket:@gearbox-refused", "proxy=unix-seqpacket:@gearbox-refused"):
        done = run("serve", "proxy", "--listen", where, "--set", "upstream=127.0.0.1:9", *model.arguments)
        check_refusal(done, 2, "unix-seqpacket:@gearbox-refused: service proxy needs a stream", "write unix:PATH")


@case
def what_needs_a_stream_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix-seqpacket:{folder}/s"
        check_refusal(run("serve", "time-echo", "--listen", address), 2, "finds its messages in a stream", "codec line")
        check_refusal(run("serve", "echo", "--listen", f"{address},proxy-protocol=127.0.0.0/8"), (1, 2), "PROXY header")
        check_refusal(run("serve", "echo", "--listen", address, "--model", "multi-reactor,compute=processes"), (1, 2),
                      "compute=processes")
        check_refusal(run("load", address, "--protocol", "line"), 2, "--protocol line is for streams")
        check_refusal(run("load", address, "--size", "100000"), 2, "a message is a packet there")


if __name__ == "__main__":
    main()
