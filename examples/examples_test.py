#!/usr/bin/env python3
"""The examples, built as a user would build them, do what they say; README.md shows the first of them."""

import concurrent.futures
import functools
import json
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

import program
from cover import pairwise
from lib import FULL, PATIENCE_S, SMALL, add_case, case, check, check_equal, main, receive_all, run

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.environ.get("EXAMPLES", os.path.join(HERE, "..", "build", "examples"))


class Program(program.Program):
    """An example."""

    def __init__(self, name, *arguments, **more):
        super().__init__(os.path.join(EXAMPLES, name), *arguments, **more)


def example(name, *arguments):
    """Run an example to its end. Returns subprocess.CompletedProcess with text streams."""
    return subprocess.run([os.path.join(EXAMPLES, name), *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def readme():
    with open(os.path.join(HERE, "..", "README.md"), encoding="utf-8") as page:
        return page.read()


def c_blocks(page):
    return re.findall(r"^```c\n(.*?)^```$", page, re.M | re.S)


@functools.cache
def presets():
    """What the command says of every preset."""
    return json.loads(run("models", "--json").stdout)["models"]


@functools.cache
def models():
    """The presets that this machine can run; in a sanitizer's build a cover of them."""
    allowed = [row for row in presets() if "engine=io_uring" not in row["spec"] or ring_allowed()]
    return [row["name"] for row in (pairwise(allowed, axes_of=lambda row: row["axes"]) if SMALL and not FULL else allowed)]


@functools.cache
def ring_allowed():
    # Refused where io_uring is: before the address, which nobody can listen on, is looked at.
    return "io_uring" not in run("serve", "echo", "--model", "proactor", "--listen", "192.0.2.1:1").stderr


def case_under_every_model(function):
    """Register a case for each of them; they mostly wait, so that several run at the same time."""
    for model in models():
        add_case(f"{function.__name__}[{model}]", function, model, waits=True)
    return function


@case
def readme_shows_hello_and_countdown():
    sources = []
    for name in ("hello.c", "countdown.c"):
        with open(os.path.join(HERE, name), encoding="utf-8") as source:
            sources.append(source.read())
    check_equal(c_blocks(readme()), sources, "the C blocks of README.md")


@case
def what_the_page_on_straight_line_handlers_shows_compiles():
    with open(os.path.join(HERE, "..", "docs", "sequential.md"), encoding="utf-8") as page:
        blocks = c_blocks(page.read())
    check(len(blocks) > 4, f"{len(blocks)} blocks")
    for block in blocks:
        done = subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-Wall", "-Wno-unused-function", "-Werror",
                               "-fsyntax-only", "-I", os.path.join(HERE, "..", "include"), "-xc", "-"],
                              input="#include <gearbox/gearbox.h>\n#include <errno.h>\n" + block,
                              capture_output=True, text=True, check=False)
        check_equal((done.returncode, done.stderr), (0, ""), f"compiler on {block}")


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


@case_under_every_model
def hello_greets_under_every_model(model):
    with Program("hello", "--listen", "127.0.0.1:0", "--model", model) as server:
        check(f"serving hello on {server.address} (model {model}," in server.ready_line, server.ready_line)
        client, _ = server.connect()
        with client:
            client.sendall(b"Ada\r\nBob\n\xff\0\n")
            client.shutdown(socket.SHUT_WR)
            check_equal(receive_all(client), b"hello, Ada\nhello, Bob\nhello, \xff\0\n", f"answer under {model}")


def several(model, clients):
    """The model with workers enough for so many clients at once, or None: it serves one at a time."""
    axes = next(row["axes"] for row in presets() if row["name"] == model)
    if axes["engine"] != "blocking" or axes["workers"] == "per-connection":
        return model if axes["workers"] != "N" else f"{model},workers=2"
    return None if axes["workers"] == "1" else f"{model},workers={clients}"


