#!/usr/bin/env python3
"""Names: `proxy` and `load` by name and SRV, beside a name server that is slow, cut, wrong, or changes its mind."""

import contextlib
import json
import os
import socket
import tempfile
import threading

from certificates import TLS, made_once, make_tls
from lib import HOST, PATIENCE_S, Server, case, check, check_equal, check_refusal, main, run, wait_until
from scripted_names import SERVFAIL, NameServer, address, service


@contextlib.contextmanager
def upstream(word, host="127.0.0.1", port=0):
    """Whoever connects is sent `word`, and the end. Its port."""
    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client:
                    client.sendall(word)
    with socket.create_server((host, port)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def proxy(names, target, *arguments, **options):
    return Server("--resolver", names.address, "--set", f"upstream={target}", *arguments, service="proxy", **options)


def told(server):
    """What a client of it gets until the end."""
    with server.connect() as client:
        client.settimeout(PATIENCE_S)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while more := client.recv(100):
                got += more
        return got


@case
def a_service_is_followed_from_port_to_port():
    with upstream(b"one") as one, upstream(b"two") as two, upstream(b"far") as far, NameServer(
            {"here.test": [address("127.0.0.1")],
             "_t._tcp.test": [service(20, 1, far, "here.test"), service(10, 1, one, "here.test")]}) as names, \
            proxy(names, "_t._tcp.test") as server:
        check_equal(told(server), b"one", "from the one of the lowest priority")
        names.records["_t._tcp.test"] = [service(10, 1, two, "here.test")]
        wait_until(lambda: told(server) == b"two", "the new port is used")
        names.records["_t._tcp.test"] = [service(0, 0, 0, ".")]
        wait_until(lambda: told(server) == b"", "there is no such service any more")


@case
def a_lower_priority_serves_where_the_first_does_not():
    with upstream(b"far") as far, NameServer(
            {"here.test": [address("127.0.0.1")], "nowhere.test": SERVFAIL,
             "_t._tcp.test": [service(0, 1, far, "nowhere.test"), service(10, 1, 1, "here.test"),
                              service(20, 1, far, "here.test")]}) as names, proxy(names, "srv:_t._tcp.test") as server:
        check_equal(told(server), b"far", "from the last one")


@case
def an_answer_that_is_cut_is_asked_for_by_tcp():
    with upstream(b"one") as one, NameServer(
            {"cut.test": [address("127.0.0.1")]}) as names, proxy(names, f"cut.test:{one}") as server:
        names.truncates.add("cut.test")
        check_equal(told(server), b"one", "what comes")
        check(any(stream for _, _, stream in names.asked), f"asked {names.asked}")


def silent(_message):
    return None


def garbage(message):
    return message[:4] + b"\xff" * 60


def stranger(message):
    """An answer to a question that nobody has asked."""
    return bytes([message[0] ^ 0xff]) + message[1:2] + b"\x81\x80" + message[4:]


@case
def a_name_server_that_fails_holds_nobody():
    with upstream(b"one") as one, NameServer(
            {"good.test": [address("127.0.0.1")], "silent.test": silent, "garbage.test": garbage,
             "stranger.test": stranger, "broken.test": SERVFAIL, "empty.test": []}) as names, \
            proxy(names, f"silent.test:{one}", "--resolve-timeout", "30s", "--connect-timeout", "30s",
                  expected_log="proxy: |connection ") as server, \
            proxy(names, f"good.test:{one}") as good, server.connect():
        wait_until(lambda: names.count("silent.test") > 0, "it is asked")
        check_equal(told(good), b"one", "meanwhile")
        for name, words in (("garbage.test", "no name server"),
                            ("stranger.test", "no name server answers in time"),
                            ("broken.test", "no name server"),
                            ("empty.test", "the name has no address"), ("none.test", "NXDOMAIN")):
            done = run("load", f"{name}:{one}", "--resolver", names.address, "--connect-timeout", "9s")
            check_refusal(done, 1, name, words)


@case
def what_is_known_is_not_asked_for_and_it_is_counted():
    with upstream(b"one") as one, tempfile.TemporaryFile() as output, NameServer(
            {"good.test": [address("127.0.0.1", 600)]}) as names:
        with proxy(names, f"good.test:{one}", "--summary",
                   before_exec=lambda: os.dup2(output.fileno(), 1)) as server:
            for _ in range(20):
                check_equal(told(server), b"one", "what comes")
        output.seek(0)
        counted = json.loads(output.read())["names"]
    check(names.count("good.test") < 20, f"asked {names.asked}")  # A and AAAA, and again where this program was late
    check_equal(counted["asked"], 1, "names that were asked for")
    check(counted["known"] >= 19, f"{counted}")


@case
def load_goes_to_a_service():
    with NameServer({"here.test": [address("127.0.0.1")]}) as names, Server(listen=(f"{HOST}:0",)) as server:
        host, port = server.address.rsplit(":", 1)
        names.records["here.test"] = [address(host)]
        names.records["_echo._tcp.test"] = [service(1, 1, int(port), "here.test")]
        for target in ("_echo._tcp.test", f"here.test:{port}"):
            done = run("load", target, "--resolver", names.address, "--messages", "10", "--connections", "1", "--json")
            check_equal(done.returncode in (0, 3), True, f"exit code {done.returncode}, {done.stderr}")
            check_equal(json.loads(done.stdout)["messages"], 10, "messages")


@case
def a_load_by_tls_looks_for_the_domain_of_a_service():
    folder = made_once(make_tls).name
    with NameServer({"here.test": [address(HOST)]}) as names, Server(*(word.replace("FOLDER", folder) for word in TLS),
                                                                     expected_log="tls_error") as server:
        port = int(server.address.rsplit(":", 1)[1])
        for domain, code in (("localhost", (0, 3)), ("other.test", (1,))):
            names.records[f"_echo._tcp.{domain}"] = [service(1, 1, port, "here.test")]
            for target in (f"_echo._tcp.{domain}", f"srv:_echo._tcp.{domain}"):
                done = run("load", target, "--resolver", names.address, "--tls", "--tls-ca", f"{folder}/ca.pem", "--messages",
                           "10", "--connections", "1")
                check(done.returncode in code, f"{target}: exit code {done.returncode}, {done.stderr}")
                check((code == (1,)) == ("hostname mismatch" in done.stderr), f"{target}: {done.stderr!r}")


@case
def what_is_no_name_is_refused_at_once():
    for target in ("x" * 64 + ".test:1", ("x" * 50 + ".") * 6 + "test:1", "a b:1", "name", "name:http"):
        check_refusal(run("load", target), 2, "writ")
    check_refusal(run("serve", "echo", "--listen", f"{HOST}:0", "--resolver", "name.test"), 2, "no name server")


main()
