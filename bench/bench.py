#!/usr/bin/python3
"""Server CPU time per message, against hand-written loops, as ratios within one run.

The server is pinned to one CPU and the load generator to another. All servers stay up; the load visits
them in turn, in short rounds, so that whatever disturbs the machine disturbs them all. What counts is the
median over the rounds of the ratio within a round. Each raw loop runs twice, as two subjects: how far
their ratio strays from 1 is the noise, and smaller differences mean nothing.
"""

import argparse
import ctypes
import datetime
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))

# Servers: name, command, the port in what it prints when it is ready. A peer or a model is one more row.
RAW_READY = (r"^(\d+)$", "stdout")
GEARBOX_READY = (r"^gearbox: serving echo on 127\.0\.0\.1:(\d+) ", "stderr")
SUBJECTS = [
    ("raw_epoll", ["{bench}/raw_epoll"], RAW_READY),
    ("raw_epoll again", ["{bench}/raw_epoll"], RAW_READY),
    ("raw_uring", ["{bench}/raw_uring"], RAW_READY),
    ("raw_uring again", ["{bench}/raw_uring"], RAW_READY),
    ("reactor", ["{gearbox}", "serve", "echo", "--listen", "127.0.0.1:0", "--model", "reactor"], GEARBOX_READY),
    ("proactor", ["{gearbox}", "serve", "echo", "--listen", "127.0.0.1:0", "--model", "proactor"], GEARBOX_READY),
]
RATIOS = [
    ("reactor", "raw_epoll"),
    ("proactor", "raw_uring"),
    ("raw_uring", "raw_epoll"),
    ("raw_epoll again", "raw_epoll"),
    ("raw_uring again", "raw_uring"),
]
LOADS = [
    ("50x64B", "50 connections, 64 B", ["--connections", "50"]),
    ("1000x64B", "1000 connections, 64 B", ["--connections", "1000"]),
    ("50x64Bx16", "50 connections, 64 B, 16 in flight", ["--connections", "50", "--depth", "16"]),
    ("50x16KiB", "50 connections, 16 KiB", ["--connections", "50", "--size", "16384"]),
    ("once", "50 at a time: connect, 64 B, close", ["--connections", "50", "--once"]),
    ("50+5000idle", "50 connections, 64 B, beside 5000 idle", ["--connections", "50", "--idle", "5000"]),
]

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60  # seconds for anything to answer


class Failure(Exception):
    pass


def say(text):
    print(text, file=sys.stderr, flush=True)


def child(command, cpu, **streams):
    """Start a command on one CPU; it ends when this process does."""

    def prepare():
        os.sched_setaffinity(0, {cpu})
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return subprocess.Popen(command, preexec_fn=prepare, text=True, **streams)


def process_tree(pid):
    yield pid
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                children = file.read().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for number in children:
            yield from process_tree(int(number))


def cpu_ns(pid):
    """CPU time of a process, its threads and its descendants, the ended ones included.

    A process's clock is exact to the nanosecond and counts ended threads; reaped children are known to
    the tick only, which matters to a process per connection alone.
    """
    total = 0
    for member in process_tree(pid):
        try:
            total += time.clock_gettime_ns(~member << 3 | 2)  # CPUCLOCK_SCHED, see clock_getcpuclockid(3)
            with open(f"/proc/{member}/stat") as file:
                reaped = file.read().rpartition(")")[2].split()[13:15]
        except (OSError, IndexError):
            continue  # ended just now: the next reading finds it with its parent
        total += sum(map(int, reaped)) * 1_000_000_000 // TICKS
    return total


def settled_cpu_ns(pid):
    """The same once it stands still: what was asked of the server is then done."""
    before = cpu_ns(pid)
    for _ in range(100):
        time.sleep(0.001)
        now = cpu_ns(pid)
        if now == before:
            break
        before = now
    return before


