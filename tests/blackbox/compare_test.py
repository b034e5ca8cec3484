#!/usr/bin/env python3
"""`gearbox compare`: it visits every model at every step, tells what it measured, and what went wrong.

Nothing here looks at a time or a rate: few messages show that all is counted and written down.
"""

import json
import os
import resource
import signal
import subprocess
import tempfile

from certificates import made_once, make_tls
from lib import GEARBOX, HANDLERS, PATIENCE_S, case, check, check_equal, check_refusal, main, readable_of, run

QUICK = ("--quiet", "--messages", "200", "--connections", "4", "--idle-connections", "12")
ALWAYS = ("messages_per_second", "p50_ns", "p99_ns", "max_ns", "cpu_ns_per_message", "memory_per_connection_bytes",
          "idle_cpu_share", "loop_delay_p99_ns")


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))


def compare(*arguments, code=0):
    """Run it. Returns its document; the line on standard error is its `stderr`."""
    done = run("compare", *arguments, *QUICK, "--json", "-")
    check_equal(done.returncode, code, f"exit code ({done.stderr!r})")
    check_equal(done.stderr.count("\n"), 0 if code == 0 else 1, f"lines on standard error ({done.stderr!r})")
    document = json.loads(done.stdout)
    document["stderr"] = done.stderr
    return document


@case
def each_model_is_measured_in_each_round():
    document = compare("echo", "--models", "reactor,engine=poll,thread-pool", "--rounds", "2")
    check_equal(document["format"], "gearbox-compare-1", "format")
    check_equal(document["interrupted"], False, "interrupted")
    check_equal([model["name"] for model in document["models"]], ["reactor,engine=poll", "thread-pool"], "models")
    check_equal(document["models"][0]["axes"]["engine"], "poll", "engine")
    check_equal([point["model"] for point in document["points"]], ["reactor,engine=poll", "thread-pool"], "points")
    for point in document["points"]:
        check(point["ok"] and not point["error"], f"a point failed: {point}")
        check_equal(len(point["rounds"]), 2, "rounds")
        for key in ALWAYS:
            check(point["low"][key] <= point["median"][key] <= point["high"][key], f"{key} of {point}")
        quantiles = [quantile for quantile, _ in point["latency"]]
        check_equal(quantiles, sorted(quantiles), "quantiles")
        check_equal(quantiles[-1], 1, "the last quantile")
    for key in ("messages_per_second", "cpu_ns_per_message"):
        check(document["noise"][key] > 1, f"the noise of {key} is {document['noise'][key]}")
    check(document["findings"], "no findings")
    for key in ("host", "cpu", "cpus", "cpus_allotted", "memory_bytes", "kernel", "gearbox", "commit", "compiler"):
        check(document["machine"][key], f"the machine's {key} is missing")
    check_equal(document["load"]["protocol"], "echo", "protocol")


@case
def servers_and_load_speak_tls_with_a_certificate_of_the_run():
    document = compare("echo", "--tls", "--models", "reactor,thread", "--rounds", "1")
    check_equal(document["load"].get("tls"), True, "what is told of it, also to who compares with a baseline")
    for point in document["points"]:
        check_equal((point["tls"]["version"], point["tls"]["full"]["count"] > 0), ("TLSv1.3", True), "what was agreed on")
    check_equal([point["ok"] for point in document["points"]], [True, True], "points")
    check(document["machine"]["openssl"].startswith("OpenSSL "), f"the machine is {document['machine']}")
    # Files of the run have gone with it.
    check(document["models"][0]["command"].endswith(" --model reactor --'tls-cert=FILE.pem' --'tls-key=FILE.pem'"),
          f"the command to repeat it is {document['models'][0]['command']}")


@case
def idle_connections_speak_tls_with_a_certificate_of_the_user():
    folder = made_once(make_tls).name
    point = compare("echo", "--tls", "--tls-insecure", "--option", f"tls-cert={folder}/server.pem", "--option",
                    f"tls-key={folder}/server.key", "--models", "reactor", "--rounds", "1")["points"][0]
    check(point["ok"], f"it failed: {point['error']}")
    each = point["median"]["memory_per_connection_bytes"]
    check(each > 4096, f"a connection with a session of TLS has {each} B")


@case
def fewer_connections_at_a_time_take_turns():
    point = compare("echo", "--models", "iterative", "--rounds", "1")["points"][0]
    check(point["ok"], f"it failed: {point['error']}")
    check(any("serves 1 connection at a time" in text for text in point["warnings"]), f"warnings {point['warnings']}")


