#!/usr/bin/env python3
"""The proxy: every byte and end passes, failures go to another upstream, each upstream has its share and its count."""

import contextlib
import json
import os
import signal
import socket
import tempfile
import threading
import time

from client import Talk, converse, cut, ending, seeded
from lib import (HOST, PATIENCE_S, SMALL, Server, add_case, case, case_for_each, check, check_equal, check_refusal,
                 children, main, receive_all, receive_exactly, run, wait_until)
from models import EACH_ENGINE, PRESETS

CLIENTS = 8 if SMALL else 24
SIZE_MAX = 200000


class Upstream:
    """A server of Python's that gives each client, with its number, to `serve` in a thread of its own."""

    def __init__(self, serve, port=0):
        self.serve, self.count = serve, 0
        self.listener = socket.create_server((HOST, port))
        self.address = f"{HOST}:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client):
        client.settimeout(PATIENCE_S)
        with client, contextlib.suppress(OSError):
            self.serve(client)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def named(name):
    """An upstream that says who it is, and stays until its client ends."""
    def serve(client):
        client.sendall(name)
        receive_all(client)
    return Upstream(serve)


def end_of_a_client(server):
    """How it ends. A reset may be there before the client has looked whether it is connected."""
    try:
        with server.connect() as client:
            return ending(client)
    except ConnectionResetError:
        return "reset"


class Nobody:
    """An address that refuses, and is nobody else's."""

    def __enter__(self):
        self.socket = socket.socket()
        self.socket.bind((HOST, 0))
        self.port = self.socket.getsockname()[1]
        self.address = f"{HOST}:{self.port}"
        return self

    def __exit__(self, *_):
        self.socket.close()


def settings(upstreams, *sets):
    words = ["upstream=" + ",".join(upstream if isinstance(upstream, str) else upstream.address
                                    for upstream in upstreams), *sets]
    return [word for setting in words for word in ("--set", setting)]


def summary_of(visit, *arguments):
    """What the proxy counts of each upstream, after `visit` was called with it."""
    with tempfile.TemporaryFile() as output:
        with Server(*arguments, "--summary", service="proxy",
                    before_exec=lambda: os.dup2(output.fileno(), 1)) as server:
            visit(server)
        output.seek(0)
        return json.loads(output.read())["services"]["proxy"]["upstreams"]


def echo(client):
    while data := client.recv(1 << 16):
        client.sendall(data)
    client.shutdown(socket.SHUT_WR)


ECHO = Upstream(echo), Upstream(echo)


def every_byte_and_end_passes(model):
    """To two that are there, and one that is not, for which there is always another."""
    randomness, seed = seeded()
    talks = []
    for _ in range(CLIENTS):
        data = randomness.randbytes(randomness.choice((1, 64, 5000, SIZE_MAX)))
        talks.append(Talk(cut(data, randomness, randomness.randint(1, 5)), data))
    with Nobody() as nobody:
        counted = summary_of(lambda server: converse(server, talks), *model.arguments,
                             *settings((nobody, *ECHO), "back-off=1ms"))
    connected = [upstream["connected"] for upstream in counted]
    check_equal((connected[0], sum(connected)), (0, CLIENTS), f"connected (seed {seed})")
    check(min(connected[1:]) > 0, f"both serve: {connected} (seed {seed})")
    for upstream in counted:
        check_equal((upstream["tried"], upstream["open"]), (upstream["connected"] + upstream["failed"], 0),
                    f"{upstream}")


for preset in PRESETS:
    add_case(f"every_byte_and_end_passes[{preset}]", every_byte_and_end_passes, preset)


@case_for_each(EACH_ENGINE)
def each_side_may_end_first_and_go_on_reading(model):
    heard = []

    def serve(client):
        client.sendall(b"all I have")
        client.shutdown(socket.SHUT_WR)
        heard.append(receive_all(client))

    with Upstream(serve) as upstream, Server(*model.arguments, *settings([upstream]), service="proxy") as server:
        with server.connect() as client:
            check_equal(receive_all(client), b"all I have", "what the upstream said")
            client.sendall(b"so have I" * 10000)
            client.shutdown(socket.SHUT_WR)
            wait_until(lambda: heard, "the upstream hears all")
    check_equal(heard, [b"so have I" * 10000], "what the upstream heard")


@case_for_each(EACH_ENGINE)
def a_drain_waits_for_an_answer_that_is_to_come(model):
    heard, drains = threading.Event(), threading.Event()

    def serve(client):
        receive_all(client)
        heard.set()
        drains.wait(PATIENCE_S)
        client.sendall(b"the answer")

    with Upstream(serve) as upstream, Server(*model.arguments, *settings([upstream]), service="proxy") as server:
        with server.connect() as client:
            client.sendall(b"a question")
            client.shutdown(socket.SHUT_WR)
            check(heard.wait(PATIENCE_S), "the upstream hears it")
            server.send_signal()
            while "draining" not in server.read_line():
                pass
            drains.set()
            check_equal(receive_all(client), b"the answer", "what comes")


