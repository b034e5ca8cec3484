#!/usr/bin/env python3
"""Clients that others wrote, in their own ways of being right, against servers of every kind.

A table: who wants another client adds a row. Its package goes to `packages_clients` of ./dev; without the command its
rows are skipped, and told. `./dev test` tries a model of each engine, `./dev test clients` all presets.
"""

import collections
import os
import re
import shutil
import subprocess
import tempfile

from lib import PATIENCE_S, Server, add_case, check, main
from models import EACH_ENGINE, PRESETS

MODELS = PRESETS if os.environ.get("BLACKBOX_CLIENTS") == "all" else [
    model for model in EACH_ENGINE if model in PRESETS]

# `command` is what must be installed; `serve` what is served, with its options, where FOLDER is a folder with what `made`
# makes; `talk(server, folder)` runs the client and checks what came of it.
Client = collections.namedtuple("Client", "name command serve talk made", defaults=(None,))


def called(*words, input_bytes=b"", code=0):
    """Run a client to its end: its standard output."""
    done = subprocess.run([str(word) for word in words], input=input_bytes, capture_output=True, check=False,
                          timeout=PATIENCE_S)
    shown = f"{words[0]}: exit code {done.returncode}, {done.stdout[-500:]!r}, {done.stderr[-500:]!r}"
    check(done.returncode == code, f"{shown}; expected {code}")
    return done.stdout.decode(errors="replace")


def curl_reads_a_line(server, _folder):
    text = called("curl", "-sS", "--http0.9", f"http://{server.host}:{server.port}/")
    check(re.search(r"\d\d:\d\d:\d\d", text), f"curl read {text!r}")


CLIENTS = [
    Client("curl", "curl", ("daytime",), curl_reads_a_line),
]


def tried(client, model):
    with tempfile.TemporaryDirectory(prefix="gearbox-clients-") as folder:
        if client.made:
            client.made(folder)
        service, *options = (word.replace("FOLDER", folder) for word in client.serve)
        with Server(*model.arguments, *options, service=service) as server:
            client.talk(server, folder)


def register():
    missing = set()
    for client in CLIENTS:
        if not shutil.which(client.command):
            missing.add(client.command)
            continue
        for model in MODELS:
            add_case(f"{client.name}[{model.spec}]", tried, client, model, waits=True)
    if missing:
        print(f"clients: skipped, not installed: {' '.join(sorted(missing))}", flush=True)


register()
if __name__ == "__main__":
    main()
