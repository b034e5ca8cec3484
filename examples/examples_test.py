#!/usr/bin/env python3
"""The examples, built as a user would build them, do what they say; README.md shows the first of them."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

from lib import PATIENCE_S, case, check, check_equal, main, receive_all, run

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.environ.get("EXAMPLES", os.path.join(HERE, "..", "build", "examples"))


class Program:
    """An example that serves, with its ready line read. As a context it ends by SIGTERM, exit code 0."""

    def __init__(self, name, *arguments):
        self.process = subprocess.Popen([os.path.join(EXAMPLES, name), *arguments], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        self.ready_line = self._read_line()
        found = re.search(r"127\.0\.0\.1:([0-9]+)", self.ready_line)
        if not found:
            self.process.kill()
            self.process.wait()
            self.process.stderr.close()
        check(found, f"{name} {arguments}: no ready line, but {self.ready_line!r}")
        self.port = int(found[1])
        self.address = found[0]

    def _read_line(self):
        line, deadline = b"", time.monotonic() + PATIENCE_S
        while not line.endswith(b"\n"):
            waiting = select.select([self.process.stderr], [], [], max(0, deadline - time.monotonic()))[0]
            part = os.read(self.process.stderr.fileno(), 1) if waiting else b""
            if not part:
                break
            line += part
        return line.decode(errors="replace")

    def connect(self):
        """A client: the socket, and a file to read its lines from."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        return client, client.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.send_signal(signal.SIGKILL if kind else signal.SIGTERM)
        log = self.process.stderr.read().decode(errors="replace")
        code = self.process.wait(PATIENCE_S)
        self.process.stderr.close()
        if not kind:
            # Who came to a bad end, and the drain, leave a line each; nothing else does.
            log = "".join(line for line in log.splitlines(True) if ": notice: " not in line)
            check_equal((code, log), (0, ""), f"exit code and log of {self.ready_line!r}")