@case_under_every_model
def chat_is_one_room_under_every_model(model):
    spec = several(model, 3)
    if not spec:
        with Program("chat", "--listen", "127.0.0.1:0", "--model", model) as server:
            client, lines = server.connect()
            with client:
                check_equal(lines.readline(), b"1 here\n", f"welcome under {model}, which serves one at a time")
        return
    with Program("chat", "--listen", "127.0.0.1:0", "--model", spec) as server:
        clients = []
        for count in range(1, 4):
            clients.append(server.connect())
            check_equal(clients[-1][1].readline(), b"%d here\n" % count, f"welcome under {spec}")
        for number, (client, _) in enumerate(clients):
            said = b"".join(b"%d says %d\n" % (number, line) for line in range(20))
            client.sendall(said)
            for other, (_, lines) in enumerate(clients):
                if other != number:
                    check_equal(b"".join(lines.readline() for _ in range(20)), said, f"what {other} hears under {spec}")
        # The one in the middle leaves; its end is seen once the server has closed its side as well.
        clients[1][0].shutdown(socket.SHUT_WR)
        check_equal(clients[1][1].read(), b"", "rest for the one that leaves")
        clients[2][0].sendall(b"still there?\n")
        check_equal(clients[0][1].readline(), b"still there?\n", f"line from the third under {spec}")
        clients[2][0].shutdown(socket.SHUT_WR)
        check_equal(clients[2][1].read(), b"", "nobody hears himself")
        for client, lines in clients:
            lines.close()
            client.close()


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


@case_under_every_model
def forward_passes_everything_and_the_ends_under_every_model(model):
    sent = bytes(range(256)) * 8192  # more than all buffers on the way
    far = FarSide()
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


@case_under_every_model
def forward_resets_who_it_cannot_forward_under_every_model(model):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = "127.0.0.1:%d" % nobody.getsockname()[1]
    with Program("forward", "--listen", "127.0.0.1:0", "--set", f"to={address}", "--model", model) as server:
        try:
            with server.connect()[0] as client:
                ended = client.recv(1)
            check(False, f"{ended!r}, an end that looks whole, under {model}")
        except ConnectionResetError:
            pass


def gone(pid):
    """Wait until no such process is left, a zombie included."""
    deadline = time.monotonic() + PATIENCE_S
    while os.path.exists(f"/proc/{pid}"):
        check(time.monotonic() < deadline, f"process {pid} is still there")
        time.sleep(0.01)


@case_under_every_model
def filter_runs_a_program_for_each_client_under_every_model(model):
    sent = b"abcdefgh" * 65536  # more than all buffers on the way
    with Program("filter", "--listen", "127.0.0.1:0", "--set", "command=echo $$; exec tr a-z A-Z",
                 "--model", model) as server:
        client, lines = server.connect()
        with client, lines:
            pid = int(lines.readline())

            def send(client=client):
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
            sender = threading.Thread(target=send)
            sender.start()
            got = lines.read()
            sender.join(PATIENCE_S)
        check(got == sent.upper(), f"{len(got)} bytes back of {len(sent)} under {model}")
        gone(pid)


@case_under_every_model
def filter_ends_the_program_of_who_has_gone_under_every_model(model):
    with Program("filter", "--listen", "127.0.0.1:0", "--set", "command=echo $$; sleep 1000; echo over",
                 "--model", model) as server:
        client, lines = server.connect()
        pid = int(lines.readline())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        lines.close()
        client.close()  # a reset
        gone(pid)


@case
def filter_drains_although_a_program_hangs():
    server = Program("filter", "--listen", "127.0.0.1:0", "--set", "command=trap '' TERM; echo $$; sleep 1000",
                     "--model", "multi-reactor", "--drain-timeout", "10ms")
    client, lines = server.connect()
    with client, lines, server.process.stderr:
        pid = int(lines.readline())
        server.process.send_signal(signal.SIGTERM)
        check_equal(server.process.wait(PATIENCE_S), 0, "exit code")
        check(b"cutting off" in server.process.stderr.read(), "no word of what was cut off")
    gone(pid)


@case_under_every_model
def countdown_counts_down_under_every_model(model):
    with Program("countdown", "--listen", "127.0.0.1:0", "--model", model) as server:
        client, _ = server.connect()
        with client:
            client.sendall(b"3\n\nquit\n9\n")
            check_equal(receive_all(client), b"3\n2\n1\nlift-off\nlift-off\n", f"answer under {model}")


@case
def kv_is_the_same_in_both_styles():
    models_compared = ("reactor", "prefork") if SMALL else ("reactor", "thread", "prefork", "multi-reactor")
    few = [word for model in models_compared for word in ("--only", model)]
    for service, other in (("kv-sequential", "kv"), ("kv", "kv-sequential"))[SMALL:]:
        done = example("kv", "verify", service, "--as", other, "--quiet", *few)
        check_equal((done.returncode, done.stdout, done.stderr),
                    (0, f"{service}: {len(models_compared)} combinations, 0 differences from {other}\n", ""),
                    f"kv verify {service}")


