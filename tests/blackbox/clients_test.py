#!/usr/bin/env python3
"""Clients that others wrote, in their own ways of being right, against servers of every kind.

A table: who wants another client adds a row. Its package goes to `packages_clients` of ./dev; without the command its
rows are skipped, and told. `./dev test` tries a model of each engine, `./dev test clients` all presets.
"""

import collections
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile

from certificates import TLS, made_once, make_tls
from client import round_trip
from lib import HOST, PATIENCE_S, SMALL, Server, add_case, check, check_equal, main, receive_exactly, wait_until
from models import EACH_ENGINE, PRESETS

ALL = os.environ.get("BLACKBOX_CLIENTS") == "all"
MODELS = PRESETS if ALL else [model for model in EACH_ENGINE if model in PRESETS]

# `command` is what must be installed; `serve` what is served, with its options, where FOLDER is a folder with what `made`
# makes; `talk(server, folder)` runs the client and checks what came of it; `log` matches what the server may say of it.
# What takes long is `dear`: `./dev test` tries it under one model, and not with sanitizers.
Client = collections.namedtuple("Client", "name command serve talk made log dear", defaults=(None, None, False))


def called(*words, input_bytes=b"", code=0, code_most=0, seconds=PATIENCE_S):
    """Run a client to its end, which is `code`, or one up to `code_most`: its standard output."""
    done = subprocess.run([str(word) for word in words], input=input_bytes, capture_output=True, check=False,
                          timeout=seconds)
    shown = f"{words[0]}: exit code {done.returncode}, {done.stdout[-500:]!r}, {done.stderr[-500:]!r}"
    check(code <= done.returncode <= max(code, code_most), f"{shown}; expected {code}")
    return done.stdout.decode(errors="replace")


def says(text, *words):
    for word in words:
        check(word in text, f"no {word!r} in {text!r}")


def curl_reads_a_line(server, _folder):
    text = called("curl", "-sS", "--http0.9", f"http://{server.host}:{server.port}/")
    check(re.search(r"\d\d:\d\d:\d\d", text), f"curl read {text!r}")


CUT = "closed: tls_error"  # who only wants to see a handshake leaves in the middle, or is refused as it wants


def s_client(server, folder, *options, code=0):
    return called("openssl", "s_client", "-connect", f"{server.host}:{server.port}", "-CAfile", f"{folder}/ca.pem",
                  "-servername", "localhost", "-verify_return_error", *options, code=code)


def s_client_reads_a_line(server, folder):
    for version in ("-tls1_2", "-tls1_3"):
        text = s_client(server, folder, version, "-quiet")
        check(re.search(r"\d\d:\d\d:\d\d", text), f"s_client {version} read {text!r}")


def s_client_agrees_on_a_protocol(server, folder):
    says(s_client(server, folder, "-alpn", "other,http/1.1"), "ALPN protocol: http/1.1", "Verification: OK")


def s_client_resumes(server, folder):
    for version in ("-tls1_2", "-tls1_3"):
        # What it reads to the end has the ticket in front.
        s_client(server, folder, version, "-quiet", "-sess_out", f"{folder}/session")
        says(s_client(server, folder, version, "-sess_in", f"{folder}/session"), "Reused, TLSv1.")


def s_client_shows_a_certificate(server, folder):
    own = ("-cert", f"{folder}/client.pem", "-key", f"{folder}/client.key")
    text = s_client(server, folder, "-quiet", *own)
    check(re.search(r"\d\d:\d\d:\d\d", text), f"s_client with a certificate read {text!r}")
    s_client(server, folder, "-tls1_2", code=1)


def s_client_sees_a_renewed_certificate(server, folder):
    says(s_client(server, folder), "CN = server")
    for kind in ("key", "pem"):
        os.rename(f"{folder}/renewed.{kind}", f"{folder}/server.{kind}")
    for _ in range(4):  # whichever worker it is
        says(s_client(server, folder), "CN = renewed")


