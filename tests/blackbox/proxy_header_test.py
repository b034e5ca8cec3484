#!/usr/bin/env python3
"""PROXY headers: who is trusted says whom a connection is for, under every model; whoever is not, or says it wrongly, is
refused, counted and told of."""

import contextlib
import json
import os
import socket
import ssl
import struct
import tempfile
import threading
import time

from certificates import TLS, made_once, make_tls
from client import ending
from lib import (HANDLERS, HOST, PATIENCE_S, SMALL, Server, case, case_for_each, check, check_equal, check_refusal, main,
                 receive_all, receive_exactly, run, wait_until)
from models import EACH_ENGINE, MODELS, PRESETS

TRUSTED = f"{HOST}:0,proxy-protocol=10.0.0.0/8,127.0.0.0/8"
NOT_TRUSTED = f"{HOST}:0,proxy-protocol=10.0.0.0/8,::/0,unix"
PLAIN = f"{HOST}:0"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ENDS = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2") + struct.pack("!HH", 4711, 443)
V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n"
V1_TOLD = b"peer=192.0.2.1:4711 local=192.0.2.2:443"
ALL_MODELS = PRESETS if SMALL else MODELS


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def v2(body, family=0x11, command=0x21):
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def checksum(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def v2_summed(body, wrong=0):
    header = v2(body + tlv(3, bytes(4)))
    return header[:-4] + struct.pack("!I", checksum(header) ^ wrong)


VALUES = (tlv(4, b"pad") + tlv(1, b"h2") + tlv(2, b"example.org") + tlv(5, b"one") + tlv(0xe0, b"own")
          + tlv(0x20, b"\x07\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"somebody")))
VALUES_TOLD = b"authority=example.org alpn=h2 id=one custom=own tls=1,1,1,TLSv1.3,somebody"
NOTHING_TOLD = b"authority=- alpn=- id=- custom=-"

# What is refused, and why.
WRONG = {
    "no header": (b"hello\n", "begins with no PROXY header"),
    "TLS": (b"\x16\x03\x01\0\xa5\x01\0\0\xa1\x03\x03", "begins with no PROXY header"),
    "an old version": (SIGNATURE + b"\x11\x11\0\0", "unknown version"),
    "a wrong address": (b"PROXY TCP4 1.2.3 1.2.3.4 5 6\r\n", "is wrong"),
    "a line without CR": (b"PROXY TCP4 1.2.3.4 1.2.3.4 5 6\nhello\n", "CRLF"),
    "a line without end": (b"PROXY UNKNOWN " + b"x" * 100, "107 bytes"),
    "no room": (v2(b"\0" * 11), "no room"),
    "too long": (v2(b"\0" * 4081), "4096"),
    "a wrong checksum": (v2_summed(ENDS, wrong=1), "checksum"),
    "a value beyond the end": (v2(ENDS + b"\x02\0\x09x"), "beyond the end"),
}


class Told(Server):
    """Serves `forwarded`, and knows in the end why each connection was closed."""

    def __init__(self, *arguments, listen=(TRUSTED,)):
        self.summary = tempfile.TemporaryFile()
        super().__init__("--summary", *arguments, service="forwarded", listen=listen, program=HANDLERS,
                         before_exec=lambda: os.dup2(self.summary.fileno(), 1))

    def closed(self):
        """To be called behind the end."""
        self.summary.seek(0)
        return json.loads(self.summary.read())["closed"]

    def visit(self, n=0):
        host, port = self.addresses[n].rsplit(":", 1)
        client = socket.create_connection((host, int(port)), PATIENCE_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client


def answer(client, *pieces):
    """What comes for the pieces, to the end."""
    for piece in pieces:
        client.sendall(piece)
    client.shutdown(socket.SHUT_WR)
    return receive_all(client)


def exchange(server, *pieces, address=0):
    with server.visit(address) as client:
        return client.getsockname(), answer(client, *pieces)


def one_by_one(data):
    return [data[i:i + 1] for i in range(len(data))]


def check_told(server, pieces, told, more):
    """`told`: of both ends, or None: its own."""
    (host, port), said = exchange(server, *pieces)
    own = f"{host}:{port}".encode()
    ends = told or b"peer=%s local=%s" % (own, server.addresses[0].encode())
    expected = b"hello %s proxy=%s %s\n" % (ends, own if told else b"-", more)
    check_equal(said, expected, "what the handler was told")


def check_refused(server, *pieces, address=0):
    """By a reset, which may be there before the client has looked whether it is connected."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError), server.visit(address) as client:
        for piece in pieces:
            client.sendall(piece)
        check_equal(receive_all(client), b"reset", f"the end of {pieces}")


@case_for_each(ALL_MODELS)
def who_is_trusted_says_whom_it_is_for(model):
    if model.axes["compute"] == "processes":
        return  # its handlers see no connections
    with Told(*model.arguments, listen=(TRUSTED, NOT_TRUSTED, PLAIN)) as server:
        check_told(server, [V1 + b"hello\n"], V1_TOLD, NOTHING_TOLD)
        check_told(server, one_by_one(V1 + b"hello\n"), V1_TOLD, NOTHING_TOLD)
        check_told(server, [b"PROXY UNKNOWN\r\nhello\n"], None, NOTHING_TOLD)
        check_told(server, [v2(ENDS) + b"hello\n"], V1_TOLD, NOTHING_TOLD)
        check_told(server, [v2_summed(ENDS + VALUES), b"hello\n"], V1_TOLD, VALUES_TOLD)
        check_told(server, one_by_one(v2_summed(ENDS + VALUES)) + [b"hello\n"], V1_TOLD, VALUES_TOLD)
        check_told(server, [v2(b"", 0, 0x20) + b"hello\n"], None, NOTHING_TOLD)
        check_refused(server, b"hello\n")
        check_refused(server, v2_summed(ENDS, wrong=1))
        check_refused(server, V1 + b"hello\n", address=1)
        (host, port), said = exchange(server, b"hello\n", address=2)
        check(said.startswith(b"hello peer=%s:%d " % (host.encode(), port)), f"without a header: {said}")
    closed = server.closed()
    check_equal((closed["proxy_header"], closed["eof"]), (3, 8), "how many were closed for their header, and in order")


@case
def what_is_wrong_is_refused_counted_and_told_of():
    with Told("--model", "reactor") as server:
        for pieces, _ in WRONG.values():
            check_refused(server, pieces)
        with server.visit() as client:
            client.sendall(V1[:-1])
            client.shutdown(socket.SHUT_WR)
            check_equal(ending(client), "reset", "the end of half a header")
        with server.visit() as client:
            client.shutdown(socket.SHUT_WR)
            check_equal(ending(client), "FIN", "the end of who says nothing")
    closed = server.closed()
    check_equal((closed["proxy_header"], closed["eof"]), (len(WRONG) + 1, 1), "how many were closed, and why")


@case
def line_of_the_log_says_what_was_wrong():
    for pieces, why in WRONG.values():
        with Told("--model", "reactor") as server:
            check_refused(server, pieces)
            line = server.read_line()
            check(": closed: proxy_header, " in line and why in line, f"{line!r} does not say {why!r}")
    with Told("--model", "reactor", listen=(NOT_TRUSTED,)) as server:
        check_refused(server, V1)
        line = server.read_line()
        check(": refused: proxy_header, " in line and "not one of proxy-protocol" in line, line)
        check("connection from 127." in line, f"{line!r} does not say whose network it is")


@case
def line_of_the_log_names_the_client_behind_the_proxy():
    with Told("--model", "reactor", "--max-message", "10") as server:
        check_equal(exchange(server, V1 + b"too much for one message\n")[1], b"", "the answer")
        line = server.read_line()
        check("connection from 192.0.2.1:4711, " in line, line)


@case_for_each(EACH_ENGINE)
def slow_header_has_a_bound(model):
    """Byte by byte gains nothing."""
    with Told(*model.arguments, "--tls-handshake-timeout", "50ms") as server:
        check_refused(server, V1[:7])
        check_refused(server)
        with server.visit() as client, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for byte in one_by_one(v2(b"\0" * 4000)):
                client.sendall(byte)
                client.settimeout(0.02)
                with contextlib.suppress(TimeoutError):
                    check_equal(client.recv(1), b"", "an answer")
                    break
                client.settimeout(PATIENCE_S)
            else:
                raise AssertionError("it went on for ever")
    check_equal(server.closed()["proxy_header"], 3, "how many were too slow")


@case_for_each(EACH_ENGINE)
def drain_waits_for_a_header_that_has_begun_and_for_no_other(model):
    arguments = model.serving(2)
    if not arguments or model.axes["compute"] == "processes":
        return
    with Told(*arguments) as server, server.visit() as silent, server.visit() as begun:
        begun.sendall(V1[:20])
        wait_until(lambda: b"hello" in exchange_at_once(server) if not model.one_at_a_time else True, "both are there")
        server.send_signal()
        check_equal(ending(silent), "FIN", "the end of who has said nothing")
        begun.sendall(V1[20:] + b"hello\n")
        said = answer(begun)
        check(said.startswith(b"hello " + V1_TOLD), f"what the other is told: {said}")


def exchange_at_once(server):
    return exchange(server, V1 + b"hello\n")[1]


def proxy_to(upstream, version, *arguments, service="proxy"):
    return Server(*arguments, "--set", f"upstream={upstream}", "--set", f"send-proxy={version}", service=service,
                  listen=(PLAIN, TRUSTED))


def visit(server, n, *pieces):
    """By its n-th address. Returns whom the upstream takes the client for, and what else it is told."""
    host, port = server.addresses[n].rsplit(":", 1)
    with socket.create_connection((host, int(port)), PATIENCE_S) as client:
        own = client.getsockname()
        said = answer(client, *pieces).split()
    told = dict(word.split(b"=", 1) for word in said[1:])
    return f"{own[0]}:{own[1]}".encode(), told


def check_sent(upstream, version, *arguments, service="proxy"):
    with proxy_to(upstream.address, version, *arguments, service=service) as server:
        own, told = visit(server, 0, b"hello\n")
        check_equal((told[b"peer"], told[b"local"]), (own, server.addresses[0].encode()), "the ends of a client")
        _, told = visit(server, 1, v2_summed(ENDS + VALUES) + b"hello\n")
        check_equal(b"peer=%s local=%s" % (told[b"peer"], told[b"local"]), V1_TOLD, "the ends of who was forwarded")
        check(told[b"proxy"].startswith(b"127."), f"the proxy's address: {told}")
        passed = {b"authority": b"example.org", b"alpn": b"h2", b"id": b"one"} if version == "v2" else {}
        check_equal({key: told[key] for key in passed}, passed, "what is passed on")
        check_equal(told.get(b"tls"), b"1,1,1,TLSv1.3,somebody" if version == "v2" else None, "the client's TLS")
        # One of the proxy's own, to a proxy: it is the client.
        own, told = visit(server, 1, v2(b"", 0, 0x20) + b"hello\n")
        check_equal((told[b"peer"], told[b"local"]), (own, server.addresses[1].encode()), "the ends of LOCAL")


@case_for_each(PRESETS)
def header_is_sent_to_upstreams_before_all_else(model):
    """Also by who looks at messages, each client of whom has a connection of its own."""
    with Told("--model", "multi-reactor") as upstream:
        for version in ("v1", "v2"):
            check_sent(upstream, version, *model.arguments)
        if model.spec in ("reactor", "multi-proactor"):
            check_sent(upstream, "v2", *model.arguments, service="proxy-line")


@case
def header_is_sent_to_an_upstream_that_has_a_name():
    with Told("--model", "multi-reactor", listen=("127.0.0.1:0,proxy-protocol=127.0.0.0/8",)) as upstream:
        for model in ("reactor", "thread", "proactor"):
            with proxy_to(f"localhost:{upstream.port}", "v2", "--model", model) as server:
                _, told = visit(server, 1, v2_summed(ENDS + VALUES) + b"hello\n")
                check_equal((told[b"peer"], told[b"authority"]), (b"192.0.2.1:4711", b"example.org"), f"what is told: {told}")


class TlsTalk:
    """A TLS client whose first flight begins with something else, in one segment or byte by byte."""

    def __init__(self, client, context, header, whole=True):
        self.client, self.arrived, self.leaves = client, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.arrived, self.leaves, server_hostname="localhost")
        self.leaves.write(header)
        self.pieces = (lambda data: [data]) if whole else one_by_one
        self._do(self.tls.do_handshake)

    def _do(self, step):
        while True:
            done = True
            try:
                result = step()
            except ssl.SSLWantReadError:
                done = False
            for piece in self.pieces(self.leaves.read()):
                self.client.sendall(piece)
            if done:
                return result
            part = self.client.recv(1 << 16)
            if not part:
                raise AssertionError("the server ends within the handshake")
            self.arrived.write(part)

    def asked(self, line):
        self._do(lambda: self.tls.write(line))
        said = b""
        while not said.endswith(b"\n"):
            said += self._do(lambda: self.tls.read(1 << 16))
        return said


FOLDER = made_once(make_tls).name
OWN = f"{FOLDER}/client.pem", f"{FOLDER}/client.key"


def tls_context(*own):
    context = ssl.create_default_context(cafile=os.path.join(FOLDER, "ca.pem"))
    context.set_alpn_protocols(["gearbox"])
    if own:
        context.load_cert_chain(*own)
    return context


TLS_HERE = [word.replace("FOLDER", FOLDER) for word in (*TLS, "--tls-alpn", "gearbox")]


@case_for_each(EACH_ENGINE if SMALL else PRESETS)
def tls_begins_behind_the_header(model):
    with Told(*model.arguments, *TLS_HERE) as server:
        for header, whole in ((V1, True), (v2_summed(ENDS + VALUES), False)):
            with server.visit() as client:
                said = TlsTalk(client, tls_context(), header, whole).asked(b"hello\n")
            check(said.startswith(b"hello " + V1_TOLD), f"what is told: {said}")
        check_refused(server, b"\x16\x03\x01\0\xa5\x01\0\0\xa1\x03\x03")
    check_equal(server.closed()["proxy_header"], 1, "how many came without a header")


@case_for_each(EACH_ENGINE)
def clients_tls_is_told_to_the_upstream(model):
    """Its certificate's name, protocol and the host that it asked for; not what a header in front of it said."""
    with Told("--model", "multi-reactor") as upstream:
        with Server(*model.arguments, *TLS_HERE, "--tls-client-ca", os.path.join(FOLDER, "ca.pem"), "--set",
                    f"upstream={upstream.address}", "--set", "send-proxy=v2", service="proxy", listen=(TRUSTED,)) as server:
            with server.connect() as client:
                said = TlsTalk(client, tls_context(*OWN), v2_summed(ENDS + VALUES)).asked(b"hello\n")
        expected = b"authority=localhost alpn=gearbox id=one custom=- tls=1,1,1,TLSv1.3,client\n"
        check(said.startswith(b"hello " + V1_TOLD) and said.endswith(expected), f"what is told: {said}")


CA = f"{FOLDER}/ca.pem"
UPSTREAM_TLS = [word for pair in ("upstream-tls=yes", f"upstream-tls-ca={CA}", f"upstream-tls-cert={OWN[0]}",
                                  f"upstream-tls-key={OWN[1]}") for word in ("--set", pair)]


@case_for_each(PRESETS)
def tls_on_both_sides_of_the_proxy(model):
    """To an upstream that wants a header, then TLS, then a certificate; the client's first flight is a header and a hello."""
    with Told("--model", "multi-reactor", *TLS_HERE, "--tls-client-ca", CA) as upstream:
        with Server(*model.arguments, *TLS_HERE, *UPSTREAM_TLS, "--set", f"upstream={upstream.address}", "--set",
                    "send-proxy=v2", service="proxy", listen=(TRUSTED,)) as server:
            for _ in range(2):  # the second one to the upstream resumes
                with server.connect() as client:
                    talk = TlsTalk(client, tls_context(), V1)
                    line = b"x" * 100000
                    check(talk.asked(b"hello\n").startswith(b"hello " + V1_TOLD), "what is told")
                    check(talk.asked(line + b"\n").startswith(line + b" " + V1_TOLD), "what is told of a long line")
    check_equal(upstream.closed()["proxy_header"], 0, "how many headers were wrong")


@case_for_each(EACH_ENGINE)
def messages_go_by_tls_to_upstreams_and_aside(model):
    with Server(*TLS_HERE, "--tls-client-ca", CA) as upstream, Server(*TLS_HERE, "--tls-client-ca", CA) as aside:
        for service, frame in (("proxy-line", lambda text: text + b"\n"),
                               ("proxy-length", lambda text: len(text).to_bytes(4, "big") + text)):
            sent = b"".join(map(frame, (b"get 1", b"slow 2", b"get 3")))
            sets = (f"upstream={upstream.address}", "offload=slow", f"offload-to={aside.address}")
            with Server(*model.arguments, *UPSTREAM_TLS, *[word for pair in sets for word in ("--set", pair)],
                        service=service) as server, server.connect() as client:
                client.sendall(sent)
                check_equal(receive_exactly(client, len(sent)), sent, f"what comes back through {service}")
        check_equal([server.counters()["tls"]["handshakes"] for server in (upstream, aside)], [2, 2], "handshakes of both")


@case
def upstream_that_has_a_name_must_show_a_certificate_for_it():
    """And is never spoken to in the clear: it would take that for no TLS."""
    with Told("--model", "multi-reactor", *TLS_HERE, "--tls-client-ca", CA,
              listen=("127.0.0.1:0,proxy-protocol=127.0.0.0/8",)) as upstream:
        for model in ("reactor", "thread", "proactor"):
            with Server("--model", model, *UPSTREAM_TLS, "--set", f"upstream=localhost:{upstream.port}", "--set",
                        "send-proxy=v2", service="proxy", listen=(TRUSTED,)) as server:
                _, told = visit(server, 0, V1 + b"hello\n")
                check_equal(told[b"peer"], b"192.0.2.1:4711", f"whom it is for: {told}")


@case
def upstream_that_shows_the_wrong_certificate_is_left_out():
    with Server(*TLS_HERE) as upstream:
        for setting in ("upstream-tls-name=example.org", "upstream-tls-verify=yes"):  # the system does not trust this CA
            sets = ["upstream-tls=yes", setting, *([f"upstream-tls-ca={CA}"] if "name" in setting else [])]
            words = [word for pair in (f"upstream={upstream.address}", *sets) for word in ("--set", pair)]
            with Server("--model", "reactor", *words, service="proxy") as server:
                with contextlib.suppress(ConnectionResetError), server.connect() as client:
                    client.sendall(b"secret")
                    check_equal(client.recv(10), b"reset", "what comes of the client")
                line = server.read_line()
                check("certificate" in line, f"the reason: {line!r}")


@case
def settings_of_tls_to_upstreams_are_refused_where_they_are_for_nothing():
    for pair, why in ((f"upstream-tls-ca={CA}", "upstream-tls=yes"), ("upstream-tls-verify=no", "upstream-tls=yes")):
        check_refusal(run("serve", "proxy", "--listen", "127.0.0.1:0", "--set", "upstream=127.0.0.1:1", "--set", pair), 2, why)
    check_refusal(run("serve", "proxy", "--listen", "127.0.0.1:0", "--set", "upstream=127.0.0.1:1", "--set",
                      "upstream-tls=yes", "--set", "upstream-tls-ca=/dev/null"), 2, "/dev/null")


@case
def probe_of_an_upstream_says_that_it_is_the_proxys_own():
    commands = set()

    def listen(listener):
        with contextlib.suppress(OSError):
            while True:
                with listener.accept()[0] as far:
                    far.settimeout(PATIENCE_S)
                    commands.update(receive_exactly(far, 16)[12:13])

    with socket.socket() as listener:
        listener.bind((HOST, 0))
        address = f"{HOST}:{listener.getsockname()[1]}"
        with proxy_to(address, "v2", "--model", "reactor", "--set", "back-off=1ms") as server:
            def come():
                with contextlib.suppress(ConnectionResetError), server.connect() as client:
                    receive_all(client)

            come()
            time.sleep(0.05)  # until the upstream's time is over: whoever comes then has it probed
            listener.listen()
            thread = threading.Thread(target=listen, args=(listener,), daemon=True)
            thread.start()
            come()
            wait_until(lambda: commands == {0x20, 0x21}, "the upstream is probed, and is given a client")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@case
def unix_sockets_are_a_network():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        with Told("--proxy-protocol", "unix", listen=(f"unix:{path}",)) as server:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                said = answer(client, v2(b"/far".ljust(108, b"\0") + b"\0near".ljust(108, b"\0"), 0x31), b"hello\n")
            check_equal(said, b"hello peer=unix:/far local=unix:@near proxy=unix: " + NOTHING_TOLD + b"\n",
                        "what is told")


@case
def networks_that_are_none_are_refused():
    for networks, why in (("10.0.0.1/8", "10.0.0.0/8?"), ("10.0.0.0/33", "0 to 32"), ("localhost", "no network"),
                          ("", "no network")):
        check_refusal(run("serve", "echo", "--listen", "127.0.0.1:0", "--proxy-protocol", networks), 2, why)


if __name__ == "__main__":
    main()