@case_under_every_model
def kv_keeps_values_by_their_keys_under_every_model(model):
    for style in ("kv", "kv-sequential"):
        if style == "kv" and model.endswith(("reactor-pool", "proactor-pool")):
            continue  # refused: callbacks would share a store beside one another
        with Program("kv", "serve", style, "--listen", "127.0.0.1:0", "--model", model) as server:
            client, _ = server.connect()
            with client:
                client.sendall(b"get a\nset a\none two\nget a\nset a\n\nget a\nnonsense\nset b\n")
                client.shutdown(socket.SHUT_WR)
                check_equal(receive_all(client), b"none\nok\none two\nok\n\nwhat?\n",
                            f"answers of {style} under {model}")


def pipelined(server, name, count):
    """Sends lines, all at once, and checks that each is answered. Returns them as they are to be in the file."""
    client, lines = server.connect()
    texts = [f"{name} {number}\n".encode() for number in range(count)]
    with client, lines:
        client.sendall(b"".join(texts))
        check_equal([lines.readline() for _ in texts], [b"ok\n"] * count, f"answers to {name}")
    return texts


@case_under_every_model
def logger_stores_every_line_once_and_in_order_under_every_model(model):
    for style in ("logger", "logger-sequential"):
        if style == "logger" and "pool" in model and ("actor-pool" in model):
            continue  # refused: callbacks would share an appender beside one another
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "log")
            with Program("logger", "serve", style, "--listen", "127.0.0.1:0", "--model", model,
                         "--set", f"file={path}") as server:
                with concurrent.futures.ThreadPoolExecutor() as clients:
                    sent = list(clients.map(lambda name: pipelined(server, name, 100), "abc"))
            with open(path, "rb") as log:
                stored = log.readlines()
            check_equal(len(stored), 300, f"lines that {style} stored under {model}")
            for texts in sent:
                name = texts[0].split()[0]
                check_equal([line for line in stored if line.split()[0] == name], texts,
                            f"lines of a client that {style} stored under {model}")


@case
def logger_says_ok_only_of_what_is_stored():
    for style in ("logger", "logger-sequential"):
        with Program("logger", "serve", style, "--listen", "127.0.0.1:0", "--set", "file=/dev/full") as server:
            client, lines = server.connect()
            with client, lines:
                client.sendall(b"one\ntwo\n")
                check_equal([lines.readline() for _ in range(2)], [b"No space left on device\n"] * 2,
                            f"answers of {style} on a full disk")


@case
def logger_is_the_same_in_both_styles():
    few = [word for model in ("reactor", "proactor", "thread")[:2 if SMALL else 3] if model != "proactor" or ring_allowed()
           for word in ("--only", model)]
    done = example("logger", "verify", "logger-sequential", "--as", "logger", "--quiet", *few)
    check_equal((done.returncode, done.stderr), (0, ""), "logger verify")


def ask(server, *parts):
    """What the server says to these bytes, the client's end behind them."""
    client, _ = server.connect()
    with client:
        for part in parts:
            client.sendall(part)
        client.shutdown(socket.SHUT_WR)
        return receive_all(client)


def status(answer):
    return answer.partition(b"\r\n")[0].decode()


@case_under_every_model
def http10_answers_under_every_model(model):
    body = bytes(range(256)) * 1024  # more than is read at once
    with Program("http10", "--listen", "127.0.0.1:0", "--model", model) as server:
        check_equal(ask(server, b"GET /a HTTP/1.0\r\nHost: x\r\n\r\n"),
                    b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhello, /a\n",
                    f"GET under {model}")
        answer = ask(server, b"POST /b HTTP/1.0\r\ncontent-length: %d\r\n\r\n" % len(body), body)
        check(answer.endswith(b"\r\n\r\n" + body), f"POST under {model}")
        check_equal(status(ask(server, b"nonsense\r\n\r\n")), "HTTP/1.0 400 Bad Request", f"under {model}")