def s_time_counts(server, folder):
    for kind in ("-new", "-reuse"):
        text = called("openssl", "s_time", "-connect", f"{server.host}:{server.port}", "-CAfile", f"{folder}/ca.pem", kind,
                      "-time", "1")
        found = re.search(r"^(\d+) connections in", text, re.M)
        check(found and int(found[1]) > 0, f"s_time {kind} said {text!r}")


def curl_reads_a_line_by_tls(server, folder):
    for version in ("1.2", "1.3"):
        text = called("curl", "-sS", "--http0.9", "--http1.1", "--noproxy", "*", "--cacert", f"{folder}/ca.pem", "--tls-max", version,
                      f"https://{server.host}:{server.port}/")
        check(re.search(r"\d\d:\d\d:\d\d", text), f"curl with TLS {version} read {text!r}")


TESTSSL_UNSURE = 49  # testssl(1): so many of its questions had an ambiguous answer, as those of HTTP have here


def testssl_finds_nothing_of_protocols(server, folder):
    testssl_finds_nothing(server, folder, "--protocols")


def testssl_finds_nothing(server, folder, *kinds):
    called("testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--add-ca", f"{folder}/ca.pem",
           "--jsonfile", f"{folder}/findings.json", *kinds, f"{server.host}:{server.port}", code_most=TESTSSL_UNSURE,
           seconds=20 * PATIENCE_S)
    with open(f"{folder}/findings.json", encoding="utf-8") as file:
        findings = json.load(file)
    check(len(findings) > 10, f"testssl said {findings}")
    bad = [f"{row['severity']} {row['id']}: {row['finding']}" for row in findings
           if row["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")]
    check(not bad, f"testssl found {bad}")


def socket_activate_starts_one(server, folder):
    """It listens, and starts the server with its socket when the first client comes: one like the one that runs."""
    path, words = f"{folder}/activated", server.process.args
    model = words[words.index("--model"):][:2] if "--model" in words else []
    with tempfile.TemporaryFile() as said, subprocess.Popen(
            ["systemd-socket-activate", "-l", path, "--fdname=web", words[0], "serve", "echo", "--listen", "fd:web", *model],
            stderr=said) as process:
        try:
            wait_until(lambda: os.path.exists(path), "it listens")
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE_S)
                wait_until(lambda: client.connect_ex(path) == 0, "it takes a client")
                round_trip(client)
        finally:
            process.terminate()
        check(process.wait(PATIENCE_S) == 0, f"exit code {process.returncode}")
        said.seek(0)
        check(f"serving echo on unix:{path} (model ".encode() in said.read(), "no ready line")
    check(os.path.exists(path), "the file of a socket that was passed is gone")


# PROXY headers.

PROXIES = ("--proxy-protocol", "127.0.0.0/8")
V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n"
HAPROXY = """
defaults
    mode tcp
    timeout connect 60s
    timeout client 60s
    timeout server 60s
listen front
    bind fd@{fd}
    unique-id-format %ci:%cp
    server s {address} {send} check inter 50ms
"""


def curl_sends_a_header(server, _folder):
    text = called("curl", "-sS", "--http0.9", "--haproxy-protocol", "--noproxy", "*", f"http://{server.host}:{server.port}/")
    check(re.search(r"\d\d:\d\d:\d\d", text), f"curl read {text!r}")


def raw_header(*command):
    def talk(server, _folder):
        words = [word.format(host=server.host, port=server.port) for word in command]
        check(called(*words, input_bytes=V1 + b"hello\n") == "hello\n", "the echo")
    return talk


def haproxy_sends(how):
    """Its health checks come as LOCAL and leave by a reset: counted, and not worth a line."""
    def talk(server, folder):
        with socket.create_server((HOST, 0)) as front:
            config = os.path.join(folder, "haproxy.cfg")
            with open(config, "w", encoding="ascii") as file:
                file.write(HAPROXY.format(fd=front.fileno(), address=server.address, send=how))
            proxy = subprocess.Popen(["haproxy", "-db", "-f", config], pass_fds=[front.fileno()])
            try:
                wait_until(lambda: proxy.poll() is not None or server.counters()["accepted"] >= 1, "it is there")
                check(proxy.poll() is None, "haproxy refuses its configuration")
                with socket.create_connection(front.getsockname(), PATIENCE_S) as client:
                    client.sendall(b"hello\n")
                    check_equal(receive_exactly(client, 6), b"hello\n", "the echo")
                wait_until(lambda: server.counters()["accepted"] >= 3, "it looks whether the server is there")
                check_equal(server.counters()["closed"]["proxy_header"], 0, "how many were refused")
                check_equal(server.log, [], "lines of the log")
            finally:
                proxy.terminate()
                proxy.wait(PATIENCE_S)
    return talk


