"""Clients that hold connections: idle_clients processes, each from a loopback address of its own."""

import os
import select
import subprocess

from server import PATIENCE_S, Failure, child

DESCRIPTORS_APART = 64  # of a process, besides those of connections


def source(number):
    """The first of the loopback addresses of the client process with this number, from 1."""
    return f"127.{1 + number // 250}.0.{1 + number % 250}"


class Holder:
    """One client process. `ask` starts something, `answered` waits for it; so that several work side by side."""

    def __init__(self, build, port, number=1):
        self.process = child([os.path.join(build, "bench/idle_clients"), str(port), source(number)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.held = 0

    def ask(self, word, number):
        try:
            self.process.stdin.write(f"{word} {number}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # `answered` tells why

    def answered(self, seconds=PATIENCE_S):
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            raise Failure(f"a client has no answer after {seconds:.0f} s")
        words = self.process.stdout.readline().split()
        if len(words) != 2:
            raise Failure(self.process.stderr.read().strip() or "a client ended")
        self.held = int(words[1])

    def do(self, word, number):
        self.ask(word, number)
        self.answered()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.process.kill()
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
