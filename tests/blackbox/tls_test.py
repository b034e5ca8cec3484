#!/usr/bin/env python3
"""TLS under every model, as Python's ssl sees it: every byte, ends in order, cuts told from ends, and what is no TLS."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile

from client import ending
from lib import Server, SMALL, add_case, check, check_equal, main, receive_all
from manager import manager, told_until
from models import EACH_ENGINE, PRESETS

MIB = 1 << 20
SIZES = (1, 100, 16383, 16384, 16385, MIB)
PIECE = 1 << 16  # at once, and then it is read: what is under way fits between the two


def certificate(folder, name=""):
    """(certificate, key) of a server that is called localhost, signed by itself."""
    paths = os.path.join(folder, f"{name}cert.pem"), os.path.join(folder, f"{name}key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", paths[0],
                    "-keyout", paths[1]], check=True, capture_output=True)
    return paths


class Client:
    """A TLS client that takes nothing but close_notify for an end."""

    def __init__(self, server, trusted, version=None):
        context = ssl.create_default_context(cafile=trusted)
        if version:
            context.maximum_version = version
        self.socket = context.wrap_socket(server.connect(), server_hostname="localhost", suppress_ragged_eofs=False)

    def echoed(self, data):
        for at in range(0, len(data), PIECE):
            piece = data[at:at + PIECE]
            self.socket.sendall(piece)
            got = b""
            while len(got) < len(piece) and (part := self.socket.recv(PIECE)):
                got += part
            check(got == piece, f"{len(piece)} bytes at {at} come back as {len(got)}")

    def ends(self):
        """It says that it is done, and the server does as well."""
        with self.socket.unwrap() as plain:
            check_equal(plain.recv(1), b"", "what follows on close_notify")

    def cut(self):
        """FIN without close_notify. What the server has to say then, as records."""
        with self.socket:
            self.socket.shutdown(socket.SHUT_WR)
            receive_all(self.socket)

    def ended(self):
        """The server says that it is done."""
        with self.socket:
            check_equal(self.socket.recv(1), b"", "its end")


def answer_to(server, data):
    """What somebody gets who sends this instead of a handshake."""
    with server.connect() as client:
        client.sendall(data)
        return receive_all(client)


def talk(server, trusted):
    client = Client(server, trusted)
    for size in SIZES[:-1] if SMALL else SIZES:
        client.echoed(os.urandom(size))
    client.ends()
    client = Client(server, trusted, ssl.TLSVersion.TLSv1_2)
    client.echoed(b"by the older version")
    client.cut()
    answer_to(server, b"hello, this is plain\n")
    check(answer_to(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 400 "),
          "a client of HTTP is told")
    last = Client(server, trusted)
    last.echoed(b"last")
    server.send_signal(signal.SIGTERM)
    last.ended()


EXPECTED = {"eof": 1, "tls_truncated": 1, "tls_error": 2, "drain": 1}


def every_byte_and_every_end(model, trusted, key):
    with tempfile.TemporaryFile() as output:
        with Server(*model.arguments, "--tls-cert", trusted, "--tls-key", key, "--summary",
                    before_exec=lambda: os.dup2(output.fileno(), 1)) as server:
            talk(server, trusted)
        output.seek(0)
        found = json.loads(output.read())
    check_equal({reason: count for reason, count in found["closed"].items() if count}, EXPECTED, "reasons")
    check_equal((found["tls"]["handshakes"], found["tls"]["failed"], found["tls"]["under_way"]), (3, 2, 0),
                "handshakes")


def a_handshake_that_does_not_go_on_ends_at_its_time(model, trusted, key):
    with Server(*model.arguments, "--tls-cert", trusted, "--tls-key", key, "--tls-handshake-timeout", "300ms") as server:
        answer_to(server, b"\x16\x03\x01")
        server.stop()
        check(any("tls_error" in line for line in server.log), f"its reason is told: {server.log}")


def a_refusal_behind_the_handshake_is_told_with_its_reason(model, trusted, key):
    """By TLS 1.3 a client has shaken hands before its server sees that it shows no certificate; here it relays already."""
    with Server("--model", "reactor", "--tls-cert", trusted, "--tls-key", key, "--tls-client-ca", trusted) as upstream:
        settings = (f"upstream={upstream.address}", "upstream-tls=yes", f"upstream-tls-ca={trusted}",
                    "upstream-tls-name=localhost")
        with Server(*model.arguments, *[word for setting in settings for word in ("--set", setting)],
                    service="proxy") as proxy:
            with proxy.connect() as client:
                check_equal(ending(client), "reset", "what its client has of that")
            proxy.stop()
            check(any("tls_error" in line and "the peer says: certificate required" in line for line in proxy.log), f"it is told: {proxy.log}")


def read_text(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def replace(folder, certificate_file, key_file):
    """As whoever renews them does it. Returns the paths in this folder."""
    paths = os.path.join(folder, "served.pem"), os.path.join(folder, "served.key")
    for source, path in zip((certificate_file, key_file), paths):
        shutil.copy(source, f"{path}.new")
        os.replace(f"{path}.new", path)
    return paths


def shown_by(server):
    """The certificate that a client gets now."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(server.connect(), server_hostname="localhost") as client:
        client.sendall(b"x")
        check_equal(client.recv(1), b"x", "what comes back")
        return ssl.DER_cert_to_PEM_cert(client.getpeercert(True))