def example(name, *arguments):
    """Run an example to its end. Returns subprocess.CompletedProcess with text streams."""
    return subprocess.run([os.path.join(EXAMPLES, name), *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def readme():
    with open(os.path.join(HERE, "..", "README.md"), encoding="utf-8") as page:
        return page.read()


def presets():
    """What the command says of every preset."""
    return json.loads(run("models", "--json").stdout)["models"]


def models():
    """The presets that this machine can run."""
    for row in presets():
        if "engine=io_uring" not in row["spec"] or ring_allowed():
            yield row["name"]


def ring_allowed():
    # Refused where io_uring is: before the address, which nobody can listen on, is looked at.
    return "io_uring" not in run("serve", "echo", "--model", "proactor", "--listen", "192.0.2.1:1").stderr


@case
def readme_shows_hello():
    shown = re.findall(r"^```c\n(.*?)^```$", readme(), re.M | re.S)
    with open(os.path.join(HERE, "hello.c"), encoding="utf-8") as source:
        check_equal(shown[0] if shown else None, source.read(), "the first C block of README.md")


@case
def readme_lists_every_preset():
    expected = []
    for row in presets():
        alias = f" (`{row['alias']}`)" if row["alias"] else ""
        axes = " | ".join(row["axes"][axis] for axis in ("accept", "unit", "workers", "engine", "compute"))
        expected.append(f"| `{row['name']}`{alias} | {axes} | {row['summary'].rstrip('.')} |")
    check_equal(re.findall(r"^\| `[a-z-]+`.* \| (?:thread|process) \| .*$", readme(), re.M), expected,
                "table of models in README.md")


@case
def a_program_of_ones_own_has_the_commands():
    done = example("hello", "verify", "--only", "reactor", "--only", "thread", "--only", "prefork", "--message", "you",
                   "--quiet")
    check_equal((done.returncode, done.stdout, done.stderr), (0, "hello: 3 combinations, 0 differences\n", ""),
                "hello verify")
    check_equal(example("hello", "models").stdout, run("models").stdout, "hello models")
    for words in (("version",), ("--version",)):
        check(re.fullmatch(r"hello \(gearbox [0-9.]+\)\n", example("hello", *words).stdout), f"hello {words}")
    told = example("hello", "help").stdout
    check(all(f"  {word} " in told for word in ("serve", "load", "models", "doctor", "verify")), f"help: {told}")
    check_equal(example("hello", "help", "serve").stdout, example("hello", "--help").stdout, "help serve")
    check("hello load ADDRESS" in example("hello", "help", "load").stdout, "help load")
    with Program("hello", "serve", "--listen", "127.0.0.1:0") as server:
        client, lines = server.connect()
        client.sendall(b"you\n")
        check_equal(lines.readline(), b"hello, you\n", "the answer")
        client.close()


@case
def a_program_of_ones_own_says_what_is_wrong():
    for words, part in (((), "--listen"), (("verfy",), "did you mean \"verify\""), (("zebra",), "\"hello help\""),
                        (("127.0.0.1:7000",), "--listen ADDRESS"), (("verify", "hello"), "only flags"),
                        (("verify", "--as", "hello"), "one service"),
                        (("load",), "no address"), (("--lisen", "x"), "did you mean --listen"),
                        (("models", "reactr"), "reactor")):
        done = example("hello", *words)
        check(done.returncode == 2 and done.stderr.startswith("hello: ") and part in done.stderr
              and done.stderr.count("\n") == 1, f"hello {words}: {done.returncode}, {done.stderr!r}")


@case
def verify_notices_an_answer_that_depends_on_the_model():
    """chat answers nobody alone; ticker tells the time, which no verification can hear twice."""
    done = example("chat", "verify", "--only", "reactor", "--quiet", "--conversation", "paced")
    check_equal(done.returncode, 0, f"chat alone is mute ({done.stdout!r}, {done.stderr!r})")


@case
def hello_greets_under_every_model():
    for model in models():
        with Program("hello", "--listen", "127.0.0.1:0", "--model", model) as server:
            check(f"serving hello on {server.address} (model {model}," in server.ready_line, server.ready_line)
            client, _ = server.connect()
            with client:
                client.sendall(b"Ada\r\nBob\n\xff\0\n")
                client.shutdown(socket.SHUT_WR)
                check_equal(receive_all(client), b"hello, Ada\nhello, Bob\nhello, \xff\0\n", f"answer under {model}")


@case
def chat_passes_lines_on_to_the_others():
    with Program("chat", "--listen", "127.0.0.1:0") as server:
        clients = []
        for count in range(1, 4):
            clients.append(server.connect())
            check_equal(clients[-1][1].readline(), b"%d here\n" % count, "welcome")
        clients[0][0].sendall(b"good morning\n")
        for _, lines in clients[1:]:
            check_equal(lines.readline(), b"good morning\n", "line from the first")
        # The one in the middle leaves; its end is seen once the server has closed its side as well.
        clients[1][0].shutdown(socket.SHUT_WR)
        check_equal(clients[1][1].read(), b"", "rest for the one that leaves")
        clients[2][0].sendall(b"still there?\n")
        check_equal(clients[0][1].readline(), b"still there?\n", "line from the third")
        for client, lines in clients:
            lines.close()
            client.close()


@case
def chat_does_not_hear_itself():
    with Program("chat", "--listen", "127.0.0.1:0") as server:
        client, _ = server.connect()
        with client:
            client.sendall(b"anybody?\n")
            client.shutdown(socket.SHUT_WR)
            check_equal(receive_all(client), b"1 here\n", "what the only one hears")


@case
def chat_refuses_a_pool_of_handlers():
    done = example("chat", "--listen", "127.0.0.1:0", "--model", "reactor,compute=threads")
    check_equal(done.returncode, 2, f"exit code ({done.stderr!r})")


class FarSide(threading.Thread):
    """A server that answers while it reads: twice what it got, then its end once it has read the client's."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    @staticmethod
    def serve(client):
        with client:
            while data := client.recv(1 << 16):
                client.sendall(data + data)
            client.shutdown(socket.SHUT_WR)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@case
def forward_passes_everything_and_the_ends_under_every_model():
    sent = bytes(range(256)) * 8192  # more than all buffers on the way
    far = FarSide()
    for model in models():
        with Program("forward", "--listen", "127.0.0.1:0", "--set", f"to={far.address}", "--model", model) as server:
            client, _ = server.connect()
            with client:
                def send(client=client):
                    client.sendall(sent)
                    client.shutdown(socket.SHUT_WR)
                sender = threading.Thread(target=send)
                sender.start()
                got = receive_all(client)
                sender.join(PATIENCE_S)
                check_equal(len(got), 2 * len(sent), f"bytes back under {model}")
                check(sorted(got) == sorted(sent + sent), f"other bytes under {model}")
    far.stop()


@case
def forward_resets_who_it_cannot_forward_under_every_model():
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = "127.0.0.1:%d" % nobody.getsockname()[1]
    for model in models():
        with Program("forward", "--listen", "127.0.0.1:0", "--set", f"to={address}", "--model", model) as server:
            try:
                with server.connect()[0] as client:
                    ended = client.recv(1)
                check(False, f"{ended!r}, an end that looks whole, under {model}")
            except ConnectionResetError:
                pass


@case
def ticker_tells_counters_until_a_key_is_pressed():
    for model in models():
        with Program("ticker", model) as server:
            client, lines = server.connect()
            with client, lines:
                for _ in range(3):
                    check_equal(lines.readline(), b"1 accepted, 1 open\n", f"counters under {model}")
                client.sendall(b"q")
                check(set(lines.read().splitlines()) <= {b"1 accepted, 1 open"}, f"rest under {model}")


@case
def ticker_says_what_is_wrong_with_a_model():
    done = example("ticker", "reactr")
    check_equal(done.returncode, 1, f"exit code ({done.stderr!r})")
    check("reactor" in done.stderr, f"standard error {done.stderr!r} does not name the nearest model")


@case
def client_prints_an_answer_to_each_line():
    with Program("hello", "--listen", "127.0.0.1:0") as server:
        done = example("client", server.address, "Ada", "Bob")
    check_equal((done.returncode, done.stdout, done.stderr), (0, "hello, Ada\nhello, Bob\n", ""), "outcome")


@case
def client_says_that_nobody_listens():
    with socket.socket() as bound:  # bound, so that nobody else takes the port, but not listening
        bound.bind(("127.0.0.1", 0))
        done = example("client", f"127.0.0.1:{bound.getsockname()[1]}", "Ada")
    check_equal((done.returncode, done.stdout), (1, ""), "outcome")
    check("connect_failed (Connection refused)" in done.stderr, f"standard error {done.stderr!r}")


@case
def client_without_arguments_tells_its_usage():
    done = example("client")
    check_equal((done.returncode, done.stdout), (1, ""), "outcome")
    check("usage" in done.stderr, f"standard error {done.stderr!r}")


if __name__ == "__main__":
    main()
