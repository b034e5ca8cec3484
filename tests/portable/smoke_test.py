#!/usr/bin/env python3
"""The built-in services on another machine, or another C library: servers and clients under models of each kind."""

import os
import random
import struct
import subprocess

from lib import PATIENCE_S, add_case, case, check, check_equal, main
from program import Program

SERVE = [*os.environ.get("RUN", "").split(), os.environ["SERVE"]]
MODELS = ["iterative", "thread", "thread-pool", "reactor", "reactor,engine=poll", "reactor,engine=select",
          "reactor-pool", "multi-reactor,engine=auto"]
if SERVE[0] == os.environ["SERVE"]:
    MODELS += ["prefork-reactor", "process-pool"]  # qemu has a thread of its own, beside which no worker is forked


def serving(service, model, *arguments):
    return Program(*SERVE, service, "--listen", "127.0.0.1:0", "--model", model, "--log-level", "warning", *arguments)


def talk(service, model, sent, received, *arguments):
    with serving(service, model, *arguments) as server:
        client, replies = server.connect()
        with client, replies:
            client.sendall(sent)
            client.shutdown(1)
            check_equal(replies.read(), received, f"what {service} answers under {model}")


def echoes(model):
    noise = random.Random(model).randbytes(50000)
    talk("echo", model, noise, noise)


def connects(model):
    noise = random.Random(model).randbytes(50000)
    with serving("echo", "reactor") as echo:
        talk("proxy", model, noise, noise, "--set", f"upstream={echo.address}")


def frames(model):
    """Big-endian lengths and numbers, as RFC 868 and the services with lengths have them."""
    talk("time", model, b"", bytes.fromhex("96792480"), "--set", "clock=315532800")
    payload = bytes(range(200))
    request, reply = struct.pack("!IIII", 212, 77, 0, 0) + payload, struct.pack("!II", 204, 77) + payload
    if model == "thread":  # its handlers block
        talk("work", model, request * 3, reply * 3)
    talk("time-echo", model, b"a line\r\nanother\n", b"[Tue Jan  1 00:00:00 1980] a line\n"
         b"[Tue Jan  1 00:00:00 1980] another\n", "--set", "clock=315532800")


os.environ["TZ"] = "UTC"
for each in MODELS:
    add_case(f"echoes[{each}]", echoes, each)
for each in ("thread", "reactor", "reactor,engine=poll"):
    add_case(f"connects[{each}]", connects, each)
for each in ("thread", "reactor"):
    add_case(f"frames[{each}]", frames, each)


@case
def rings_are_refused_where_there_are_none():
    done = subprocess.run([*SERVE, "echo", "--listen", "127.0.0.1:0", "--model", "proactor"], capture_output=True, text=True,
                          check=False, stdin=subprocess.DEVNULL, timeout=PATIENCE_S)
    check(done.returncode == 1 and "io_uring" in done.stderr, f"{done.returncode}: {done.stderr}")


if __name__ == "__main__":
    main()
