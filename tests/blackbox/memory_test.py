#!/usr/bin/env python3
"""The memory of a burst goes back: thousands of connections with output that waits come, and all leave."""

import resource

from lib import Server, case_for_each, check_equal, main, receive_exactly, wait_until
from models import PRESETS

CONNECTIONS = 2000
MESSAGE = bytes(range(256)) * 128  # 32 KiB: more than sockets with buffers so small hold
BUFFER = 4096
STAYS_MAX = 0.1  # of what the burst took


def anonymous_bytes(server):
    """What its processes have for themselves, each page counted once."""
    total = 0
    for pid in server.processes():
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss_Anon:"))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


@case_for_each([model for model in PRESETS if model.axes["engine"] != "blocking"])
def memory_of_a_burst_goes_back(model):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Server(*model.with_workers(2), "--trim-after", "100ms", "--sndbuf", str(BUFFER)) as server:
        with server.connect_small(BUFFER) as client:
            client.sendall(MESSAGE)
            check_equal(receive_exactly(client, len(MESSAGE)), MESSAGE, "the answer")
        before = anonymous_bytes(server)
        clients = [server.connect_small(BUFFER) for _ in range(CONNECTIONS)]
        for client in clients:
            client.sendall(MESSAGE)  # which the server takes, though it cannot answer yet
        least = CONNECTIONS * len(MESSAGE) * 3 // 4
        wait_until(lambda: anonymous_bytes(server) - before > least, "the server holds what it cannot send")
        taken = anonymous_bytes(server) - before
        for client in clients:
            check_equal(receive_exactly(client, len(MESSAGE)), MESSAGE, "the answer")
            client.close()
        wait_until(lambda: anonymous_bytes(server) - before <= taken * STAYS_MAX,
                   f"of {taken / 2**20:.1f} MiB no more than a tenth stays")


if __name__ == "__main__":
    main()
