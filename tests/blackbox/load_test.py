#!/usr/bin/env python3
"""`gearbox load`: right replies are counted, each kind of wrong one is found, and it always comes to an end."""

import base64
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import zlib

import quota
from certificates import TLS, made_once, make_tls
from lib import GEARBOX, PATIENCE_S, Server, case, check, check_equal, check_refusal, main, readable_of, run
from loads import DOUBTFUL, NO_ERRORS, FaultyServer, after, load


@case
def counts_what_it_sends():
    with Server() as server:
        result = load(server.address, "--messages", "1000", "--connections", "20", "--size", "100", "--depth", "3")
    check_equal(result["messages"], 1000, "messages")
    check_equal(result["sent"], 1000, "sent")
    check_equal(result["bytes"], 100000, "bytes")
    check_equal(result["opened"], 20, "opened")
    check_equal(result["errors"], NO_ERRORS, "errors")
    latency = result["latency_ns"]
    check(0 < latency["min"] <= latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p99_9"]
          <= latency["max"], f"quantiles rise: {latency}")
    check(latency["min"] <= latency["mean"] <= latency["max"], f"the mean lies between: {latency}")
    check_equal(latency["p99_99"], None, "a percentile that a thousand samples do not have")
    check_equal(result["tls"], None, "what it says of TLS")
    check_equal(result["response_ns"], latency, "response times are the latencies")
    check_equal(result["service_ns"], latency, "in a closed loop both are the same")
    check_equal((result["timeouts"], result["offered_per_second"]), (0, None), "timeouts and rate of a closed loop")
    check(result["cpu_seconds"] > 0, "CPU time")


def decoded(text):
    """The upper ends and counts of a histogram in HdrHistogram's format: as its other readers read it, two digits."""
    packed = base64.b64decode(text)
    cookie, length = struct.unpack(">II", packed[:8])
    data = zlib.decompress(packed[8:])
    check_equal((cookie & ~0xf0, length), (0x1c849304, len(packed) - 8), "cookie and length of the packed form")
    cookie, length, shift, digits, lowest, _, _ = struct.unpack(">IIiIqqd", data[:40])
    check_equal((cookie & ~0xf0, length, shift, digits, lowest), (0x1c849303, len(data) - 40, 0, 2, 1), "header")
    counts, index, number, bits = [], 0, 0, 0
    for byte in data[40:]:
        number |= (byte & 0x7f if bits < 56 else byte) << bits
        bits += 7
        if byte < 0x80 or bits == 63:
            count = (number >> 1) ^ -(number & 1)
            if count > 0:
                run, place = divmod(index, 128)
                counts.append((((place + 128 + 1) << (run - 1)) - 1 if run else place, count))
            index += -count if count < 0 else 1
            number = bits = 0
    return counts


@case
def its_histogram_is_the_interchange_format():
    with Server() as server:
        result = load(server.address, "--messages", "1000")
    counts = decoded(result["histogram"])
    check_equal(sum(count for _, count in counts), 1000, "values")
    seen = 0
    for top, count in counts:
        seen += count
        if seen >= 500:
            check_equal(result["response_ns"]["p50"], top, "the median")
            break


@case
def too_few_samples_are_told_first_and_by_the_exit_code():
    with FaultyServer(lambda _, data: data) as server:
        runs = (run("load", server.address, "--duration", f"{ms}ms", "--connections", "1") for ms in (1, 10, 100, 1000))
        done = next(one for one in runs if "latency" in one.stdout)  # a busy machine gives it no time at all at first
        check_equal(done.returncode, DOUBTFUL, "exit code")
        check(done.stdout.startswith("WARNING (samples): "), done.stdout)
        check("p99.99" not in done.stdout.split("latency")[1], f"it tells no such percentile: {done.stdout}")
        check("not to be trusted" in done.stderr, done.stderr)
        check_equal(done.stderr.count("\n"), 1, "lines on standard error")


@case
def a_rate_that_is_not_answered_is_told_first_and_by_the_exit_code():
    """Of 200 requests a millisecond apart each takes 5, whatever else the machine does."""
    def slowly(_, data):
        time.sleep(0.005)
        return data

    with FaultyServer(slowly) as server:
        done = run("load", server.address, "--rate", "1000", "--messages", "200", "--connections", "1")
    check_equal(done.returncode, DOUBTFUL, "exit code")
    check(done.stdout.startswith("WARNING (missed-rate): ") and "1000/s were to be sent" in done.stdout, done.stdout)
    check("not to be trusted" in done.stderr, done.stderr)


