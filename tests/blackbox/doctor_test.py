#!/usr/bin/env python3
"""`gearbox doctor`: a verdict for every row, what to change, and what operations cost, as text and as JSON."""

import ctypes
import json
import os
import re
import resource
import struct

from lib import case, check, check_equal, check_refusal, main, run

VERDICTS = {"ok", "limits", "cannot"}
ROWS = {"kernel", "cpus", "nofile-hard", "fs.nr_open", "fs.file-max", "io_uring", "memlock",
        "net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_migrate_req", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
        "net.core.rmem_max", "net.core.wmem_max", "net.ipv4.tcp_mem", "memory", "memory.max", "connection",
        "stack", "thread", "kernel.threads-max", "kernel.pid_max", "vm.max_map_count", "nproc", "pids.max",
        "loopback-mtu"}
RING_FEATURES = {"single-issuer", "defer-taskrun", "multishot-accept", "buffer-rings", "multishot-recv",
                 "send-zerocopy", "msg-ring"}
COSTS = {"syscall", "clock", "mutex", "futex-handover", "switch-process", "switch-thread", "wake-pipe",
         "wake-eventfd", "loopback-one-cpu", "loopback-two-cpus", "thread", "process", "process-10mib",
         "epoll-ctl", "epoll-wait", "poll", "uring-nop", "pass-descriptor", "accept", "connection"}


def examine(*arguments, before_exec=None):
    """The answer in JSON."""
    done = run("doctor", "--json", *arguments, before_exec=before_exec)
    check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
    check_equal(done.stderr, "", "standard error")
    return json.loads(done.stdout)


def row(answer, key):
    found = [each for each in answer["rows"] if each["key"] == key]
    check_equal(len(found), 1, f"rows called {key}")
    return found[0]


@case
def every_row_has_a_verdict():
    answer = examine()
    keys = [each["key"] for each in answer["rows"]]
    check_equal(len(keys), len(set(keys)), "rows, each once")
    check(ROWS <= set(keys), f"missing: {ROWS - set(keys)}")
    for each in answer["rows"]:
        check(each["verdict"] in VERDICTS, f"{each}: verdict")
        check(each["label"] and each["value"] and each["group"], f"{each}: says nothing")
    if row(answer, "io_uring")["verdict"] == "ok":
        features = {key.removeprefix("io_uring.") for key in keys if key.startswith("io_uring.")}
        check_equal(features, RING_FEATURES, "features of io_uring")
    check("costs" not in answer, "costs, though nobody asked")


@case
def changes_belong_to_rows_that_are_not_ok():
    answer = examine()
    check_equal([target["connections"] for target in answer["targets"]], [10000, 1000000], "targets")
    for change in answer["general"] + [each for target in answer["targets"] for each in target["changes"]]:
        check(change["change"] and change["why"], f"{change}: says nothing")
        check(row(answer, change["row"])["verdict"] != "ok", f"{change}: its row is ok")


@case
def facts_are_numbers():
    facts = examine()["facts"]
    check(facts["cpus_allotted"] >= 1, "CPUs")
    check(facts["memory_bytes"] > 0, "memory")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for name, limit in (("nofile_soft", soft), ("nofile_hard", hard)):
        check_equal(facts[name], "unlimited" if limit == resource.RLIM_INFINITY else limit, name)


@case
def few_descriptors_are_what_to_change():
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))

    answer = examine("--connections", "2000", before_exec=few)
    check_equal([target["connections"] for target in answer["targets"]], [2000], "targets")
    check_equal(row(answer, "nofile-hard")["verdict"], "limits", "verdict")
    changes = [change for change in answer["targets"][0]["changes"] if change["row"] == "nofile-hard"]
    check_equal(len(changes), 1, "changes of descriptors")
    check(int(changes[0]["change"].removeprefix("ulimit -n ")) > 2000, f"{changes[0]}")


def filter_of(answer):
    """A seccomp filter that gives io_uring_setup this answer, for before_exec."""
    def install():
        io_uring_setup, libc = 425, ctypes.CDLL(None, use_errno=True)
        pr_set_no_new_privs, pr_set_seccomp, mode_filter, allow = 38, 22, 2, 0x7FFF0000
        load_word, jump_equal, give = 0x20, 0x15, 0x06
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in (
            (load_word, 0, 0, 0), (jump_equal, 0, 1, io_uring_setup), (give, 0, 0, answer), (give, 0, 0, allow))))
        program = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(code)))
        if libc.prctl(pr_set_no_new_privs, 1, 0, 0, 0) or libc.prctl(pr_set_seccomp, mode_filter, program, 0, 0):
            raise OSError(ctypes.get_errno(), "seccomp")

    return install