@case
def presets_that_suit_are_compared():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "compared.json")
        page = os.path.join(folder, "compared.html")
        done = run("compare", "echo", *QUICK, "--rounds", "1", "--json", path, "--report", page)
        check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        with open(page, encoding="utf-8") as file:
            check("gearbox-compare-1" in file.read(), "the page does not hold the comparison")
    presets = [preset["name"] for preset in json.loads(run("models", "--json").stdout)["models"]]
    compared = [model["name"] for model in document["models"]]
    left_out = [text for text in document["findings"] if text.startswith("Left out: ")]
    check(len(compared) + len(left_out) == len(presets), f"{compared} and {left_out} of {presets}")
    for name in compared:
        check(f"\n{name} " in done.stdout, f"no row of {name} in {done.stdout}")
    check("messages/s" in done.stdout and "* the best" in done.stdout, done.stdout)


@case
def a_sweep_of_two_axes_visits_every_place():
    document = compare("echo", "--models", "reactor,thread", "--rounds", "1", "--sweep", "connections=1,3", "--sweep",
                       "size=16,1KiB")
    check_equal([(axis["name"], axis["values"]) for axis in document["axes"]],
                [("connections", [1, 3]), ("size", [16, 1024])], "axes")
    places = [(point["model"], point["at"]["connections"], point["at"]["size"]) for point in document["points"]]
    check_equal(places, [(model, connections, size) for model in ("reactor", "thread") for connections in (1, 3)
                         for size in (16, 1024)], "places")
    check(all(point["ok"] for point in document["points"]), "a point failed")


@case
def handlers_cost_what_a_sweep_says():
    document = compare("work", "--models", "reactor,reactor-pool", "--rounds", "1", "--sweep", "compute=0,50us", "--sweep",
                       "block=0,1ms")
    check_equal([(point["at"]["compute"], point["at"]["block"]) for point in document["points"][:4]],
                [(0, 0), (0, 1000), (50, 0), (50, 1000)], "places")
    check(all(point["ok"] for point in document["points"]), f"a point failed: {document['stderr']}")
    cpu = [point["median"]["cpu_ns_per_message"] for point in document["points"][:4]]
    check(min(cpu[2:]) >= 50000, f"50 us of computing took {cpu[2:]} ns of CPU time")


@case
def offered_rates_have_a_knee():
    document = compare("echo", "--models", "reactor", "--rounds", "1", "--sweep", "rate=5000,10000")
    check_equal([point["at"]["rate"] for point in document["points"]], [5000, 10000], "rates")
    check_equal((document["load"]["rate"], document["load"]["arrivals"]), (5000, "constant"), "the load")
    check(any(text.startswith("The knee of latency against load: reactor ") for text in document["findings"]),
          f"findings {document['findings']}")


@case
def a_handlers_cost_is_swept():
    document = compare("work", "--models", "reactor", "--rounds", "1", "--sweep", "compute=0,50us", "--sweep", "block=1ms")
    check_equal([point["at"] for point in document["points"]],
                [{"compute": 0, "block": 1000}, {"compute": 50, "block": 1000}], "places")
    check(all(point["ok"] for point in document["points"]), f"a point failed: {document['points']}")


@case
def workers_are_an_axis_of_the_models():
    document = compare("echo", "--models", "multi-reactor,thread-pool", "--rounds", "1", "--sweep", "workers=1,2")
    check_equal([point["at"]["workers"] for point in document["points"]], [1, 2, 1, 2], "workers")
    check(all(point["ok"] for point in document["points"]), "a point failed")
    for point in document["points"]:
        of_workers = {key: value for key, value in point["median"].items() if key.startswith("imbalance")}
        check_equal(len(of_workers), 2 if point["at"]["workers"] == 2 else 0, f"imbalances {of_workers} of {point['at']}")
        if of_workers:  # of two the busiest is as far above the average as the other is below it
            check(1 <= of_workers["imbalance"] <= 2 and
                  abs(of_workers["imbalance"] - 1 - of_workers["imbalance_deviation"]) < 1e-6, f"imbalances {of_workers}")


@case
def another_server_takes_part():
    command = f"LC_ALL=C {GEARBOX} serve echo --listen 127.0.0.1:{{port}}"
    document = compare("echo", "--models", "reactor", "--rounds", "1", "--against", command, "--against", command)
    check_equal([(model["name"], model["kind"]) for model in document["models"]],
                [("reactor", "model"), ("gearbox", "against"), ("gearbox 2", "against")], "models")
    check_equal(document["models"][1]["command"], command, "command")
    check(all(point["ok"] for point in document["points"]), "a point failed")


