#!/usr/bin/python3
"""The yardsticks must be right before they may be fast: the raw loops echo every byte, and the load
generator notices when a server does not. Argument: the folder of raw_epoll, raw_poll, raw_uring and loadgen."""

import contextlib
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True
import bench

FOLDER = sys.argv[1]
LOOPS = ("raw_epoll", "raw_poll", "raw_uring")
DEADLINE = 30  # seconds: only what never happens takes so long

tests = []


def test(function):
    """Run once as it is."""
    tests.append((function.__name__, lambda: function()))
    return function


def each_loop(function):
    """Run with each raw loop; afterwards it must be alive and hold no connection."""

    def run(name):
        with server(name) as (process, port):
            before = fds(process)
            function(process, port)
            until(lambda: fds(process) == before, "all connections are closed")
            assert process.poll() is None, f"{name} died"

    for name in LOOPS:
        tests.append((f"{function.__name__} ({name})", lambda name=name: run(name)))
    return function


@contextlib.contextmanager
def server(name, *arguments, fd_limit=None):
    def prepare():
        bench.LIBC.prctl(bench.PR_SET_PDEATHSIG, signal.SIGKILL)
        if fd_limit:
            resource.setrlimit(resource.RLIMIT_NOFILE, (fd_limit, fd_limit))

    command = [os.path.join(FOLDER, name), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=prepare)
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def fds(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def until(condition, what):
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.002)


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)


def receive(client, size):
    """Exactly so many bytes, or what comes before the end."""
    parts = []
    while size:
        part = client.recv(min(size, 1 << 20))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def fill(client):
    """Send without reading until nothing goes any more; return what went."""
    sent = bytearray()
    client.setblocking(False)
    stuck = 0
    while stuck < 20:  # the server may still be about to take some
        piece = os.urandom(65536)
        try:
            sent += piece[: client.send(piece)]
            stuck = 0
        except BlockingIOError:
            stuck += 1
            time.sleep(0.005)
    client.settimeout(DEADLINE)
    return bytes(sent)


def loadgen(port, *arguments):
    command = [os.path.join(FOLDER, "loadgen"), *arguments, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * DEADLINE)
    return done, json.loads(done.stdout) if done.stdout else {}


def load_is_right(port, messages, *arguments):
    done, summary = loadgen(port, "--messages", str(messages), *arguments)
    assert done.returncode == 0, done.stderr
    assert summary["messages"] == messages and summary["errors"] == 0, summary


@each_loop
def echoes_small_messages(process, port):
    load_is_right(port, 20000)


@each_loop
def echoes_pipelined_messages(process, port):
    load_is_right(port, 100000, "--depth", "16", "--size", "61")


@each_loop
def echoes_messages_of_one_byte(process, port):
    load_is_right(port, 5000, "--size", "1", "--depth", "3")


@each_loop
def echoes_messages_of_16_kib(process, port):
    load_is_right(port, 5000, "--size", "16384")


@each_loop
def echoes_messages_of_1_mib(process, port):
    load_is_right(port, 300, "--size", "1048576", "--connections", "20")


@each_loop
def echoes_once_a_connection(process, port):
    load_is_right(port, 3000, "--once")