@case
def a_filter_that_refuses_rings_is_named():
    eperm = 0x00050001
    answer = examine("--costs", before_exec=filter_of(eperm))
    ring = row(answer, "io_uring")
    check_equal(ring["verdict"], "cannot", "verdict")
    check("seccomp" in ring["note"], f"{ring}")
    check([each for each in answer["general"] if each["row"] == "io_uring"], "nothing to change")
    check([each for each in answer["costs"] if each["key"] == "uring-nop" and each["missing"]], "a ring's cost")


@case
def a_filter_that_kills_kills_the_attempt_only():
    kill_process = 0x80000000
    ring = row(examine(before_exec=filter_of(kill_process)), "io_uring")
    check_equal(ring["verdict"], "cannot", "verdict")
    check("kills" in ring["note"], f"{ring}")


@case
def one_cpu_measures_what_one_cpu_can():
    first = min(os.sched_getaffinity(0))
    answer = examine("--costs", before_exec=lambda: os.sched_setaffinity(0, {first}))
    check_equal(answer["facts"]["cpus_allotted"], 1, "CPUs allotted")
    missing = {each["key"] for each in answer["costs"] if each["missing"]} - {"uring-nop"}
    check_equal(missing, {"futex-handover", "wake-pipe", "wake-eventfd", "loopback-two-cpus"}, "not measured")


@case
def hardly_any_descriptors_are_no_failure():
    def hardly_any():
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))

    answer = examine("--costs", before_exec=hardly_any)
    check_equal(row(answer, "connection")["value"], "unknown", "what could not be measured")
    missing = {each["key"] for each in answer["costs"] if each["missing"]}
    check("epoll-wait" in missing and "syscall" not in missing, f"not measured: {missing}")


@case
def text_has_the_same_rows_and_a_list_for_each_target():
    done = run("doctor")
    check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
    check_equal(done.stderr, "", "standard error")
    for each in examine()["rows"]:
        check(each["label"] in done.stdout, f"no row {each['label']!r}")
    for words in ("for 10,000 connections:", "for 1,000,000 connections:"):
        check(words in done.stdout, f"no list {words!r}")
    check("costs, in nanoseconds" not in done.stdout, "costs, though nobody asked")


@case
def the_verdict_comes_first():
    """What works, what limits, what to change; the table follows."""
    done, answer = run("doctor"), examine()
    first = " ".join(done.stdout.partition("\n\n")[0].split())
    figures = re.compile(r"[0-9]+")  # some are measured anew
    check_equal(figures.sub("N", first), figures.sub("N", answer["verdict"]), "the first sentences")
    first = answer["verdict"]
    check(first.startswith("All models work here"), first)
    for target in answer["targets"]:
        count = f"{target['connections']:,} connections"
        for change in target["changes"]:
            check(change["only_for"] or change["change"] in first, f"{change} is not in {first!r}")
        if not [change for change in target["changes"] if not change["only_for"]]:
            check(f"{count} need nothing changed" in first, first)
    check("for any number of connections" not in first.lower() or "io_uring" in first, first)


@case
def a_verdict_names_what_does_not_work():
    verdict = examine("--connections", "1", before_exec=filter_of(0x00050001))["verdict"]
    check("but those on io_uring" in verdict and "1 connection needs nothing changed" in verdict, verdict)


@case
def one_connection_needs_nothing():
    done = run("doctor", "--connections", "1")
    check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
    check("for 1 connection: nothing to change" in done.stdout, done.stdout)


@case
def costs_have_quartiles_in_order():
    answer = examine("--costs")
    check_equal({each["key"] for each in answer["costs"]}, COSTS, "costs")
    for each in answer["costs"]:
        if each["missing"]:
            continue
        for name in ("wall_ns", "cpu_ns"):
            spread = each[name]
            check(0 <= spread["q1"] <= spread["median"] <= spread["q3"], f"{each['key']}: {name} {spread}")
        check(each["wall_ns"]["median"] > 0, f"{each['key']}: no time")
        check(each["rounds"] >= 3 and each["operations_per_round"] >= 1, f"{each['key']}: {each}")
    check(not [each for each in answer["costs"] if each["key"] == "syscall" and each["missing"]], "no system call")


@case
def costs_are_a_table_too():
    done = run("doctor", "--costs")
    check_equal(done.returncode, 0, f"exit code ({done.stderr!r})")
    check_equal(done.stderr, "", "standard error, which is no terminal")
    check("costs, in nanoseconds" in done.stdout and "system call" in done.stdout, done.stdout)


@case
def wrong_usage_is_refused():
    check_refusal(run("doctor", "--cost"), 2, "cost", "costs")
    check_refusal(run("doctor", "--colour", "red"), 2, "colour")
    check_refusal(run("doctor", "echo"), 2, "echo")
    check_refusal(run("doctor", "--connections", "0"), 2, "connections", "0")
    check_refusal(run("doctor", "--connections", "many"), 2, "connections", "many")


@case
def help_is_no_error():
    done = run("doctor", "--help")
    check_equal(done.returncode, 0, "exit code")
    check("--connections" in done.stdout and "--costs" in done.stdout, done.stdout)


if __name__ == "__main__":
    main()
