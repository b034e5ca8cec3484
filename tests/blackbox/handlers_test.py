#!/usr/bin/env python3
"""Services that post, pause, use timers and connect outwards are verified as any other: by a program of their own."""

import os
import re
import socket
import subprocess

from cover import combinations, pairwise
from lib import FULL, HANDLERS, SMALL, Server, add_case, case, check, check_equal, main

VERIFY_S = 600
JOBS = ("--jobs", f"{6 * len(os.sched_getaffinity(0))}")  # most of their time is waiting
MODELS = ("iterative", "thread", "prethread", "thread-pool", "reactor", "reactor,engine=poll", "multi-reactor",
          "multi-reactor-reuseport", "fork", "prefork", "process-pool", "prefork-reactor", "process-pool-reactor",
          "proactor", "multi-proactor", "multi-proactor-reuseport")
MODELS_SMALL = ("thread", "reactor", "multi-reactor", "prefork-reactor", "proactor")
# Where the handler runs on a thread of the pool.
POOLS = ("reactor-pool", "multi-reactor-pool", "proactor-pool", "multi-proactor-pool")


def handlers(*arguments):
    return subprocess.run([HANDLERS, *arguments], capture_output=True, check=False, text=True,
                          stdin=subprocess.DEVNULL, timeout=VERIFY_S)


def only(*specs):
    return [word for spec in specs for word in ("--only", spec)]


def check_verified(service, models, *arguments):
    done = handlers("verify", service, *only(*models), "--patience", "60s", *arguments)
    check_equal(done.stderr, "", "standard error")
    lines = done.stdout.splitlines()
    check_equal(done.returncode, 0, f"exit code ({lines[:10]})")
    check(re.fullmatch(rf"{service}: \d+ combinations, 0 differences", lines[-1]), f"the last line is {lines[-1]!r}")


def does_not_differ(service, models):
    check_verified(service, models)


add_case("nothing_differs[timed]", does_not_differ, "timed", MODELS_SMALL if SMALL else MODELS)
add_case("nothing_differs[posted]", does_not_differ, "posted",
         MODELS_SMALL + POOLS[:1] if SMALL else MODELS + POOLS)


# Codecs are the same everywhere.
for name in ("parting", "held", "ending"):
    add_case(f"nothing_differs[{name}]", does_not_differ, name, MODELS_SMALL + POOLS[:1] if SMALL else MODELS + POOLS)
for name in ("netstring", "stanza"):
    add_case(f"nothing_differs[{name}]", does_not_differ, name, MODELS_SMALL[::2] + POOLS[:1] if SMALL else MODELS_SMALL + POOLS[:1])


def covering(number, service):
    """A cover of the combinations, another for another number; all of them in a full run."""
    legal = [spec for spec in combinations() if service != "held" or "compute=processes" not in spec]  # it has state
    return () if FULL else pairwise(legal, 19 * number)


def does_not_differ_anywhere(number, service, conversation):
    """However axes meet, in what it is about."""
    check_verified(service, covering(number, service), "--conversation", conversation, *JOBS)


# In a sanitizer's build the few models have had all conversations above.
for place, (name, conversation) in enumerate((
        ("parting", "idle"), ("parting", "drained"), ("parting", "unfinished"), ("held", "drained"), ("held", "idle"),
        ("held", "half-closed"), ("ending", "half-closed"))):
    if not SMALL:
        add_case(f"no_combination_differs[{name}-{conversation}]", does_not_differ_anywhere, place, name, conversation)


def does_not_differ_behind(models, *arguments):
    with Server(listen=("127.0.0.1:0",)) as upstream:
        upstream.expected_log = ": notice: |: warning: "
        check_verified("relayed", models, "--set", f"upstream={upstream.address}", *arguments)


@case
def a_service_that_relays_does_not_differ():
    does_not_differ_behind(MODELS_SMALL if SMALL else MODELS + POOLS)


for place, conversation in enumerate(("half-closed", "interrupted", "drained"), 7):
    add_case(f"no_combination_differs[relayed-{conversation}]", does_not_differ_behind,
             MODELS_SMALL if SMALL else covering(place, "relayed"), "--conversation", conversation, *JOBS)


@case
def what_every_connection_lacks_is_said_once():
    """A proxy without its backend would differ everywhere, and nothing would be learned from it."""
    done = handlers("verify", "relayed", *only("reactor", "thread"))
    check_equal((done.returncode, done.stdout), (2, ""), "exit code, standard output")
    check(re.fullmatch(r"handlers: verify: relayed: it ends every connection at once \(relay\).* a server behind it "
                       r"perhaps \(--set KEY=VALUE\).*connect_failed\)\n", done.stderr), f"{done.stderr!r}")


@case
def the_codec_says_which_messages_suit():
    for arguments, words in ((("unknown",), ("takes none of the usual messages", "--message TEXT", "`samples`")),
                             (("unknown", "--message", "5:hello"), ("message 1, \"5:hello\", is not complete",)),
                             (("unknown", "--message", "1:a,", "--message", "x"), ("message 2, \"x\", is refused",)),
                             (("unknown", "--message", "99999:"), ("is too large",))):
        done = handlers("verify", *arguments, "--only", "reactor")
        check(done.returncode == 2 and done.stderr.count("\n") == 1 and all(word in done.stderr for word in words),
              f"{arguments}: {done.returncode}, {done.stderr!r}")
    check_verified("unknown", ("reactor",), "--message", "5:hello,")


@case
def a_service_that_takes_no_long_messages_is_asked_short_ones():
    check_verified("curt", ("reactor", "thread"))