@case_for_each(EACH_ENGINE)
def who_cannot_be_forwarded_is_reset(model):
    with Nobody() as one, Nobody() as other:
        with Server(*model.arguments, *settings([one, other]), service="proxy") as server:
            for _ in range(3):
                check_equal(end_of_a_client(server), "reset", "the end")


@case_for_each(EACH_ENGINE)
def an_upstream_that_is_reset_resets_its_client(model):
    def serve(client):
        client.recv(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with Upstream(serve) as upstream, Server(*model.arguments, *settings([upstream]), service="proxy") as server:
        with server.connect() as client:
            client.sendall(b"x")
            check_equal(ending(client), "reset", "the end")


def rows_now(server):
    return server.counters()["services"]["proxy"]["upstreams"]


def open_now(server):
    return rows_now(server)[0]["open"]


def held(stack, server, source=None):
    """A client that stays, and which upstream it has."""
    client = socket.create_connection((server.host, server.port), PATIENCE_S, source and (source, 0))
    stack.enter_context(client)
    return client, client.recv(1)


@case
def one_that_failed_is_left_out_and_comes_back():
    with Nobody() as nobody, named(b"there") as there:
        def visit(server):
            for _ in range(20):
                with server.connect() as client:
                    check_equal(client.recv(9), b"there", "who answers")
        counted = summary_of(visit, *settings([nobody, there], "back-off=1h"))
        check_equal([row["tried"] for row in counted], [1, 20], "tried")
        check_equal([row["left_out"] for row in counted], [True, False], "left out")

        def visit_again(server):
            def back():
                with server.connect() as client:
                    return client.recv(9) == b"again"
            visit(server)
            nobody.socket.close()
            with Upstream(lambda client: client.sendall(b"again"), nobody.port):
                wait_until(back, "it is tried again")
        counted = summary_of(visit_again, *settings([nobody, there], "back-off=20ms"))
        check(counted[0]["connected"] > 0 and not counted[0]["left_out"], f"it is back: {counted}")


@case
def nobody_waits_for_one_that_is_tried_again():
    """It hangs then, and without a connect timeout for ever."""
    with Nobody() as nobody, named(b"there") as there, contextlib.ExitStack() as stack, \
            Server(*settings([nobody, there], "back-off=1ms"), "--connect-timeout", "off", "--drain-timeout", "100ms",
                   service="proxy") as server:
        server.expected_log = "drain|cut"
        check_equal(held(stack, server)[1], b"t", "who answers")
        nobody.socket.listen(0)
        stack.enter_context(socket.create_connection(nobody.socket.getsockname(), PATIENCE_S))  # nobody accepts it
        wait_until(lambda: held(stack, server) and rows_now(server)[0]["tried"] > 1, "it is tried again")
        for _ in range(10):
            check_equal(held(stack, server)[1], b"t", "who answers")
        check_equal(rows_now(server)[0]["connected"], 0, "connected to the one that hangs")


@case
def what_fails_when_all_have_failed_is_tried_all_the_same():
    with Nobody() as nobody:
        def visit(server):
            check_equal(end_of_a_client(server), "reset", "the end")
            nobody.socket.close()
            with Upstream(lambda client: client.sendall(b"here"), nobody.port), server.connect() as client:
                check_equal(receive_all(client), b"here", "the answer")
        summary_of(visit, *settings([nobody], "back-off=1h"))


@case_for_each([model for model in EACH_ENGINE if model.serving(6)])
def each_upstream_has_its_share(model):
    with contextlib.ExitStack() as stack:
        upstreams = [stack.enter_context(named(name)) for name in (b"a", b"b", b"c")]

        def shares(balance, sources=(None,) * 6):
            with Server(*model.serving(6), *settings(upstreams, f"balance={balance}"), service="proxy") as server, \
                    contextlib.ExitStack() as clients:
                return [held(clients, server, source)[1] for source in sources]

        check_equal(sorted(shares("round-robin")), [b"a", b"a", b"b", b"b", b"c", b"c"], "in turn")
        check_equal(sorted(shares("least-connections")), [b"a", b"a", b"b", b"b", b"c", b"c"], "the fewest")
        hosts = [f"127.0.1.{number}" for number in range(3)]
        first = shares("source", hosts + hosts)
        check_equal(first[:3], first[3:], "the same for a host")


@case
def the_fewest_connections_are_those_that_are_open_now():
    with named(b"a") as one, named(b"b") as other, \
            Server(*settings([one, other], "balance=least-connections"), service="proxy") as server, \
            contextlib.ExitStack() as stack:
        clients = [held(stack, server) for _ in range(6)]
        for client, name in clients:
            if name == b"a":
                client.shutdown(socket.SHUT_WR)
                check_equal(receive_all(client), b"", "its end")
        check_equal([held(stack, server)[1] for _ in range(3)], [b"a"] * 3, "those that come then")


@case
def what_a_worker_had_open_that_crashed_counts_no_more():
    with named(b"a") as upstream, contextlib.ExitStack() as stack, \
            Server("--model", "prefork-reactor,workers=2", *settings([upstream]), service="proxy") as server:
        server.expected_log = "worker"
        client, _ = held(stack, server)
        check_equal(open_now(server), 1, "open")
        for pid in children(server.pid):
            os.kill(pid, signal.SIGKILL)
        ending(client)
        held(stack, server)
        wait_until(lambda: open_now(server) == 1, "both places are taken again, and one connection is open")


@case
def a_host_is_resolved_as_it_is_connected_to():
    with named(b"a") as upstream:
        port = upstream.address.rsplit(":", 1)[1]
        with socket.create_server(("127.0.0.1", 0)) as listener, \
                Server(*settings([f"localhost:{listener.getsockname()[1]}"]), service="proxy") as server, \
                server.connect() as client:
            client.sendall(b"x")
            far, _ = listener.accept()
            with far:
                check_equal(far.recv(1), b"x", "what arrives")
        check_refusal(run("serve", "proxy", "--listen", f"{HOST}:0", *settings([f"na me:{port}"])), 2, "na me")


def answering(slow=None):
    """An upstream that answers each line by itself, one behind the other; "slow" ones when the event has come."""
    heard = []

    def serve(client):
        for line in client.makefile("rb"):
            heard.append(line)
            if slow and line.startswith(b"slow"):
                slow.wait(PATIENCE_S)
            client.sendall(b"answer " + line)
    upstream = Upstream(serve)
    upstream.heard = heard
    return upstream


@case_for_each(EACH_ENGINE if SMALL else PRESETS)
def messages_are_refused_and_offloaded_and_answered_in_order(model):
    """What is behind a slow one is heard by the upstream meanwhile; answers come in the order of the messages."""
    slow = threading.Event()
    with answering(slow) as upstream, answering(slow) as aside, \
            Server(*model.arguments, *settings([upstream], "refuse=keys,flush", "refusal=no, never", "offload=slow",
                                               f"offload-to={aside.address}"), service="proxy-line") as server, \
            server.connect() as client:
        client.sendall(b"get 1\nslow 2\nKEYS *\nget 3\nslowly 4\n")
        wait_until(lambda: upstream.heard == [b"get 1\n", b"get 3\n", b"slowly 4\n"] or slow.is_set(), "the short ones pass")
        wait_until(lambda: aside.heard == [b"slow 2\n"], "the slow one goes elsewhere")
        slow.set()
        expected = b"answer get 1\nanswer slow 2\nno, never\nanswer get 3\nanswer slowly 4\n"
        check_equal(receive_exactly(client, len(expected)), expected, "the answers")
        client.sendall(b"flush\nget 5\n")
        client.shutdown(socket.SHUT_WR)
        check_equal(receive_all(client), b"no, never\nanswer get 5\n", "the last answers")


@case_for_each(EACH_ENGINE)
def messages_behind_their_length_are_forwarded_whole(model):
    def framed(*messages):
        return b"".join(len(message).to_bytes(4, "big") + message for message in messages)

    randomness, seed = seeded()
    messages = [b"get " + randomness.randbytes(randomness.choice((0, 10, 1000, 60000))) for _ in range(CLIENTS)]
    expected = framed(*messages[:4], b"refused", *messages[4:])
    sent = framed(*messages[:4], b"keys", *messages[4:])
    with Server(*model.arguments, *settings(ECHO, "refuse=keys", "offload=nothing"), service="proxy-length") as server:
        converse(server, [Talk(cut(sent, randomness, 9), expected) for _ in range(2 if model.serving(2) else 1)])


@case_for_each(EACH_ENGINE)
def an_upstream_that_owes_an_answer_resets_the_client_with_its_end(model):
    def serve(client):
        for line in client.makefile("rb"):
            if line == b"die\n":
                return
            client.sendall(line)

    with Upstream(serve) as upstream, Server(*model.arguments, *settings([upstream], "offload=die,aside"),
                                             service="proxy-line") as server:
        for last, end in ((b"die\n", "reset"), (b"get\ndie\n", "reset"), (b"", "FIN")):
            with server.connect() as client:
                client.sendall(b"one\naside\n")
                check_equal(receive_exactly(client, 10), b"one\naside\n", "what is answered")
                client.sendall(last)
                if not last:
                    client.shutdown(socket.SHUT_WR)
                check_equal(ending(client), end, f"the end behind {last!r}")
        with Nobody() as nobody, Server(*model.arguments, *settings([upstream], "offload=aside",
                                                                    f"offload-to={nobody.address}"),
                                        service="proxy-line") as other:
            with other.connect() as client:
                client.sendall(b"one\naside\n")
                check_equal(ending(client), "reset", "the end without anybody to offload to")


@case_for_each(EACH_ENGINE)
def answers_that_nobody_reads_hold_up_their_client(model):
    """An upstream that is not read from, and one that does not read: both sides are bounded, and then all passes."""
    line, many = b"x" * 4000 + b"\n", 100 if SMALL else 1000
    go = threading.Event()

    def serve(client):
        go.wait(PATIENCE_S)
        for text in client.makefile("rb"):
            client.sendall(text)

    with Upstream(serve) as upstream, Server(*model.arguments, *settings([upstream]), "--output-high", "16KiB",
                                             "--output-low", "4KiB", service="proxy-line") as server:
        converse_later = Talk([line * many], line * many)
        threading.Timer(0.05, go.set).start()
        converse(server, [converse_later])


@case_for_each(EACH_ENGINE, waits=True)
def an_upstream_that_does_not_answer_is_given_up(model):
    """It owes nothing before, for longer than that."""
    with answering(threading.Event()) as upstream, \
            Server(*model.arguments, *settings([upstream], "answer-timeout=200ms"), service="proxy-line") as server, \
            server.connect() as client:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # this machine may be slower than that
            time.sleep(0.3)
            client.sendall(b"get\n")
            check_equal(receive_exactly(client, 11), b"answer get\n", "the answer")
            client.sendall(b"slow\n")
            check_equal(ending(client), "reset", "the end")


@case
def answers_are_taken_on_the_thread_of_their_worker():
    """A pool has nothing to do with them."""
    with answering() as upstream, Server("--model", "reactor-pool", *settings([upstream], "offload=set"),
                                         service="proxy-line") as server, server.connect() as client:
        client.sendall(b"get\nset\n" * 20)
        check_equal(len(receive_exactly(client, 20 * 22)), 20 * 22, "bytes of the answers")
        pool = server.counters()["pool"]
        check_equal(sum(level["jobs"] for level in pool.values()), 0, "jobs of the pool")


WRONG_WORDS = [
    ("a_word_that_is_refused_and_offloaded", ("refuse=get,set", "offload=SET"), ("SET", "refused already")),
    ("an_empty_word", ("refuse=get,,set",), ("refuse", "empty")),
    ("a_word_with_a_blank", ("offload=get me",), ("offload", "no word")),
    ("an_offload_to_of_nothing", ("offload-to=127.0.0.1:2",), ("offload-to", "--set offload=")),
    ("an_offload_to_without_port", ("offload=get", "offload-to=localhost"), ("offload-to", "HOST:PORT")),
]

WRONG = [
    ("no_upstream", (), ("no upstream", "--set upstream=")),
    ("an_empty_upstream", ("upstream=",), ("no upstream",)),
    ("an_upstream_without_port", ("upstream=127.0.0.1:1,localhost",), ("localhost", "HOST:PORT")),
    ("an_upstream_out_of_range", ("upstream=127.0.0.1:99999",), ("99999",)),
    ("a_comma_too_many", ("upstream=127.0.0.1:1,,127.0.0.1:2",), ("HOST:PORT",)),
    ("an_upstream_twice", ("upstream=127.0.0.1:1,127.0.0.1:1",), ("twice",)),
    ("too_many_upstreams", ("upstream=" + ",".join(f"127.0.0.1:{port}" for port in range(1, 66)),), ("more than 64",)),
    ("an_upstream_of_packets", ("upstream=unix-seqpacket:/run/far",), ("is a socket of packets", "unix:PATH")),
    ("an_unknown_balance", ("upstream=127.0.0.1:1", "balance=random"), ("random", "least-connections")),
    ("no_back_off", ("upstream=127.0.0.1:1", "back-off=0"), ("back-off",)),
]


def is_refused(sets, words, service="proxy"):
    check_refusal(run("serve", service, "--listen", f"{HOST}:0", *[word for pair in sets for word in ("--set", pair)]),
                  2, *words)


for wrong, wrong_sets, wrong_words in WRONG:
    add_case(f"{wrong}_is_refused", is_refused, wrong_sets, wrong_words)
for wrong, wrong_sets, wrong_words in WRONG_WORDS:
    add_case(f"{wrong}_is_refused", is_refused, ("upstream=127.0.0.1:1", *wrong_sets), wrong_words, "proxy-line")


if __name__ == "__main__":
    main()