@case
def a_quota_that_stopped_the_generator_is_told_first_and_by_the_exit_code():
    """It has a fiftieth of a CPU: a millisecond, and then none for 49."""
    try:
        with quota.group(0.02) as processes, FaultyServer(lambda _, data: data) as server:
            def enter():
                with open(processes, "w", encoding="ascii") as file:
                    file.write("0")

            done = run("load", server.address, "--messages", "500", "--connections", "4", before_exec=enter)
    except OSError as error:
        print(f"skipped: no quota can be set here: {error}", flush=True)
        return
    check_equal(done.returncode, DOUBTFUL, "exit code")
    check("WARNING (throttled): a CPU quota stopped the generator for " in done.stdout, done.stdout)


@case
def prints_a_summary():
    with Server() as server:
        done = run("load", server.address, "--messages", "10")
    check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
    for word in ("10 messages", "p90", "errors     none"):
        check(word in done.stdout, f"{word!r} is in the summary: {done.stdout}")


@case
def waits_in_the_backlog_of_a_server_that_serves_one_at_a_time():
    with Server("--model", "iterative") as server:
        result = load(server.address, "--connections", "30", "--messages-per-connection", "20")
    check_equal(result["messages"], 600, "messages")


@case
def ends_in_order_although_connections_still_wait_for_their_turn():
    with Server("--model", "iterative") as server:
        result = load(server.address, "--connections", "30", "--duration", "100ms")
    check_equal(result["messages"], result["sent"], "messages")


@case
def reconnects():
    with Server() as server:
        result = load(server.address, "--connections", "5", "--messages-per-connection", "2", "--reconnect",
                      "--messages", "200")
    check_equal(result["messages"], 200, "messages")
    check(result["opened"] >= 100, f"opened {result['opened']} connections for 200 messages, two each")


@case
def messages_larger_than_every_buffer():
    with Server() as server:
        result = load(server.address, "--connections", "4", "--size", "3MiB", "--depth", "3", "--messages", "24")
    check_equal(result["bytes"], 24 * 3 << 20, "bytes")


@case
def every_engine_of_its_own():
    with Server() as server:
        for engine in ("auto", "epoll", "poll", "select"):
            result = load(server.address, "--engine", engine, "--messages", "500")
            check_equal(result["messages"], 500, f"messages on {engine}")
            check(engine in ("auto", result["engine"]), f"the engine is {result['engine']}, not {engine}")


@case
def lines_with_the_time():
    with Server(service="time-echo") as server:
        for size in (1, 2, 64, 5000):
            result = load(server.address, "--protocol", "time-echo", "--size", str(size), "--messages", "300")
            check_equal(result["bytes"], 300 * (27 + size), "bytes")


@case
def lines_are_counted_or_compared():
    with Server(service="time-echo") as server:
        server_line = ("--protocol", "line", "--messages", "300")
        check_equal(load(server.address, *server_line)["messages"], 300, "made up lines")
        result = load(server.address, *server_line, "--message", "one", "--message", "two\\r\\n", "--depth", "3")
        check_equal(result["bytes"], 300 * (27 + 4), "bytes")
        wrong = load(server.address, *server_line, "--message", "one", "--expect", "two", code=1)
        check("expected 0x74" in wrong["stderr"], f"{wrong['stderr']!r}")
    with Server("--set", "clock=1492689600", service="time-echo") as server:
        load(server.address, *server_line, "--message", "one", "--expect", "[Thu Apr 20 12:00:00 2017] one")
        load(server.address, *server_line, "--message", "a\\nb", "--expect",
             "[Thu Apr 20 12:00:00 2017] a\\n[Thu Apr 20 12:00:00 2017] b")
        load(server.address, *server_line, "--message", "a\\nb", "--reply-lines", "2")