CLIENTS = [
    Client("socket-activate", "systemd-socket-activate", ("echo",), socket_activate_starts_one),
    Client("curl-proxy", "curl", ("daytime", *PROXIES), curl_sends_a_header),
    Client("ncat-proxy", "ncat", ("echo", *PROXIES), raw_header("ncat", "{host}", "{port}")),
    Client("socat-proxy", "socat", ("echo", *PROXIES), raw_header("socat", "-t60", "-", "TCP:{host}:{port}")),
    Client("haproxy-v1", "haproxy", ("echo", *PROXIES), haproxy_sends("send-proxy")),
    Client("haproxy-v2", "haproxy", ("echo", *PROXIES), haproxy_sends("send-proxy-v2")),
    Client("haproxy-v2-ssl", "haproxy", ("echo", *PROXIES), haproxy_sends("send-proxy-v2-ssl-cn proxy-v2-options crc32c,unique-id")),
    Client("curl", "curl", ("daytime",), curl_reads_a_line),
    Client("s_client", "openssl", ("daytime", *TLS), s_client_reads_a_line, make_tls),
    Client("s_client-alpn", "openssl", ("echo", *TLS, "--tls-alpn", "h2,http/1.1"), s_client_agrees_on_a_protocol, make_tls),
    Client("s_client-resumed", "openssl", ("daytime", *TLS), s_client_resumes, make_tls),
    Client("s_client-certificate", "openssl", ("daytime", *TLS, "--tls-client-ca", "FOLDER/ca.pem"),
           s_client_shows_a_certificate, make_tls, CUT),
    Client("s_client-renewed", "openssl", ("daytime", *TLS, "--tls-reload", "1ms"), s_client_sees_a_renewed_certificate, make_tls,
           "changed files have been read|is not that of"),
    Client("s_time", "openssl", ("echo", *TLS), s_time_counts, make_tls, CUT, True),
    Client("curl-tls", "curl", ("daytime", *TLS), curl_reads_a_line_by_tls, make_tls),
    Client("testssl-protocols", "testssl", ("echo", *TLS), testssl_finds_nothing_of_protocols, make_tls, CUT, True),
]


# All that it asks takes minutes: of a model of each engine, by `./dev test clients`.
WHOLE = Client("testssl", "testssl", ("echo", *TLS), testssl_finds_nothing, make_tls, CUT, True)


def tried(client, model):
    with tempfile.TemporaryDirectory(prefix="gearbox-clients-") as folder:
        if client.made:
            shutil.copytree(made_once(client.made).name, folder, dirs_exist_ok=True)
        service, *options = (word.replace("FOLDER", folder) for word in client.serve)
        with Server(*model.arguments, *options, service=service, expected_log=client.log) as server:
            client.talk(server, folder)


def models_of(client):
    if not client.dear or ALL:
        return MODELS
    return [] if SMALL else [model for model in MODELS if model.spec == "reactor"]


def register():
    missing = set()
    for client in CLIENTS:
        if not shutil.which(client.command):
            missing.add(client.command)
            continue
        if client.made:
            made_once(client.made)  # before there are threads
        for model in models_of(client):
            add_case(f"{client.name}[{model.spec}]", tried, client, model, waits=True)
    if ALL and shutil.which(WHOLE.command):
        for model in EACH_ENGINE:
            add_case(f"{WHOLE.name}[{model.spec}]", tried, WHOLE, model)
    if missing:
        print(f"clients: skipped, not installed: {' '.join(sorted(missing))}", flush=True)


register()
if __name__ == "__main__":
    main()