@case
def http10_says_what_is_wrong_with_a_request():
    with Program("http10", "--listen", "127.0.0.1:0") as server:
        for parts, code in (((b"GET / HTP/1.0\r\n\r\n",), "400"), ((b"GET / HTTP/1.0\r\nHo",), "400"),
                            ((b"GET / HTTP/\r\n\r\n",), "400"),
                            ((b"POST / HTTP/1.0\r\nContent-Length: -1\r\n\r\n",), "400"),
                            ((b"POST / HTTP/1.0\r\nContent-Length: 1x\r\n\r\nx",), "400"),
                            ((b"POST / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",), "400"),
                            ((b"POST / HTTP/1.0\r\nContent-Length: 1048577\r\n\r\n",), "413"),
                            ((b"POST / HTTP/1.0\r\nContent-Length: 99999999999999999999999\r\n\r\n",), "413"),
                            ((b"GET /" + b"a" * 9000 + b" HTTP/1.0\r\n\r\n",), "413"),
                            ((b"PUT / HTTP/1.0\r\n\r\n",), "501")):
            check_equal(status(ask(server, *parts)).split(" ")[1:2], [code], f"status of {parts[0][:60]!r}")
        check_equal(ask(server), b"", "who asks nothing hears nothing")


@case_under_every_model
def http10_ends_who_is_too_slow_under_every_model(model):
    with Program("http10", "--listen", "127.0.0.1:0", "--set", "request-timeout=50ms", "--model", model) as server:
        client, _ = server.connect()
        with client:
            client.sendall(b"GET / HT")
            check_equal(status(receive_all(client)), "HTTP/1.0 408 Request Timeout", f"under {model}")