def reload(server, told):
    server.send_signal(signal.SIGHUP)
    lines = told_until(told, "RELOADING=1")
    check(any(line.startswith("MONOTONIC_USEC=") for line in lines), f"{lines}")
    told_until(told, "READY=1")


def certificates_are_read_again_at_sighup(model, first, second):
    """In all workers of all processes, without --tls-reload; who is connected stays, and so does what was read before what is wrong."""
    with tempfile.TemporaryDirectory() as folder, manager() as (told, variables):
        certificate_file, key = replace(folder, *first)
        with Server(*model.with_workers(3), "--tls-cert", certificate_file, "--tls-key", key, "--tls-reload", "0",
                    variables=variables, expected_log="error: tls-cert: ") as server:
            told_until(told, "READY=1")
            client = Client(server, first[0])
            client.echoed(b"before")
            replace(folder, *second)
            reload(server, told)
            client.echoed(b"behind")
            client.ends()
            for _ in range(4):
                check(shown_by(server) in read_text(second[0]), "it is not the new certificate")
            with open(f"{certificate_file}.new", "w", encoding="ascii") as file:
                file.write("no certificate\n")
            os.replace(f"{certificate_file}.new", certificate_file)
            reload(server, told)
            # A process may come to read only what is wrong: then it has what it read before.
            before = read_text(second[0]) + (read_text(first[0]) if model.processes else "")
            check(shown_by(server) in before, "it is not one from before what is wrong")
            server.stop()
            for line in (f"notice: tls: files have been read again: {certificate_file}",
                         f"error: tls-cert: {certificate_file}: holds no certificate in PEM (what was read before stays)"):
                check(f"gearbox: {line}" in server.log, f"it is told: {server.log}")


def register(folder):
    trusted, key = certificate(folder)
    first, second = (trusted, key), certificate(folder, "second-")
    engines = [model for model in EACH_ENGINE if model in PRESETS]
    for model in engines if SMALL else PRESETS:
        add_case(f"every_byte_and_every_end[{model.spec}]", every_byte_and_every_end, model, trusted, key)
    for model in engines:
        add_case(f"certificates_are_read_again_at_sighup[{model.spec}]", certificates_are_read_again_at_sighup, model,
                 first, second)
        add_case(f"a_handshake_that_does_not_go_on_ends_at_its_time[{model.spec}]",
                 a_handshake_that_does_not_go_on_ends_at_its_time, model, trusted, key, waits=True)
        add_case(f"a_refusal_behind_the_handshake_is_told_with_its_reason[{model.spec}]",
                 a_refusal_behind_the_handshake_is_told_with_its_reason, model, trusted, key)


if __name__ == "__main__":
    if not shutil.which("openssl"):
        print("skipped: there is no openssl here\n0 passed, 0 failed", flush=True)
        sys.exit(0)
    with tempfile.TemporaryDirectory(prefix="gearbox-tls-") as made:
        register(made)
        main()