@case
def messages_of_ones_own_come_back():
    with tempfile.NamedTemporaryFile("w") as file, Server() as server:
        file.write("short\n\nthe second is longer\\x00\\xff\n")
        file.flush()
        result = load(server.address, "--message-file", file.name, "--message", "x", "--messages", "300", "--depth", "5",
                      "--connections", "1")
        check_equal(result["bytes"], 100 * (5 + 23 - 1 + 1), "bytes")
        text = run("load", server.address, "--message", "x", "--messages", "30").stdout
        check("1 message of one's own" in text, text)


@case
def a_server_that_waits_for_a_line_is_given_up_with_a_hint():
    """As soon as the time is over, not after the timeout."""
    with Server(service="time-echo") as server:
        server.expected_log = "notice"
        began = time.monotonic()
        done = run("load", server.address, "--message", "no end", "--duration", "1s", "--connections", "3",
                   "--timeout", "1h")
        check_equal(done.returncode, 1, "exit code")
        check("--protocol line" in done.stderr and "3 messages unanswered" in done.stderr, f"{done.stderr!r}")
        check(time.monotonic() - began < PATIENCE_S, "it ends long before its timeout")
        check("unanswered" not in done.stdout, f"errors are told once: {done.stdout!r}")


@case
def figures_are_written_for_people():
    with Server() as server:
        for size in ("1", "100KiB"):
            text = run("load", server.address, "--messages", "10", "--connections", "1", "--size", size).stdout
            check("e+" not in text and " 0.00 " not in text, text)
            check(re.search(r"rate +[0-9.]+/s, [0-9.]+ ([KMG]i)?B/s", text), text)


