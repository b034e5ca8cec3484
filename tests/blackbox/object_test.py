#!/usr/bin/env python3
"""Handlers in shared objects are served and verified as built-in services are; what is no such object is refused."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from lib import (GEARBOX, HOST, PATIENCE_S, Failure, Server, add_case, case, check, check_equal, check_refusal, descendants,
                 descriptors, main, receive_exactly, run)

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = tempfile.TemporaryDirectory()
MODELS = ("thread", "reactor", "prefork", "reactor-pool")
ABI = int(re.search(r"#define GB_ABI ([0-9]+)u", (ROOT / "include/gearbox/types.h").read_text())[1])

SERVICE = """
#include <gearbox/gearbox.h>
static void on_message(struct gb_conn *conn, struct gb_bytes message) { gb_conn_send(conn, message.data, message.size); }
static const struct gb_service service = { %s.name = %s, .state = GB_STATE_NONE, .on_message = on_message };
"""
ECHO = SERVICE % ("GB_SERVICE_INIT, ", '"mine"')
# What an object of another version exports, and a function and a variable that only that version had.
OTHER = ECHO + """
GB_API extern const struct gb_handler gb_handler;
const struct gb_handler gb_handler = { sizeof(gb_handler), %s, %s, 0, "0.0.9", &service };
void gb_was_here(void);
void use_it(void);
void use_it(void) { gb_was_here(); }
"""


def built(name, text, *flags):
    """The path of an object made of a C file."""
    source, target = pathlib.Path(FOLDER.name, f"{name}.c"), pathlib.Path(FOLDER.name, f"{name}.so")
    source.write_text(text)
    done = subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", *flags, f"-I{ROOT}/include", "-o", target,
                           source], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    check_equal(done.returncode, 0, f"exit code of cc ({done.stderr})")
    return str(target)


def example():
    path = pathlib.Path(FOLDER.name, "handler.so")
    if not path.exists():
        built("handler", (ROOT / "examples/handler.c").read_text(), "-std=c17", "-pedantic", "-fvisibility=hidden")
    return str(path)


def greets(model):
    with Server("--model", model, "--set", "greeting=good day", service=example()) as server, server.connect() as client:
        client.sendall(b"you\nand you\n")
        answer = b"good day, you\ngood day, and you\n"
        check_equal(receive_exactly(client, len(answer)), answer, f"answer under {model}")


for each in MODELS:
    add_case(f"is_served[{each}]", greets, each)


@case
def its_settings_are_in_help_and_checked():
    done = run("help", "serve", example())
    check_equal(done.returncode, 0, "exit code of help")
    check("With --watch " in done.stdout, done.stdout)
    check("--set greeting=WORD" in done.stdout and "gearbox serve handler.so --listen" in done.stdout, done.stdout)
    check_refusal(run("serve", example(), "--listen", "127.0.0.1:0", "--set", "greting=x"), (2,), "greeting")


@case
def is_verified_and_compared():
    done = run("verify", example(), "--only", "reactor", "--only", "prefork-reactor", "--only", "thread-pool")
    check_equal((done.returncode, done.stderr), (0, ""), f"exit code and errors of verify ({done.stdout})")
    check(re.search(r"greeter: \d+ combinations, 0 differences", done.stdout), done.stdout)
    done = run("compare", example(), "--models", "reactor,thread", "--rounds", "1", "--duration", "50ms", "--connections", "2")
    check_equal(done.returncode, 0, f"exit code of compare ({done.stdout}{done.stderr})")


@case
def a_plus_plus_object_is_served():
    text = """