@case
def wrong_replies_and_early_ends_fail_and_are_named():
    wrong = f"{GEARBOX} serve time-echo --listen 127.0.0.1:{{port}}"
    early = f"{GEARBOX} serve echo --set once=yes --listen 127.0.0.1:{{port}}"
    document = compare("echo", "--models", "reactor", "--rounds", "2", "--against", wrong, "--against", early,
                       "--against", "exit 3; : {port}", code=1)
    by_name = {point["model"]: point for point in document["points"]}
    check(by_name["reactor"]["ok"], "the right one failed")
    check_equal([point["ok"] for point in document["points"][1:]], [False] * 3, "ok")
    errors = [point["error"] for point in document["points"][1:]]
    check("wrong repl" in errors[0] and "expected 0x" in errors[0], errors[0])
    check("closed early" in errors[1], errors[1])
    check("ended before it listened" in errors[2], errors[2])
    check("byte 0 of the replies" in document["stderr"], document["stderr"])


@case
def a_server_that_never_answers_fails():
    document = compare("discard", "--models", "reactor", "--protocol", "echo", "--rounds", "1", "--timeout", "100ms", code=1)
    check("unanswered" in document["points"][0]["error"], document["points"][0]["error"])
    check("unanswered" in document["stderr"], document["stderr"])


@case
def whom_a_service_forwards_to_is_there():
    document = compare("proxy", "--models", "reactor", "--rounds", "1")
    check(document["points"][0]["ok"], f"it failed: {document['points'][0]['error']}")
    check(document["models"][0]["command"].endswith(" --model reactor --set 'upstream=HOST:PORT'"),
          f"the command to repeat it names who has gone: {document['models'][0]['command']}")