@case
def few_descriptors_are_enough_for_few_connections():
    with Server() as server:
        done = run("load", server.address, "--connections", "5", "--messages", "50",
                   before_exec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
        check_equal((done.returncode, done.stderr), (0, ""), "exit code and standard error")


@case
def unix_sockets():
    with tempfile.TemporaryDirectory() as folder, Server(listen=(f"unix:{folder}/socket",)) as server:
        check_equal(load(server.address, "--messages", "500")["messages"], 500, "messages")


@case
def finds_a_wrong_byte():
    with FaultyServer(after(100, lambda _, data: data[:-1] + bytes([data[-1] ^ 1]))) as server:
        result = load(server.address, "--connections", "5", "--duration", "10s", code=1)
    check_equal(result["errors"]["wrong_replies"], 5, "wrong replies")
    check("expected 0x" in result["stderr"], f"it says what was expected: {result['stderr']!r}")
    check("--protocol line" in result["stderr"], f"it says what else to try: {result['stderr']!r}")


@case
def finds_surplus_bytes():
    with FaultyServer(after(100, lambda _, data: data + b"x")) as server:
        result = load(server.address, "--connections", "5", "--duration", "10s", code=1)
    check_equal(result["errors"]["wrong_replies"], 5, "wrong replies")


@case
def finds_a_wrong_time():
    def answer(_, data):
        return b"[Thu Apr 20 12:00:61 2017] " + data

    with FaultyServer(answer) as server:
        result = load(server.address, "--protocol", "time-echo", "--connections", "1", code=1)
    check("expected a time" in result["stderr"], f"it says what was expected: {result['stderr']!r}")


@case
def finds_an_early_end():
    with FaultyServer(after(100, lambda *_: None)) as server:
        result = load(server.address, "--connections", "5", "--duration", "10s", code=1)
    check_equal(result["errors"]["closed_early"], 5, "closed early")
    check_equal(result["errors"]["unanswered"], 5, "unanswered")


@case
def finds_a_reset():
    def reset(connection, _):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with FaultyServer(after(100, reset)) as server:
        result = load(server.address, "--connections", "5", "--duration", "10s", code=1)
    check_equal(result["errors"]["closed_early"], 5, "closed early")
    check("reset" in result["stderr"], f"it says how: {result['stderr']!r}")


@case
def an_open_loop_sends_what_is_due():
    with Server() as server:
        for more in ((), ("--arrivals", "poisson"), ("--threads", "2", "--reconnect", "--messages-per-connection", "3")):
            result = load(server.address, "--rate", "4000", "--messages", "400", "--connections", "8", *more)
            check_equal((result["sent"], result["messages"]), (400, 400), f"messages {more}")
            check_equal(result["offered_per_second"], 4000, "offered")
            check(result["service_ns"]["p50"] <= result["response_ns"]["p50"], "service is part of response")
        result = load(server.address, "--rate", "1000..3000", "--duration", "500ms", "--arrivals", "poisson")
        check_equal(result["offered_per_second"], 2000, "offered on average")
        check_equal(result["sent"], result["messages"], "messages")
        text = run("load", server.address, "--rate", "1000", "--messages", "10").stdout
        check("response " in text and "service " in text and "evenly spaced" in text, text)


@case
def an_open_loop_leaves_out_no_request_that_a_stall_held_up():
    """400 requests, one a millisecond; the first is answered after half a second. So request i waits for 500 - i ms at
    least, and half of them for 300: whatever else the machine does makes it more."""
    stalled = threading.Event()

    def stall_once(_, data):
        if not stalled.is_set():
            stalled.set()
            time.sleep(0.5)
        return data

    with FaultyServer(stall_once) as server:
        result = load(server.address, "--rate", "1000", "--messages", "400", "--connections", "1")
    response, service = result["response_ns"], result["service_ns"]
    for part, quantile in ((0.5, "p50"), (0.75, "p75"), (0.9, "p90"), (0.99, "p99")):
        least = (500 - 400 * (1 - part) - 1) * 1e6
        check(response[quantile] >= least, f"{quantile} of {response} is below {least}")
    check(service["p50"] < response["p50"], "the server was quick for most: its service times do not show the stall")


@case
def a_reply_that_does_not_come_is_timed_out_and_counts():
    with FaultyServer(after(20, lambda *_: b"")) as server:
        result = load(server.address, "--reply-timeout", "200ms", "--messages", "30", "--connections", "2", code=1)
    check_equal((result["messages"], result["timeouts"], result["errors"]["unanswered"]), (20, 10, 10), "counts")
    check(result["response_ns"]["max"] >= 200e6, "the histogram has what they waited")
    check(result["opened"] > 2, "others take the places of dropped connections")
    check("timed out" in result["stderr"], result["stderr"])


@case
def what_is_due_but_never_answered_counts_with_its_waiting_time():
    with FaultyServer(lambda *_: b"") as server:
        result = load(server.address, "--rate", "100", "--duration", "300ms", "--connections", "1", "--timeout", "500ms",
                      code=1)
    check_equal(result["messages"], 0, "messages")
    check(29 <= result["sent"] <= 31 and result["timeouts"] == result["sent"], f"all were due: {result}")
    check(result["response_ns"]["p50"] >= 300e6, f"they waited: {result['response_ns']}")


@case
def several_threads_share_the_load():
    with Server() as server:
        for more in (("--threads", "3"), ("--model", "multi-reactor,workers=2"), ("--model", "proactor")):
            result = load(server.address, *more, "--connections", "10", "--messages", "1001")
            check_equal((result["messages"], result["opened"]), (1001, 10), f"messages {more}")
        check_equal(result["threads"], 1, "threads")


@case
def what_comes_before_the_measured_time_does_not_count():
    with Server() as server:
        result = load(server.address, "--connections", "6", "--ramp", "200ms", "--warm-up", "100ms", "--duration", "200ms")
    check_equal((result["opened"], result["sent"]), (6, result["messages"]), "connections and messages")
    check(result["seconds"] < 20, f"seconds: {result['seconds']}")
    heard = []
    with FaultyServer(lambda _, data: heard.append(len(data)) or data) as server:
        result = load(server.address, "--connections", "1", "--warm-up", "100ms", "--duration", "100ms")
    check(sum(heard) / 64 > result["sent"], f"{result['sent']} messages count of {sum(heard)} bytes that were sent")


@case
def work_is_answered_in_any_order():
    """Of 16 threads of a pool each sleeps for as long as its request says: replies overtake one another."""
    with Server("--model", "reactor-pool,compute-workers=4", service="work") as server:
        for more in (("--depth", "1"), ("--depth", "8", "--block-us", "300"), ("--rate", "2000", "--depth", "4")):
            result = load(server.address, "--protocol", "work", "--messages", "400", "--connections", "4", *more)
            check_equal(result["bytes"], 400 * (64 - 8), f"bytes {more}")
        check_equal(load(server.address, "--protocol", "work", "--size", "1", "--messages", "50")["bytes"], 50 * 8,
                    "a request has at least its header")


@case
def a_second_reply_to_the_same_work_is_found():
    def twice(_, data):
        reply = struct.pack(">I", len(data) - 16 + 4) + data[4:8] + data[16:]
        return reply + reply

    with FaultyServer(twice) as server:
        result = load(server.address, "--protocol", "work", "--connections", "1", "--messages", "5", code=1)
    check_equal(result["errors"]["wrong_replies"], 1, "wrong replies")


def over_tls(*more):
    return ("--tls", "--tls-ca", f"{made_once(make_tls).name}/ca.pem", "--tls-name", "localhost", *more)


@case
def http_is_spoken():
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    def answer(_, data):
        return page * data.count(b"\r\n\r\n")

    with FaultyServer(answer, tls=True) as server:
        for more in ((), ("--depth", "4"), ("--expect", "hello"), ("--messages-per-connection", "1", "--reconnect"),
                     over_tls("--depth", "4")):
            result = load(server.address, "--protocol", "http", "--messages", "200", "--connections", "4", *more)
            check_equal(result["bytes"], 200 * len(page), f"bytes {more}")
        result = load(server.address, "--protocol", "http", "--expect", "hallo", "--messages", "200", code=1)
        check("0x65, expected 0x61" in result["stderr"], result["stderr"])
    with FaultyServer(lambda *_: b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as server:
        result = load(server.address, "--protocol", "http", "--messages", "5", "--method", "POST", code=1)
        check("503 Busy" in result["stderr"] and "2xx" in result["stderr"], result["stderr"])


@case
def resp_is_spoken():
    def redis(_, data):
        told = {b"PING": b"+PONG\r\n", b"SET": b"+OK\r\n", b"GET": b"$-1\r\n"}
        return b"".join(told[word] for word in re.findall(rb"\$[34]\r\n(PING|SET|GET)\r\n", data))

    with FaultyServer(redis, tls=True) as server:
        for more in ((), ("--command", "set:1,get:2", "--depth", "3", "--keys", "10"),
                     over_tls("--command", "set:1,get:2", "--depth", "3", "--keys", "10")):
            check_equal(load(server.address, "--protocol", "resp", "--messages", "300", *more)["messages"], 300,
                        f"messages {more}")
    with FaultyServer(lambda *_: b"-ERR unknown\r\n") as server:
        result = load(server.address, "--protocol", "resp", "--messages", "5", "--connections", "1", code=1)
        check("0x2d, expected 0x2b" in result["stderr"], result["stderr"])


@case
def a_recorded_conversation_is_held_over_and_over_again():
    certificate = f"{made_once(make_tls).name}/server"
    listen = ("127.0.0.1:0", f"127.0.0.1:0,tls-cert={certificate}.pem,tls-key={certificate}.key")
    with tempfile.TemporaryDirectory() as folder, Server(service="echo", listen=listen) as server:
        def spoken(*lines):
            with open(f"{folder}/conversation", "w", encoding="ascii") as file:
                file.write("\n".join(lines))
            return ("--protocol", "conversation", "--conversation", f"{folder}/conversation")

        arguments = spoken("# a comment", "> one\\r\\n", "< one\\r\\n", "> tw", "> o", "< t", "", "< wo")
        for address, more in zip(server.addresses, ((), over_tls()), strict=True):
            result = load(address, *arguments, "--messages", "400", "--connections", "1", "--depth", "3", *more)
            check_equal((result["bytes"], result["messages"]), (200 * (5 + 3), 400), f"bytes {more}")
        result = load(server.address, *spoken("> a", "< b"), "--messages", "4", "--connections", "1", code=1)
        check("0x61, expected 0x62" in result["stderr"], result["stderr"])
        for lines, word in ((("< a", "> a"), ":1: a reply"), (("> a",), "no reply"), (("x",), ":1: neither"),
                            (("# nothing",), "no request"), (("> \\q",), "backslash")):
            check_refusal(run("load", server.address, *spoken(*lines)), 2, word)


@case
def log_records_count_as_the_kernel_takes_them():
    with tempfile.TemporaryDirectory() as folder:
        name, records = f"{folder}/log", 0
        with Server("--set", f"file={name}", service="syslog") as server:
            for more in ((), ("--framing", "octets", "--size", "105"), ("--rate", "3000", "--framing", "octets"),
                         ("--size", "2000", "--depth", "50", "--threads", "2")):
                result = load(server.address, "--protocol", "syslog", "--messages", "500", "--connections", "4", *more)
                check_equal((result["messages"], result["sent"]), (500, 500), f"records {more}")
                records += 500
        with open(name, "rb") as file:
            check_equal(file.read().count(b"gearbox load"), records, "records that the server has stored")
    with FaultyServer(lambda *_: b"thanks") as server:
        result = load(server.address, "--protocol", "syslog", "--duration", "10s", "--connections", "2", code=1)
        check("no request asked for" in result["stderr"], result["stderr"])


@case
def histograms_are_written_and_merged():
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        names = [f"{folder}/{number}" for number in range(3)]
        for name in names[:2]:
            load(server.address, "--rate", "3000", "--messages", "300", "--histogram", name)
        merged = run("load", "--merge", names[0], "--merge", names[1], "--json", "--histogram", names[2])
        check_equal(merged.returncode, 0, merged.stderr)
        for one in json.loads(merged.stdout)["histograms"]:
            check_equal(one["values"], 600, "values of both")
        with open(names[2], encoding="ascii") as file:
            lines = file.read().splitlines()
        check(lines[0].startswith("#[Histogram log format version 1.3]"), lines[0])
        for line, tag in zip(lines[3:], ("response", "service"), strict=True):
            check(line.startswith(f"Tag={tag},0.000,"), line)
            check_equal(sum(count for _, count in decoded(line.split(",")[4])), 600, "values of both")
        text = run("load", "--merge", names[2]).stdout
        check("600 values" in text and "p99" in text, text)
        check_refusal(run("load", "--merge", "/nowhere"), 1, "/nowhere")
        check_refusal(run("load", "--merge", __file__), 2, "histogram log")


@case
def a_series_tells_of_each_interval():
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        name = f"{folder}/series"
        result = load(server.address, "--duration", "350ms", "--series", name, "--interval", "100ms", "--threads", "2",
                      "--rate", "2000")
        with open(name, encoding="ascii") as file:
            lines = [json.loads(line) for line in file]
        check_equal([line["second"] for line in lines], [number / 10 for number in range(len(lines))], "intervals")
        check(len(lines) >= 4, f"{len(lines)} intervals")
        check_equal(sum(line["messages"] for line in lines), result["messages"], "messages of all intervals")
        check_refusal(run("load", server.address, "--messages", "5", "--series", "/nowhere/x"), 1, "/nowhere/x")


@case
def idle_connections_stay_beside_the_load():
    with tempfile.TemporaryDirectory() as folder, Server(listen=("127.0.0.1:0", f"unix:{folder}/socket")) as server:
        for address in server.addresses:
            result = load(address, "--idle", "200", "--messages", "300")
            check_equal((result["idle"], result["idle_lost"], result["opened"]), (200, 0, 50), "connections")
        check_refusal(run("load", server.address, "--idle", "1", "--source", "x"), 2, "--source x")
    with FaultyServer(lambda _, data: data) as server:
        load(server.address, "--idle", "6", "--messages", "9", "--connections", "1")
        load(server.address, "--idle", "4", "--source", "127.0.0.5,127.0.0.6", "--messages", "9", "--connections", "1")
    check_equal(sorted(server.sources), sorted(["127.0.0.2"] * 6 + ["127.0.0.5", "127.0.0.6"] * 2 + ["127.0.0.1"] * 2),
                "where they come from")
    with FaultyServer(lambda _, data: data, ending=20) as server:
        result = load(server.address, "--idle", "30", "--messages", "100", "--connections", "2", code=1)
        check_equal(result["idle_lost"], 20, "those that the server has ended")
        check("20 idle connections ended" in result["stderr"], result["stderr"])


@case
def sizes_are_drawn_from_a_distribution():
    with Server() as server:
        result = load(server.address, "--size", "64:0.75,1KiB:0.25", "--messages", "1024", "--connections", "1", "--depth", "9")
        check_equal((result["bytes"], result["size"]), (768 * 64 + 256 * 1024, 304), "bytes")
    with Server(service="time-echo") as server:
        load(server.address, "--protocol", "line", "--size", "1..100", "--messages", "200")


@case
def gives_up_when_nothing_moves():
    with FaultyServer(after(100, lambda *_: b"")) as server:
        result = load(server.address, "--connections", "5", "--duration", "1h", "--timeout", "300ms", code=1)
    check_equal(result["errors"]["unanswered"], 5, "unanswered")
    check("nothing moved" in result["stderr"], f"it says why: {result['stderr']!r}")


@case
def nobody_listens():
    with socket.socket() as bound:  # bound, so that nobody else takes the port, but not listening
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        result = load(address, code=1)
        check(result["errors"]["connect_failed"] > 0, "connections that failed")
        check_refusal(run("load", address), 1, address, "refused")


@case
def interrupted_it_waits_for_its_replies_and_tells():
    with Server() as server:
        loading = subprocess.Popen([GEARBOX, "load", server.address, "--duration", "1h", "--progress", "--json"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        check(readable_of([loading.stderr], PATIENCE_S), "a progress line")
        loading.send_signal(signal.SIGINT)
        output, _ = loading.communicate(timeout=PATIENCE_S)
        result = json.loads(output)
        check_equal(loading.returncode, DOUBTFUL if result["warnings"] else 0, "exit code")
        check(result["interrupted"] and result["ok"], f"interrupted, all right: {result}")
        check_equal(result["sent"], result["messages"], "messages")
        loading = subprocess.Popen([GEARBOX, "load", server.address, "--duration", "1h", "--progress"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        check(any(" messages, " in line for line in iter(loading.stderr.readline, "")), "no progress line of messages")
        loading.send_signal(signal.SIGINT)
        check(", interrupted\n" in loading.communicate(timeout=PATIENCE_S)[0], "the summary is not marked")


@case
def more_connections_than_descriptors():
    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    check_refusal(run("load", "127.0.0.1:1", "--connections", "1000", before_exec=few_descriptors), 2, "1000", "256")


@case
def refuses_what_makes_no_sense():
    for arguments, word in ((("127.0.0.1:1", "--reconnect"), "--messages-per-connection"),
                            (("127.0.0.1:1", "127.0.0.1:2"), "127.0.0.1:2"),
                            (("127.0.0.1:1", "--size", "0"), "size"),
                            (("127.0.0.1:1", "--size", "1..5", "--protocol", "work"), "echo or line"),
                            (("127.0.0.1:1", "--conversation", "x"), "go together"),
                            (("127.0.0.1:1", "--protocol", "conversation"), "go together"),
                            (("127.0.0.1:1", "--source", "127.0.0.1"), "--idle"),
                            (("127.0.0.1:1", "--protocol", "resp", "--command", "del"), "ping, set or get"),
                            (("127.0.0.1:1", "--protocol", "http", "--path", "x"), "from / on"),
                            (("127.0.0.1:1", "--rate", "0"), "messages per second"),
                            (("127.0.0.1:1", "--rate", "5..x"), "messages per second"),
                            (("127.0.0.1:1", "--rate", "1e9"), "at most 5000000"),
                            (("127.0.0.1:1", "--rate", "1..2", "--messages", "5"), "--duration"),
                            (("127.0.0.1:1", "--arrivals", "poisson"), "--rate"),
                            (("127.0.0.1:1", "--threads", "9", "--connections", "8"), "each thread needs one"),
                            (("127.0.0.1:1", "--model", "fork"), "does not fit"),
                            (("127.0.0.1:1", "--model", "reactor-pool"), "does not fit"),
                            (("127.0.0.1:1", "--protocol", "ecko"), "ecko"),
                            (("127.0.0.1:1", "--expect", "a"), "--protocol line"),
                            (("127.0.0.1:1", "--message", "a", "--protocol", "time-echo"), "--message"),
                            (("127.0.0.1:1", "--message", "\\q"), "behind a backslash"),
                            (("127.0.0.1:1", "--message", ""), "empty"),
                            (("127.0.0.1",), "127.0.0.1")):
        check_refusal(run("load", *arguments), 2, word)
    check_refusal(run("load", "name.invalid:1"), 1, "name.invalid")


def tls_server(*arguments, service="echo", expected_log=None):
    folder = made_once(make_tls).name
    options = (word.replace("FOLDER", folder) for word in (*TLS, *arguments))
    return folder, Server(*options, service=service, expected_log=expected_log)


@case
def every_protocol_speaks_tls():
    with tempfile.TemporaryDirectory() as log:
        for service, protocol, serve in (
                ("echo", ("echo", "--size", "64:0.5,100KiB:0.5"), ()), ("echo", ("line",), ()), ("time-echo", ("line",), ()),
                ("work", ("work",), ()),
                ("syslog", ("syslog", "--framing", "octets"), ("--set", f"file={log}/records"))):
            folder, server = tls_server(*serve, service=service, expected_log="may block")
            with server:
                result = load(server.address, "--tls", "--tls-ca", f"{folder}/ca.pem", "--protocol", *protocol,
                              "--messages", "200", "--connections", "4")
                check_equal(result["messages"], 200, f"messages to {service}")


@case
def a_connection_a_message_is_a_handshake_each():
    folder, server = tls_server("--tls-client-ca", "FOLDER/ca.pem", "--tls-alpn", "x,y")
    with server:
        for resume in ("no", "yes"):
            result = load(server.address, "--tls", "--tls-ca", f"{folder}/ca.pem", "--tls-cert", f"{folder}/client.pem",
                          "--tls-key", f"{folder}/client.key", "--tls-alpn", "y", "--tls-resume", resume,
                          "--reconnect", "--messages-per-connection", "1", "--messages", "40", "--connections", "2")
            check(40 <= result["opened"] <= 41, f"{result['opened']} connections")  # one comes when the other has the last
            tls = result["tls"]
            check_equal((tls["version"], tls["alpn"]), ("TLSv1.3", "y"), "what was agreed on")
            check(tls["cipher"].startswith("TLS_"), f"the cipher: {tls}")
            check_equal(tls["full"]["count"] + tls["resumed"]["count"], result["opened"], "handshakes")
            check_equal(tls["resumed"]["count"] > 0, resume == "yes", f"resumed ones: {tls['resumed']}")
            check_equal(tls["resumed"]["ns"] is None, resume == "no", f"their time: {tls['resumed']}")
            check(0 < tls["full"]["ns"]["min"] <= tls["full"]["ns"]["p50"] <= tls["full"]["ns"]["max"], f"times: {tls['full']}")


@case
def why_there_is_no_tls_is_told():
    folder, server = tls_server(expected_log="tls_error")
    with server:
        for arguments, words in (((), "unable to get local issuer certificate"),
                                 (("--tls-ca", f"{folder}/ca.pem", "--tls-name", "other.example"), "hostname mismatch")):
            done = run("load", server.address, "--tls", *arguments)
            check_equal(done.returncode, 1, f"exit code with {words}")
            check(words in done.stderr, f"{done.stderr!r} says nothing of {words!r}")
        done = run("load", server.address, "--tls", "--tls-insecure", "--messages", "10")
        check(done.returncode == 0 and " echo over TLS, " in done.stdout, f"its report: {done.stdout!r}, {done.stderr!r}")
        check(re.search(r"^  tls        TLSv1\.3, TLS_\w+; \d+ full handshakes?, \d+ resumed\n  full       .*max ", done.stdout,
                        re.MULTILINE), f"of TLS it says {done.stdout!r}")
    with Server(expected_log="bad_frame|reset") as server:
        done = run("load", server.address, "--tls", "--tls-insecure")
        check("no TLS" in done.stderr or "tls_error" in done.stderr, f"of a plain server it says {done.stderr!r}")


@case
def wrong_usage_of_tls_is_told():
    for arguments, words in ((("--tls-ca", "x"), "--tls-ca goes with --tls"),
                             (("--tls", "--tls-ca", "x", "--tls-insecure"), "--tls-insecure"),
                             (("--tls", "--tls-key", "x"), "--tls-cert"), (("--tls", "--idle", "5"), "--idle"),
                             (("--tls", "--protocol", "syslog"), "RFC 5425")):
        check_refusal(run("load", "127.0.0.1:9", *arguments), 2, words)
    check_refusal(run("load", "127.0.0.1:9", "--tls", "--tls-ca", "/nobody/there"), 1, "/nobody/there", "No such file")


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    main()