class Pages(threading.Thread):
    """An HTTP server that answers /never never, and knows how many asked it at once."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client:
            asked = client.recv(4096)
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            if asked.startswith(b"GET /never "):
                client.recv(1)  # the client gives up
            with self.lock:
                self.now -= 1
            try:
                client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + asked.split(b" ")[1])
            except OSError:
                pass  # it has

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@case
def fetch_asks_a_hundred_paths_a_few_at_a_time():
    pages = Pages()
    done = example("fetch", pages.address, "8", "60000", *[f"/{number}" for number in range(100)])
    check_equal((done.returncode, done.stderr), (0, ""), "outcome")
    check_equal(done.stdout.splitlines(),
                [f"/{number}: HTTP/1.0 200 OK, {20 + len(str(number))} bytes" for number in range(100)], "pages")
    check(1 <= pages.most <= 8, f"{pages.most} at once")
    pages.stop()


@case
def fetch_asks_all_at_once_without_a_limit():
    with Program("http10", "--listen", "127.0.0.1:0") as server:
        done = example("fetch", server.address, "0", "60000", *[f"/{number}" for number in range(100)])
        check_equal((done.returncode, done.stderr), (0, ""), "outcome")
        check_equal(done.stdout.count("HTTP/1.0 200 OK"), 100, "pages")


@case
def fetch_gives_up_at_its_deadline():
    pages = Pages()
    done = example("fetch", pages.address, "2", "1000", "/a", "/never", "/never", "/never")
    lines = done.stdout.splitlines()
    check_equal((done.returncode, done.stderr, len(lines)), (1, "", 4), "outcome")
    check_equal(lines[0], "/a: HTTP/1.0 200 OK, 21 bytes", "the page that is answered")
    check_equal(lines[1:], ["/never: Operation canceled, 0 bytes"] * 3, "those that are not")
    pages.stop()


@case
def fetch_says_what_is_wrong():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        done = example("fetch", f"127.0.0.1:{bound.getsockname()[1]}", "8", "60000", "/a")
    check_equal((done.returncode, done.stdout), (1, "/a: Connection refused, 0 bytes\n"), "nobody listens")
    done = example("fetch")
    check("usage" in done.stderr and done.returncode == 1, f"usage: {done.stderr!r}")


def answered_at_beats(client, lines, which):
    """Both loops go on: lines are answered, at beats that rise."""
    last = deadline = -1
    deadline = time.monotonic() + PATIENCE_S
    while last < 3:
        check(time.monotonic() < deadline, f"{which}: the other loop stands at beat {last}")
        client.sendall(b"hello\n")
        found = re.fullmatch(rb"hello at beat ([0-9]+)\n", lines.readline())
        check(found and int(found[1]) >= last, f"{which}: no answer, or the beat goes back from {last}")
        last = int(found[1])
        time.sleep(0.005)


def embedded(name, model):
    if not os.path.exists(os.path.join(EXAMPLES, name)):
        print(f"  {name} is not built: the library is not installed")
        return
    with Program(name, model) as program:
        for _ in range(2):
            client, lines = program.connect()
            with client, lines:
                answered_at_beats(client, lines, f"{name} {model}")


for _name in ("embed_epoll", "embed_uv"):
    for _model in ("reactor,engine=epoll", "proactor"):
        if _model != "proactor" or ring_allowed():
            add_case(f"a_server_serves_in_the_loop_of_{_name}[{_model}]", embedded, _name, _model, waits=True)


@case
def a_loop_without_a_descriptor_is_refused_in_another_loop():
    result = example("embed_epoll", "reactor,engine=poll")
    check_equal(result.returncode, 1, "exit code")
    check("take model=reactor" in result.stderr, f"the text names one that can: {result.stderr!r}")


@case_under_every_model
def another_loop_is_nested_in_each_worker_under_every_model(model):
    if model.endswith("-pool") and model != "thread-pool":
        return  # its handlers would run beside the loop whose beats they read, and it is refused
    with Program("nested", "--listen", "127.0.0.1:0", "--model", model) as program:
        client, lines = program.connect()
        with client, lines:
            answered_at_beats(client, lines, f"nested {model}")


@case_under_every_model
def periodic_loses_nothing_at_a_drain_under_every_model(model):
    with subprocess.Popen([os.path.join(EXAMPLES, "periodic"), "--listen", "127.0.0.1:0", "--model", model],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        ready = process.stderr.readline().decode()
        port = int(re.search(r"127\.0\.0\.1:([0-9]+)", ready)[1])
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
                client.sendall(b"a\nb\nc\n")
                client.shutdown(socket.SHUT_WR)
                check_equal(receive_all(client), b"ok\nok\nok\n", f"answers under {model}")
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=PATIENCE_S)
        counted = sum(int(line.split()[0]) for line in told.splitlines())
        check_equal((process.returncode, counted), (0, 9), f"exit code and lines under {model}")


def answers_under(program, model, sent):
    with Program(program, "--listen", "127.0.0.1:0", "--model", model) as server:
        client, lines = server.connect()
        with client, lines:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            return lines.read()


def python_hash(line):
    value = 0
    for byte in line:
        value = (value * 31 + byte) & 0xffffffff
    return value


@case_under_every_model
def jobs_are_answered_by_another_thread_in_the_order_of_their_lines(model):
    if model.endswith(("reactor-pool", "proactor-pool")):
        return  # refused: callbacks would share a worker's thread and queue beside one another
    lines = [b"x" * i for i in range(0, 300, 7)]
    check_equal(answers_under("jobs", model, b"".join(line + b"\n" for line in lines)),
                b"".join(b"%d bytes, hash %08x\n" % (len(line), python_hash(line)) for line in lines),
                f"answers under {model}")


@case_under_every_model
def calls_are_answered_by_their_ids(model):
    numbers = [18, 1, 2, 20, 5] * 5
    sent = b"".join(b"%d fib %d\n" % call for call in enumerate(numbers))
    values = {1: 1, 2: 1, 5: 5, 18: 2584, 20: 6765}
    got = answers_under("rpc", model, sent + b"what\n").splitlines()
    check(b"? say ID fib N, N at most 40" in got, f"a wrong call is told under {model}")
    check_equal(sorted(got), sorted([b"%d %d" % (i, values[n]) for i, n in enumerate(numbers)] +
                                    [b"? say ID fib N, N at most 40"]), f"answers under {model}")


@case_under_every_model
def ticker_tells_counters_until_a_key_is_pressed(model):
    with Program("ticker", model) as server:
        client, lines = server.connect()
        with client, lines:
            for _ in range(3):
                check_equal(lines.readline(), b"1 accepted, 1 open\n", f"counters under {model}")
            client.sendall(b"q")
            check(set(lines.read().splitlines()) <= {b"1 accepted, 1 open"}, f"rest under {model}")


@case
def ticker_tells_the_service_manager():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0gearbox-ticker-{os.getpid()}")
        manager.settimeout(PATIENCE_S)
        with Program("ticker", "reactor", environment=os.environ | {"NOTIFY_SOCKET": f"@gearbox-ticker-{os.getpid()}"}) as server:
            lines = manager.recv(4096).decode().split("\n")
            check("READY=1" in lines and f"MAINPID={server.process.pid}" in lines, f"told: {lines}")


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