@case
def a_straight_line_service_is_asked_messages_with_the_end_that_it_reads_to():
    check_verified("until", MODELS_SMALL[::2] if SMALL else MODELS_SMALL)
    done = handlers("verify", "until", *only("reactor"), "--message", "hello")
    check(done.returncode == 2 and done.stderr.count("\n") == 1 and
          "are not answered as few are (message_too_large)" in done.stderr, f"{done.returncode}, {done.stderr!r}")


@case
def conversations_are_listed_although_nothing_can_be_asked():
    for service in ("relayed", "netstring", "stanza"):
        done = handlers("verify", service, "--list")
        check_equal((done.returncode, done.stderr), (0, ""), f"{service}: exit code, standard error")
        check("  pipelined " in done.stdout, f"{service}: {done.stdout}")


@case
def differences_that_are_alike_are_told_of_a_few_models_and_counted():
    done = handlers("verify", "differing", "--message", "a", *only(*(f"reactor,accept-batch={n}" for n in range(1, 9))),
                    *(("--conversation", "many") if SMALL else ()))
    lines = done.stdout.splitlines()
    check_equal(done.returncode, 1, f"exit code ({done.stdout}, {done.stderr})")
    check(any(re.fullmatch(r"differing: and \d+ more differences like those above, .*", line) for line in lines), lines)
    check(len(lines) < 40, f"{len(lines)} lines")
    said = [line for line in lines if "the server said" in line]
    check(said and all(re.search(r"late for the connection \d+ \(and \d+ more like it\)", line) for line in said), said)


@case
def a_service_that_asks_another_does_not_differ():
    """Every model answers as the one that was asked first; who asks is a client of another server itself."""
    with Server(listen=("127.0.0.1:0",)) as upstream:
        upstream.expected_log = ": notice: |: warning: "
        check_verified("asking", MODELS_SMALL if SMALL else MODELS, "--set", f"upstream={upstream.address}")


@case
def why_a_codec_refuses_is_in_the_log():
    with subprocess.Popen([HANDLERS, "serve", "netstring", "--listen", "127.0.0.1:0"], stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as process:
        host, port = re.search(r" on (\S+):(\d+) ", process.stderr.readline()).groups()
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"hello")
            check_equal(client.recv(100), b"", "what is answered")
            line = process.stderr.readline()
        check(line.startswith("handlers: notice: "), f"who says it: {line!r}")  # not "gearbox": it is another program
        check(": bad_frame, " in line and line.endswith(": a length and a colon must come first\n"), line)
        process.terminate()
        check_equal(process.wait(60), 0, "exit code")


@case
def what_is_wrong_with_a_service_is_said_but_for_help_and_version():
    for how, text in (("init", "a service without GB_SERVICE_INIT"), ("name", "a service without a name")):
        environment = {**os.environ, "HANDLERS_BROKEN": how}
        for words in (("version",), ("--version",), ("help",), ("--help",), ("-h",)):
            done = subprocess.run([HANDLERS, *words], capture_output=True, check=False, text=True, env=environment)
            check_equal((done.returncode, done.stderr), (0, ""), f"{how}, {words}: exit code, standard error")
            check("gearbox" in done.stdout or "Commands:" in done.stdout, f"{how}, {words}: {done.stdout}")
            check(not any(line.endswith(" ") for line in done.stdout.splitlines()), f"{words}: a blank at a line's end")
        for words in ((), ("serve",), ("serve", "timed"), ("verify", "posted"), ("serve", "--help")):
            done = subprocess.run([HANDLERS, *words], capture_output=True, check=False, text=True, env=environment)
            check(done.returncode == 1 and done.stderr.startswith(f"handlers: {text}"),
                  f"{how}, {words}: {done.returncode}, {done.stderr!r}")


@case
def only_a_service_with_settings_has_them_in_its_help():
    held = handlers("help", "serve", "held").stdout
    check("Settings of" not in held, "held has no settings")
    check("\n  --listen ADDRESS" in held and "\n  --summary" in held, f"flags that every service has: {held}")
    check("--set upstream" in handlers("help", "serve", "asking").stdout, "asking has one")


@case
def a_program_has_the_commands_of_gearbox():
    for words, part in ((("models",), "multi-reactor"), (("models", "thread"), "thread"), (("doctor", "--help"), "handlers doctor"),
                        (("compare", "--help"), "handlers compare"), (("advise", "--help"), "handlers advise"),
                        (("report", "--help"), "handlers report"), (("trace", "--help"), "handlers trace")):
        done = handlers(*words)
        check_equal((done.returncode, done.stderr), (0, ""), f"{words}: exit code, standard error")
        check(part in done.stdout, f"{words}: {done.stdout[:200]!r}")
    with Server() as server:
        done = handlers("load", server.address, "--messages", "10")
        check("10 messages" in done.stdout, f"load: {done.returncode}, {done.stdout!r}, {done.stderr!r}")


@case
def a_program_of_several_services_takes_their_names():
    told = handlers("help", "serve").stdout
    check(all(f"  {name} " in told for name in ("timed", "posted", "asking")), f"help serve: {told}")
    for words, part in ((("serve",), "write timed, posted, asking, "), (("serve", "timd"), "did you mean \"timed\""),
                        (("verify",), "no service to verify"), ((), "no command"),
                        (("verify", "posted", "--message", "\\q"), "behind a backslash")):
        done = handlers(*words)
        check(done.returncode == 2 and done.stderr.startswith("handlers: ") and part in done.stderr,
              f"{words}: {done.returncode}, {done.stderr!r}")


if __name__ == "__main__":
    main()
