"""Servers that others wrote, beside which ours are measured."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from server import PATIENCE_S, Failure, child


def program(name):
    """The path of a server: as a variable of its name in capitals says, or as it is installed; None: it is not."""
    wanted = os.environ.get(name.upper(), name.lower())
    return shutil.which(wanted, path=os.environ.get("PATH", "") + ":/usr/sbin")


class Foreign:
    """A server of others: its configuration in a folder, ready when somebody listens."""

    def __init__(self, name, command, config, cpu, **values):
        self.name = name
        self.folder = tempfile.TemporaryDirectory()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        path = os.path.join(self.folder.name, "config")
        with open(path, "w", encoding="utf-8") as file:
            file.write(config.format(port=self.port, folder=self.folder.name, **values))
        self.process = child([part.format(config=path, folder=self.folder.name) for part in command], {cpu},
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.pid = self.process.pid
        deadline = time.monotonic() + PATIENCE_S
        while not self.listens():
            if self.ended or time.monotonic() > deadline:
                raise Failure(f"{name} does not begin to serve")
            time.sleep(0.01)

    def listens(self):
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def ended(self):
        return self.process.poll() is not None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        self.process.stderr.close()
        self.folder.cleanup()