@case
def handlers_that_hold_their_loop_are_told():
    """One message for each load: its handler holds the loop until that is reported."""
    done = subprocess.run([HANDLERS, "compare", "stalling", "--models", "reactor", "--rounds", "1", "--connections", "1",
                           "--messages", "1", "--idle-connections", "0", "--option", "stall-limit=50ms", "--quiet", "--json",
                           "-"], capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
    warnings = json.loads(done.stdout)["points"][0]["warnings"]
    check(any("handlers held their loop too long, " in text for text in warnings), f"warnings {warnings}")


@case
def a_program_of_ones_own_compares_its_services():
    done = subprocess.run([HANDLERS, "compare", "timed", "--models", "reactor,thread", "--rounds", "1", *QUICK, "--json", "-"],
                          capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
    document = json.loads(done.stdout)
    check_equal(document["load"]["protocol"], "line", "protocol")
    check(document["command"][0] == "handlers", f"command {document['command']}")


@case
def what_changed_since_a_baseline_is_said():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "before.json")
        done = run("compare", "echo", "--models", "reactor", "--rounds", "1", *QUICK, "--json", path)
        check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
        document = compare("echo", "--models", "reactor,thread", "--rounds", "1", "--baseline", path)
    changes = document["baseline"]["changes"]
    check_equal({change["model"] for change in changes}, {"reactor"}, "models that changed")
    check({change["metric"] for change in changes} >= set(ALWAYS) - {"idle_cpu_share"}, f"metrics of {changes}")
    check(document["baseline"]["findings"], "no words on the baseline")


def said_on_terminal(terminal, wanted=None):
    """What comes there until the text does, or to its end."""
    said = ""
    while wanted is None or wanted not in said:
        check(readable_of([terminal], PATIENCE_S), f"it says no {wanted!r}, but {said!r}")
        try:
            said += os.read(terminal, 4096).decode()
        except OSError:  # nobody has the other side any more
            check(wanted is None, f"it says no {wanted!r}, but {said!r}")
            break
    return said


@case
def interrupted_it_tells_what_there_is():
    terminal, theirs = os.openpty()  # where each visit is told
    with subprocess.Popen([GEARBOX, "compare", "echo", "--models", "reactor", "--messages", "100", "--rounds", "100", "--json",
                           "-", "--idle-connections", "0"], stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        try:
            said = said_on_terminal(terminal, "round 3 of 100")
            check("round 1 of 100, reactor" in said, said)
            process.send_signal(signal.SIGINT)
            document = json.loads(process.stdout.read())
            said = said_on_terminal(terminal)
            process.wait(timeout=PATIENCE_S)
        finally:
            process.kill()
            os.close(terminal)
    check_equal(process.returncode, 1, f"exit code ({said!r})")
    check_equal(document["interrupted"], True, "interrupted")
    point = document["points"][0]
    check(point["ok"] and 2 <= len(point["rounds"]) < 100 and point["median"]["messages_per_second"] > 0,
          f"of two rounds and more there is {point}")
    check("Interrupted: this is what there was until then." in document["findings"], f"findings {document['findings']}")
    check("compare: interrupted" in said, said)


@case
def every_legal_combination_is_to_be_compared():
    """That all are planned is enough to see: as soon as the first is visited it is interrupted. Left out is who would have no
    worker left beside silent connections."""
    known = json.loads(run("models", "--combinations", "--json").stdout)["combinations"]
    with subprocess.Popen([GEARBOX, "compare", "echo", "--all", "--rounds", "1", "--duration", "1h", "--idle", "300", "--json",
                           "-"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said = next(line for line in process.stderr if "left out: " not in line)
        process.send_signal(signal.SIGINT)
        document = json.loads(process.stdout.read())
        process.stderr.read()
    planned = len(document["models"])
    left_out = [text for text in document["findings"] if text.startswith("Left out: ")]
    check_equal(planned + len(left_out), len(known), f"models that are compared, and {left_out}")
    alone = [text for text in left_out if "it is sure to serve 1 connection at a time, which 300 idle ones would hold." in text]
    check(alone and planned > 20, f"{planned} models are compared, left out are {left_out}")
    check(all(model["axes"]["engine"] != "blocking" or model["axes"]["workers"] == "per-connection"
              for model in document["models"]), "a blocking worker would wait for a silent connection")
    check(f"compare: 1 of {planned + 1}: round 1 of 1, " in said, said)  # one is the control


@case
def what_cannot_be_compared_is_refused_before_it_runs():
    check_refusal(run("compare"), 2, "no service", "echo")
    check_refusal(run("compare", "eco"), 2, 'did you mean "echo"')
    check_refusal(run("compare", "echo", "work"), 2, "one service")
    check_refusal(run("compare", "daytime"), 2, "no load is known to fit daytime", "--protocol")
    check_refusal(run("compare", "echo", "--models", "reactr"), 2, 'did you mean "reactor"')
    check_refusal(run("compare", "echo", "--models", "reactor,reactor"), 2, "given twice")
    check_refusal(run("compare", "echo", "--models", "fork,engine=epoll,workers=per-connection"), 2, "fork")
    check_refusal(run("compare", "echo", "--all", "--models", "reactor"), 2, "--all")
    check_refusal(run("compare", "echo", "--sweep", "colour=1"), 2, "connections, rate, size")
    check_refusal(run("compare", "echo", "--sweep", "size=1,2", "--sweep", "size=3"), 2, "given twice")
    check_refusal(run("compare", "echo", "--sweep", "connections=0,1"), 2, "out of range")
    check_refusal(run("compare", "echo", "--report", "-"), 2, "the name of a file")
    check_refusal(run("compare", "echo", "--sweep", "compute=1,2"), 2, "only the service work")
    check_refusal(run("compare", "echo", "--connections", "1000000"), 2, "ports")
    check_refusal(run("compare", "echo", "--models", "thread-pool,workers=2", "--idle", "2"), 2, "thread-pool",
                  "2 connections at a time", "2 idle ones")
    check_refusal(run("compare", "echo", "--rate", "1e9"), 2, "at most 5000000")
    check_refusal(run("compare", "echo", "--sweep", "rate=1000,1e9"), 2, "at most 5000000")
    check_refusal(run("compare", "echo", "--connections", "500", before_exec=few_descriptors), 2, "--connections: 500",
                  "at most 152")
    check_refusal(run("compare", "echo", "--connections", "4", before_exec=few_descriptors), 2, "--idle-connections: 200",
                  "at most 152")
    check_refusal(run("compare", "echo", "--against", "true"), 2, "{port}")
    check_refusal(run("compare", "echo", "--protocol", "smtp"), 2, "smtp")
    check_refusal(run("compare", "echo", "--option", "backlog=x"), 2, "backlog")
    check_refusal(run("compare", "echo", "--report", "/nonexistent/page.html"), 1, "/nonexistent/page.html")
    check_refusal(run("compare", "echo", "--baseline", "/nonexistent"), 1, "/nonexistent")
    check_refusal(run("compare", "echo", "--baseline", GEARBOX), 2, "no JSON")


if __name__ == "__main__":
    main()