#include <gearbox/gearbox.h>
static void on_message(gb_conn *conn, gb_bytes message) { gb_conn_send(conn, message.data, message.size); }
static const gb_service service = [] {
    gb_service made{};
    made.struct_size = sizeof(made);
    made.abi = GB_ABI;
    made.name = "plus";
    made.state = GB_STATE_NONE;
    made.on_message = on_message;
    return made;
}();
GB_HANDLER(service);
"""
    with Server(service=built("plus", text, "-std=c++17", "-x", "c++")) as server, server.connect() as client:
        client.sendall(b"abc")
        check_equal(receive_exactly(client, 3), b"abc", "answer")


ANSWER = SERVICE.replace("gb_conn_send(conn, message.data, message.size)", '(void)message; gb_conn_send(conn, WORD, sizeof(WORD) - 1)') % (
    "GB_SERVICE_INIT, ", '"word"') + "GB_HANDLER(service);"


class Watched:
    """A server that is started anew when its object changes; `path` has the version that is called "one"."""

    def __init__(self, model):
        self.versions = [built(word, ANSWER, f'-DWORD="{word}"') for word in ("one", "two", "three")]
        self.path = pathlib.Path(FOLDER.name, f"watched-{model}.so")
        shutil.copy(self.versions[0], self.path)
        self.process = subprocess.Popen([GEARBOX, "serve", str(self.path), "--watch", "--listen", f"{HOST}:0", "--model", model],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.port = int(re.search(r":(\d+) \(model", self.read_until("serving word on "))[1])

    def read_until(self, text):
        """The line that has it; what does not come ends with the case's time."""
        for line in self.process.stderr:
            if text in line:
                return line
        raise Failure(f"it ended without {text!r}")

    def check_answers(self, word):
        with socket.create_connection((HOST, self.port), timeout=PATIENCE_S) as client:
            client.sendall(b"x")
            check_equal(client.recv(64).decode(), word, "the answer")

    def check_own(self):
        """Whoever serves has nothing of who watches: not what tells of changes and signals, nor the port that is kept."""
        watches = descriptors(self.process.pid)
        standard = {watches.pop(number) for number in (0, 1, 2)}
        for pid in descendants(self.process.pid):
            held = [target for target in descriptors(pid).values() if "inotify" in target or "signalfd" in target
                    or target.startswith(("socket:", "pipe:")) and target in {*watches.values()} - standard]
            check_equal(held, [], "what it holds of who watches")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.stderr.read()
        check_equal(self.process.wait(PATIENCE_S), 0, "exit code")
        self.process.stderr.close()


def is_served_anew(model):
    watched = Watched(model)
    watched.check_answers("one")
    watched.check_own()
    # In another's place, as linkers do it: renamed, and written over.
    shutil.copy(watched.versions[1], f"{watched.path}.new")
    os.rename(f"{watched.path}.new", watched.path)
    watched.read_until(f"{HOST}:{watched.port} ")
    watched.check_answers("two")
    watched.path.write_bytes(b"no object")
    watched.read_until("cannot load")
    watched.read_until("what it was before serves on")
    watched.check_answers("two")
    shutil.copy(watched.versions[2], watched.path)
    watched.read_until(f"{HOST}:{watched.port} ")
    watched.check_answers("three")
    watched.end()


for each in ("reactor", "prefork"):
    add_case(f"is_served_anew_when_it_changes[{each}]", is_served_anew, each)


@case
def who_watches_tells_at_once_that_there_is_nothing_to_serve():
    check_refusal(run("serve", "./none.so", "--watch", "--listen", "127.0.0.1:0"), (2,), "none.so", "No such file")
    check_refusal(run("serve", example(), "--watch", "--listen", "127.0.0.1:0", "--no-such-flag"), (2,), "no-such-flag")
    check_refusal(run("serve", "echo", "--watch", "--listen", "127.0.0.1:0"), (2,), "--watch", "./handler.so")


def refused(path, *words):
    for command in (("serve", path, "--listen", "127.0.0.1:0"), ("verify", path), ("compare", path), ("advise", path)):
        check_refusal(run(*command), (2,), *words)


def is_refused(name, words, text, *flags):
    refused(built(name, text, *flags), *words)


for each, expected, body in (
        ("older", (f"ABI {ABI - 1}", f"this is {ABI}", "build it again"), OTHER % ("GB_ABI - 1", "sizeof(struct gb_service)")),
        ("newer", (f"ABI {ABI + 1}", "build it again"), OTHER % ("GB_ABI + 1", "sizeof(struct gb_service) + 8")),
        ("other_struct", ("0.0.9", "struct gb_service", "build it again"), OTHER % ("GB_ABI", "sizeof(struct gb_service) - 8")),
        ("unknown_function", ("undefined symbol: gb_was_here",), OTHER % ("GB_ABI", "sizeof(struct gb_service)")),
        ("without_handler", ("gb_handler", "GB_HANDLER"), "int unused;"),
        ("without_init", ("GB_SERVICE_INIT",), SERVICE % ("", '"mine"') + "GB_HANDLER(service);"),
        ("without_name", (".name",), SERVICE % ("GB_SERVICE_INIT, ", "NULL") + "GB_HANDLER(service);")):
    add_case(f"is_refused[{each}]", is_refused, each, expected, body)


@case
def what_is_no_object_is_refused():
    for name, content in (("garbage", b"#!/bin/sh\n"), ("empty", b""), ("cut", pathlib.Path(example()).read_bytes()[:2000])):
        path = pathlib.Path(FOLDER.name, name)
        path.write_bytes(content)
        refused(str(path), "cannot load", name)
    refused(os.path.join(FOLDER.name, "none.so"), "none.so", "No such file")
    refused("none.so", "none.so", "No such file")
    refused(FOLDER.name, "is no file")


if __name__ == "__main__":
    main()