class Server:
    def __init__(self, name, command, ready, cpu, **streams):
        pattern, stream = ready
        streams[stream] = subprocess.PIPE
        self.name = name
        self.process = child(command, cpu, stdin=subprocess.DEVNULL, **streams)
        output = getattr(self.process, stream)
        for line in output:
            found = re.match(pattern, line)
            if found:
                self.port = found.group(1)
                break
            self.pass_on(line)
        else:
            self.stop()
            raise Failure(f"{name} ended before it was ready: {' '.join(command)}")
        # Whoever has more to say must not wait for a reader.
        self.reader = threading.Thread(target=self.pass_on_all, args=(output,), daemon=True)
        self.reader.start()

    def pass_on(self, line):
        sys.stderr.write(f"{self.name}: {line}")

    def pass_on_all(self, output):
        with output:
            for line in output:
                self.pass_on(line)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def expect(process, word):
    line = process.stdout.readline()
    if line.strip() != word:
        raise Failure(f"the load generator said {line.strip()!r} instead of {word!r}")


def measure(server, arguments, options):
    """One round of one subject."""
    command = [f"{options.build}/bench/loadgen", "--wait", "--seconds", str(options.seconds), *arguments, server.port]
    if options.spin:
        command.insert(1, "--spin")
    load = child(command, options.cpus[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        expect(load, "ready")
        before = settled_cpu_ns(server.process.pid)
        load.stdin.write("\n")
        load.stdin.flush()
        expect(load, "done")
        used = settled_cpu_ns(server.process.pid) - before
        summary, _ = load.communicate("\n", timeout=PATIENCE)
        if load.returncode != 0:
            raise Failure(f"the load generator failed: {summary.strip()}")
    except (BrokenPipeError, subprocess.TimeoutExpired, Failure) as failure:
        raise Failure(f"{server.name} under {' '.join(arguments)}: {failure}") from failure
    finally:
        load.kill()
        load.wait()
    result = json.loads(summary)
    if not result["messages"] or server.process.poll() is not None:
        raise Failure(f"{server.name} under {' '.join(arguments)}: no message was answered")
    return {
        "cpu_us_per_message": used / 1000 / result["messages"],
        "messages_per_second": result["messages"] / result["seconds"],
        "server_busy": used / 1e9 / result["seconds"],
        "load_busy": result["cpu_seconds"] / result["seconds"],
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
    }


def run_load(servers, name, arguments, options):
    """All rounds of one load: {subject: [a result a round]}."""
    results = {server.name: [] for server in servers}
    for number in range(options.rounds):
        turn = number % len(servers)
        order = servers[turn:] + servers[:turn]
        if number % 2:
            order.reverse()  # nobody always follows the same neighbour
        for server in order:
            results[server.name].append(measure(server, arguments, options))
        say(f"{name}: round {number + 1} of {options.rounds}")
    return results


def spread(values):
    """Median and quartiles."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    first, middle, third = statistics.quantiles(values, n=4, method="inclusive")
    return middle, first, third


def ratios_of(results):
    for subject, base in RATIOS:
        if subject in results and base in results:
            pairs = zip(results[subject], results[base])
            values = [one["cpu_us_per_message"] / other["cpu_us_per_message"] for one, other in pairs]
            yield subject, base, values


def print_load(name, text, results):
    print(f"\n{name}: {text}")
    print(f"  {'subject':<16} {'CPU µs/message':>14} {'messages/s':>11} {'server busy':>11} "
          f"{'load busy':>9} {'p50 µs':>9} {'p99 µs':>9}")
    for subject, rounds in results.items():
        middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        print(f"  {subject:<16} {middle['cpu_us_per_message']:>14.3f} {middle['messages_per_second']:>11,.0f} "
              f"{middle['server_busy']:>11.0%} {middle['load_busy']:>9.0%} {middle['p50_us']:>9,.0f} "
              f"{middle['p99_us']:>9,.0f}")


def print_ratios(all_results):
    print("\nCPU time per message, ratio within a round: median (quartiles); \"again\": the noise")
    print(f"  {'load':<12} {'ratio':<28} {'median':>7}   quartiles")
    for name, results in all_results.items():
        for subject, base, values in ratios_of(results):
            middle, first, third = spread(values)
            print(f"  {name:<12} {subject + ' / ' + base:<28} {middle:>7.3f}   {first:.3f} … {third:.3f}")
            name = ""


def machine(options):
    model = "unknown"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "cpu": model,
        "cpus": os.cpu_count(),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "server_cpu": options.cpus[0],
        "load_cpu": options.cpus[1],
        "spin": options.spin,
    }


def as_json(about, loads, all_results):
    texts = {name: (text, arguments) for name, text, arguments in loads}
    return {
        "machine": about,
        "loads": {
            name: {
                "text": texts[name][0],
                "arguments": texts[name][1],
                "subjects": results,
                "ratios": [
                    dict(zip(("median", "lower_quartile", "upper_quartile"), spread(values)),
                         subject=subject, base=base, values=values)
                    for subject, base, values in ratios_of(results)
                ],
            }
            for name, results in all_results.items()
        },
    }


def chosen(rows, names, what):
    if not names:
        return list(rows)
    known = [row[0] for row in rows]
    for name in names:
        if name not in known:
            raise Failure(f"no {what} {name}; there are: {', '.join(known)}")
    return [row for row in rows if row[0] in names]


def start_servers(subjects, options):
    servers = []
    try:
        for name, command, ready in subjects:
            places = {"bench": f"{options.build}/bench", "gearbox": options.gearbox}
            command = [part.format(**places) for part in command]
            if not os.access(command[0], os.X_OK):
                raise Failure(f"{name}: there is no {command[0]}; build it first, or choose --subjects")
            servers.append(Server(name, command, ready, options.cpus[0]))
    except BaseException:
        for server in servers:
            server.stop()
        raise
    return servers


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", action="append", metavar="NAME",
                        help=f"only this one, may be repeated: {', '.join(row[0] for row in LOADS)}")
    parser.add_argument("--subject", action="append", metavar="NAME",
                        help=f"only this one, may be repeated: {', '.join(row[0] for row in SUBJECTS)}")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.35, help="of load, a round and subject")
    parser.add_argument("--cpus", default="0,1", metavar="S,L", help="for the servers, for the load")
    parser.add_argument("--spin", action="store_true", help="the load generator never sleeps")
    parser.add_argument("--json", metavar="FILE", help="write everything measured")
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"), metavar="FOLDER")
    parser.add_argument("--gearbox", metavar="FILE", help="the command, if not the one of the build folder")
    options = parser.parse_args()
    try:
        options.cpus = [int(cpu) for cpu in options.cpus.split(",")]
    except ValueError:
        options.cpus = []
    allowed = os.sched_getaffinity(0)
    if len(options.cpus) != 2 or not allowed.issuperset(options.cpus):
        parser.error(f"--cpus: two of {sorted(allowed)} are needed, as in 0,1")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be above 0")
    options.build = os.path.normpath(options.build)
    options.gearbox = options.gearbox or os.path.join(options.build, "gearbox")
    return options


def main():
    options = parse_arguments()
    try:
        loads = chosen(LOADS, options.load, "load")
        servers = start_servers(chosen(SUBJECTS, options.subject, "subject"), options)
    except Failure as failure:
        say(f"bench: {failure}")
        return 2
    about = machine(options)
    all_results = {}
    try:
        print(f"{about['kernel']}, {about['cpu']}, {about['cpus']} CPUs, {about['date']}, "
              f"{about['rounds']} rounds of {about['seconds']} s; server on CPU {about['server_cpu']}, "
              f"load on CPU {about['load_cpu']}", flush=True)
        for name, text, arguments in loads:
            all_results[name] = run_load(servers, name, arguments, options)
            print_load(name, text, all_results[name])
            sys.stdout.flush()
        print_ratios(all_results)
        if options.json:
            with open(options.json, "w") as file:
                json.dump(as_json(about, loads, all_results), file, indent=1)
    except (Failure, OSError) as failure:
        say(f"bench: {failure}")
        return 1
    finally:
        for server in servers:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