@each_loop
def holds_10000_connections(process, port):
    connections = min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
    load_is_right(port, 30000, "--connections", str(connections // 2), "--idle", str(connections // 2))


@each_loop
def finishes_the_reply_after_a_half_close(process, port):
    with connect(port) as client:
        data = os.urandom(300_000)
        writer = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        writer.start()
        assert receive(client, len(data)) == data
        assert client.recv(1) == b""
        writer.join()


@each_loop
def serves_others_beside_peers_that_do_not_read(process, port):
    greedy = [connect(port) for _ in range(8)]
    sent = [fill(client) for client in greedy]
    load_is_right(port, 2000)
    for client, data in zip(greedy, sent):
        assert receive(client, len(data)) == data
        client.sendall(b"still here")
        assert receive(client, 10) == b"still here"
        client.close()


@each_loop
def survives_resets(process, port):
    for fed in (False, True) * 20:
        client = connect(port)
        if fed:
            fill_a_bit = os.urandom(200_000)
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    client.send(fill_a_bit)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    load_is_right(port, 1000)


def accepts_again_after_descriptors_ran_out(name):
    with server(name, fd_limit=40) as (process, port):
        clients = [connect(port) for _ in range(60)]
        for client in clients:
            client.sendall(b"hello")
        until(lambda: fds(process) == 40, "all descriptors are taken")
        while clients:  # each that leaves makes room for one that waits
            client = clients.pop(0)
            assert receive(client, 5) == b"hello"
            client.close()
        load_is_right(port, 1000, "--connections", "10")


def several_loops_share_one_port(name):
    def held():
        return [len(os.listdir(f"/proc/{member}/fd")) for member in members]

    with server(name, "--loops", "3") as (process, port):
        members = list(bench.process_tree(process.pid))
        assert len(members) == 3, members
        clients = [connect(port) for _ in range(60)]
        for client in clients:
            client.sendall(b"hello")
            assert receive(client, 5) == b"hello"
        shares = held()
        assert sum(shares) > 60 > max(shares), shares
        for client in clients:
            client.close()
        until(lambda: sum(held()) == sum(shares) - 60, "all connections are closed")
        load_is_right(port, 5000)
    until(lambda: not any(os.path.exists(f"/proc/{member}") for member in members), "they end with the first")


for loop in LOOPS:
    for function in (accepts_again_after_descriptors_ran_out, several_loops_share_one_port):
        tests.append((f"{function.__name__} ({loop})", lambda function=function, loop=loop: function(loop)))


@contextlib.contextmanager
def lying_server(lie):
    """Echoes what lie(bytes so far, piece) makes of each piece; None closes."""

    def serve(client):
        total = 0
        with client, contextlib.suppress(OSError):
            while piece := client.recv(65536):
                answer = lie(total, piece)
                if answer is None:
                    return
                total += len(piece)
                client.sendall(answer)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def load_is_wrong(lie, *arguments):
    with lying_server(lie) as port:
        done, summary = loadgen(port, "--connections", "3", "--messages", "300", *arguments)
        assert done.returncode == 1 and done.stderr, done
        assert summary.get("errors", 1) >= 1, summary


def flip(piece):
    return piece[:-1] + bytes([piece[-1] ^ 1])


@test
def loadgen_sees_one_wrong_bit():
    load_is_wrong(lambda total, piece: flip(piece) if total > 2000 else piece)


@test
def loadgen_sees_a_wrong_first_echo():
    load_is_wrong(lambda total, piece: flip(piece))


@test
def loadgen_sees_a_doubled_piece():
    load_is_wrong(lambda total, piece: piece * 2 if total > 2000 else piece)


@test
def loadgen_sees_swapped_messages():
    load_is_wrong(lambda total, piece: piece[len(piece) // 2:] + piece[: len(piece) // 2] if total else piece,
                  "--depth", "2")


@test
def loadgen_sees_an_early_end():
    load_is_wrong(lambda total, piece: piece if total < 2000 else None)


@test
def loadgen_sees_a_wrong_bit_of_a_short_connection():
    load_is_wrong(lambda total, piece: flip(piece), "--once")


@test
def loadgen_sees_an_end_of_a_short_connection():
    load_is_wrong(lambda total, piece: None, "--once")


@test
def loadgen_sees_that_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for arguments in ([], ["--once", "--messages", "10"]):
        done, _ = loadgen(port, *arguments)
        assert done.returncode == 1 and done.stderr, done


@test
def loadgen_refuses_wrong_usage():
    for arguments in (["--size", "0"], ["--depth", "many"], ["--nonsense"], ["--once", "--idle", "5"]):
        done, _ = loadgen(1, *arguments)
        assert done.returncode == 2 and done.stderr, arguments


@test
def cpu_time_counts_ended_threads_and_children():
    program = """
import os, sys, threading, time
def burn(clock):
    end = time.clock_gettime(clock) + 0.05
    while time.clock_gettime(clock) < end: pass
thread = threading.Thread(target=burn, args=(time.CLOCK_THREAD_CPUTIME_ID,)); thread.start(); thread.join()
reaped = os.fork()
if not reaped: burn(time.CLOCK_PROCESS_CPUTIME_ID); os._exit(0)
os.waitpid(reaped, 0)
living, wake = os.pipe()
if not os.fork(): burn(time.CLOCK_PROCESS_CPUTIME_ID); print("burnt", flush=True); os.close(wake); os.read(living, 1); os._exit(0)
sys.stdin.read()
"""
    command = ["/usr/bin/python3", "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "burnt\n"
        total = bench.cpu_ns(process.pid)
        process.stdin.close()
    # Three times 50 ms, of which the reaped child's may be cut by two ticks.
    assert total >= 150e6 - 2e9 / bench.TICKS, total


@test
def a_server_is_ready_when_it_says_so():
    program = """
import signal, sys
print("gearbox: engine auto is epoll here", file=sys.stderr)
print("gearbox: serving echo on 127.0.0.1:4711 (model reactor, pid 1)", file=sys.stderr)
for number in range(10000): print("more than a pipe holds", file=sys.stderr)
print("through", flush=True)
signal.pause()
"""
    command = ["/usr/bin/python3", "-c", program]
    cpu = min(os.sched_getaffinity(0))
    with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):
        server = bench.Server("talker", command, bench.GEARBOX_READY, cpu, stdout=subprocess.PIPE)
        try:
            assert server.port == "4711"
            assert server.process.stdout.readline() == "through\n"
        finally:
            server.stop()
            server.reader.join()
            server.process.stdout.close()


@test
def a_server_that_ends_early_is_reported():
    try:
        bench.Server("mute", ["/bin/true"], bench.GEARBOX_READY, min(os.sched_getaffinity(0)))
    except bench.Failure as failure:
        assert "mute" in str(failure)
    else:
        raise AssertionError("not reported")


@test
def ratios_are_within_a_round():
    def rounds(*values):
        return [{"cpu_us_per_message": value} for value in values]

    results = {"raw_epoll": rounds(1, 10, 4), "raw_epoll again": rounds(1, 20, 2)}
    assert [row for row in bench.ratios_of(results)] == [("raw_epoll again", "raw_epoll", [1, 2, 0.5])]
    assert bench.spread([1, 2, 0.5]) == (1, 0.75, 1.5)


@test
def the_bench_reports_what_it_measured():
    if len(os.sched_getaffinity(0)) < 2:
        print("one CPU only: not run")
        return
    cpus = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:2])
    with open(os.memfd_create("report"), "w+") as report:
        path = f"/proc/{os.getpid()}/fd/{report.fileno()}"
        command = ["/usr/bin/python3", "-B", bench.__file__, "--build", os.path.dirname(os.path.normpath(FOLDER)),
                   "--rounds", "3", "--seconds", "0.02", "--load", "50x64B", "--load", "once", "--cpus", cpus,
                   "--subject", "raw_epoll", "--subject", "raw_epoll again", "--json", path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=4 * DEADLINE)
        assert done.returncode == 0, done.stderr
        written = json.load(report)
    assert set(written["loads"]) == {"50x64B", "once"}
    assert written["machine"]["kernel"] in done.stdout and written["machine"]["cpu"] in done.stdout
    for load in written["loads"].values():
        assert all(one["cpu_us_per_message"] > 0 for one in load["subjects"]["raw_epoll"])
        (ratio,) = load["ratios"]
        assert len(ratio["values"]) == 3 and ratio["lower_quartile"] <= ratio["median"] <= ratio["upper_quartile"]
        assert f"{ratio['median']:.3f}" in done.stdout


def io_uring_is_refused():
    """By a seccomp filter, a sysctl or an old kernel; anything else that keeps it from starting is a failure."""
    with subprocess.Popen([os.path.join(FOLDER, "raw_uring")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        if process.stdout.readline():
            process.kill()
            return False
        said = process.stderr.read()
    return "not permitted" in said or "not implemented" in said


def main():
    if io_uring_is_refused():
        print("io_uring, which raw_uring and loadgen need, is refused here: not run\n0 passed, 0 failed")
        return 0
    failed = 0
    for name, run in tests:
        try:
            run()
            print(f"ok   {name}", flush=True)
        except Exception:
            failed += 1
            traceback.print_exc(limit=-2)
            print(f"FAIL {name}", flush=True)
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
