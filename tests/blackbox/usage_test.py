#!/usr/bin/env python3
"""What bad input gets: one line that says what is wrong, exit code 2 for usage and 1 at run time."""

import ctypes
import json
import os
import re
import resource
import socket
import tempfile

from lib import Server, add_case, case, check, check_equal, check_refusal, main, run

HERE = ("--listen", "127.0.0.1:0")

# name, arguments, exit code, words that the line must have
USAGE = [
    ("no_command", (), 2, ()),
    ("unknown_command", ("frobnicate",), 2, ("frobnicate",)),
    ("no_service", ("serve",), 2, ()),
    ("unknown_service", ("serve", "ecko", *HERE), 2, ("ecko", "echo")),
    ("missing_listen", ("serve", "echo"), 2, ("--listen",)),
    ("surplus_word", ("serve", "echo", "echo", *HERE), 2, ("echo",)),
    ("unknown_flag", ("serve", "echo", *HERE, "--colour", "red"), 2, ("colour",)),
    ("flag_misspelt", ("serve", "echo", *HERE, "--idle-timeoot", "1s"), 2, ("idle-timeoot", "idle-timeout")),
    ("flag_without_value", ("serve", "echo", *HERE, "--model"), 2, ("model",)),
    ("bad_duration", ("serve", "echo", *HERE, "--idle-timeout", "soon"), 2, ("idle-timeout", "soon")),
    ("duration_without_unit", ("serve", "echo", *HERE, "--idle-timeout", "5"), 2, ("idle-timeout", "5")),
    ("negative_duration", ("serve", "echo", *HERE, "--idle-timeout", "-5s"), 2, ("idle-timeout",)),
    ("duration_overflows", ("serve", "echo", *HERE, "--idle-timeout", "99999999999999999999h"), 2,
     ("idle-timeout",)),
    ("bad_size", ("serve", "echo", *HERE, "--max-message", "1XB"), 2, ("max-message", "1XB")),
    ("bad_count", ("serve", "echo", *HERE, "--max-connections", "many"), 2, ("max-connections", "many")),
    ("negative_count", ("serve", "echo", *HERE, "--max-connections", "-1"), 2, ("max-connections", "-1")),
    ("bad_switch", ("serve", "echo", *HERE, "--nodelay", "maybe"), 2, ("nodelay", "maybe")),
    ("switch_neither_on_nor_off", ("serve", "echo", *HERE, "--nodelay=offf"), 2, ("nodelay", "offf", "yes or no")),
    ("flag_given_twice", ("serve", "echo", *HERE, "--model", "fork", "--model", "thread"), 2,
     ("--model is given twice",)),
    ("switch_given_twice", ("serve", "echo", *HERE, "--nodelay", "--nodelay=no"), 2, ("--nodelay is given twice",)),
    ("config_given_twice", ("serve", "echo", *HERE, "--config", "/dev/null", "--config=/dev/null"), 2,
     ("--config is given twice",)),
    ("setting_given_twice", ("serve", "work", *HERE, "--set", "max-block=1s", "--set", "max-block=2s"), 2,
     ("max-block is given twice",)),
    ("load_flag_given_twice", ("load", "127.0.0.1:1", "--size", "1", "--size=2"), 2, ("--size is given twice",)),
    ("models_flag_given_twice", ("models", "--json", "--json"), 2, ("--json is given twice",)),
    ("verify_flag_given_twice", ("verify", "echo", "--jobs", "1", "--jobs", "2"), 2, ("--jobs is given twice",)),
    ("doctor_flag_given_twice", ("doctor", "--json", "--json"), 2, ("--json is given twice",)),
    ("unknown_setting", ("serve", "work", *HERE, "--set", "max-bock=1"), 2,
     ("unknown setting \"max-bock\"", "did you mean \"max-block\"")),
    ("unknown_setting_with_nothing_near", ("serve", "work", *HERE, "--set", "nope=1"), 2,
     ("unknown setting \"nope\"", "max-compute, max-block")),
    ("setting_of_a_service_without", ("serve", "discard", *HERE, "--set", "nope=1"), 2, ("discard has no settings",)),
    ("setting_without_a_value", ("serve", "work", *HERE, "--set", "nope"), 2, ("KEY=VALUE",)),
    ("bad_affinity", ("serve", "echo", *HERE, "--affinity", "all"), 2, ("affinity", "all", "0-3")),
    ("affinity_to_no_cpu", ("serve", "echo", *HERE, "--affinity", "4095"), 2, ("affinity", "4095")),
    ("busy_poll_with_a_unit", ("serve", "echo", *HERE, "--busy-poll", "50us"), 2, ("busy-poll", "50us")),
    ("control_character_in_value", ("serve", "echo", *HERE, "--idle-timeout", "a\nb\x1b[31m"), 2,
     ("idle-timeout",)),
    ("unknown_model", ("serve", "echo", *HERE, "--model", "reactr"), 2, ("reactr", "reactor")),
    ("empty_model", ("serve", "echo", *HERE, "--model", ""), 2, ("model",)),
    ("unknown_axis", ("serve", "echo", *HERE, "--model", "reactor,colour=red"), 2, ("colour",)),
    ("unknown_engine", ("serve", "echo", *HERE, "--model", "reactor,engine=epol"), 2, ("epol",)),
    ("bad_workers", ("serve", "echo", *HERE, "--model", "multi-reactor,workers=few"), 2, ("workers", "few")),
    ("zero_workers", ("serve", "echo", *HERE, "--model", "multi-reactor,workers=0"), 2, ("workers",)),
    ("illegal_combination", ("serve", "echo", *HERE, "--model",
                             "accept=acceptor,unit=thread,workers=per-connection,engine=epoll,compute=inline"),
     2, ("per-connection",)),
    ("address_without_port", ("serve", "echo", "--listen", "127.0.0.1"), 2, ("127.0.0.1",)),
    ("port_is_a_word", ("serve", "echo", "--listen", "127.0.0.1:http-ish"), 2, ("http-ish",)),
    ("port_out_of_range", ("serve", "echo", "--listen", "127.0.0.1:65536"), 2, ("65536",)),
    ("port_negative", ("serve", "echo", "--listen", "127.0.0.1:-1"), 2, ("-1",)),
    ("unix_path_too_long", ("serve", "echo", "--listen", "unix:/" + "x" * 200), 2, ()),
    ("name_does_not_resolve", ("serve", "echo", "--listen", "name.invalid:0"), 1, ("name.invalid",)),
    ("address_of_another_machine", ("serve", "echo", "--listen", "192.0.2.1:0"), 1, ("192.0.2.1",)),
    ("unix_folder_missing", ("serve", "echo", "--listen", "unix:/nonexistent/gearbox.sock"), 1, ("/nonexistent/",)),
    ("option_of_an_address_misspelt", ("serve", "echo", "--listen", "127.0.0.1:0,baklog=5"), 2, ("did you mean \"backlog\"",)),
    ("option_that_no_address_has", ("serve", "echo", "--listen", "127.0.0.1:0,idle-timeout=5s"), 2,
     ("idle-timeout", "--idle-timeout", "nodelay")),
    ("option_of_an_address_is_wrong", ("serve", "echo", "--listen", "127.0.0.1:0,backlog=few"), 2, ("127.0.0.1:0: backlog", "few")),
    ("service_of_an_address_misspelt", ("serve", "echo", *HERE, "--listen", "dicard=127.0.0.1:0"), 2,
     ("dicard", "did you mean \"discard\"")),
    ("service_of_an_address_alone", ("serve", "echo", "--listen", "discard=127.0.0.1:0"), 2, ("serve echo on",)),
    ("setting_of_a_service_that_is_unknown", ("serve", "echo", *HERE, "--set", "wrk.max-block=1s"), 2, ("wrk", "work")),
    ("options_of_tls_without_a_certificate", ("serve", "echo", *HERE, "--tls-alpn", "h2"), 2, ("tls-alpn", "tls-cert")),
    ("resolver_that_is_empty", ("serve", "echo", *HERE, "--resolver", ""), 2, ("resolver", "system")),
    ("source_in_three_parts", ("serve", "echo", *HERE, "--connect-source", "1.2.3"), 2, ("connect-source", "1.2.3")),
    ("announced_as_nothing", ("serve", "echo", *HERE, "--announce-server", "127.0.0.1"), 2, ("announce-server", "nothing is announced")),
    ("announced_as_nothing_at_an_address", ("serve", "echo", "--listen", "127.0.0.1:0,announce-zone=example.org"), 2,
     ("announce-zone", "nothing is announced")),
    ("announced_under_an_empty_name", ("serve", "echo", *HERE, "--announce", ",_e._tcp.example.org", "--announce-server", "127.0.0.1"),
     2, ("announce", "comma")),
    ("keys_for_other_names", ("serve", "echo", *HERE, "--announce", "_e._tcp.example.org", "--announce-server", "127.0.0.1",
                              "--announce-key", "/dev/null,/dev/null"), 2, ("announce-key: 2 for 1 name",)),
    ("network_within_ipv6_with_bits_behind", ("serve", "echo", *HERE, "--proxy-protocol", "::ffff:10.0.0.1/104"), 2,
     ("::ffff:10.0.0.0/104?",)),
    ("upstream_that_is_half_a_service", ("serve", "proxy", *HERE, "--set", "upstream=_echo.example.org"), 2, ("_service._proto.NAME",)),
    ("config_missing", ("serve", "echo", *HERE, "--config", "/nonexistent/gearbox.conf"), (1, 2),
     ("/nonexistent/gearbox.conf",)),
    ("load_without_address", ("load",), 2, ()),
    ("load_unknown_flag", ("load", "127.0.0.1:1", "--colour", "red"), 2, ("colour",)),
    ("load_port_out_of_range", ("load", "127.0.0.1:65536"), 2, ("65536",)),
    ("models_surplus_word", ("models", "reactor", "fork"), 2, ("fork",)),
    ("models_unknown_name", ("models", "reactr"), 2, ("reactr", "did you mean \"reactor\"")),
    ("models_unknown_alias", ("models", "thread-per-conection"), 2, ("did you mean \"thread-per-connection\"",)),
    ("models_nothing_near", ("models", "xyzzy"), 2, ("xyzzy", "gearbox models")),
    ("models_name_and_combinations", ("models", "reactor", "--combinations"), 2, ("--combinations",)),
]


def refused(arguments, codes, words):
    check_refusal(run(*arguments), codes, *words)


for row_name, row_arguments, row_codes, row_words in USAGE:
    add_case(row_name, refused, row_arguments, row_codes, row_words)


@case
def port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        check_refusal(run("serve", "echo", "--listen", address), 1, address, "in use")


@case
def second_address_in_use_starts_nothing():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        check_refusal(run("serve", "echo", *HERE, "--listen", address), 1, address)


@case
def port_not_permitted():
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        if int(file.read()) <= 1:
            return  # every port is permitted here
    cap_net_bind_service, pr_capbset_drop, libc = 10, 24, ctypes.CDLL(None)

    def without_the_right():
        # root would get it back from the bounding set on exec
        libc.prctl(pr_capbset_drop, cap_net_bind_service, 0, 0, 0)

    done = run("serve", "echo", "--listen", "127.0.0.1:1", before_exec=without_the_right)
    check_refusal(done, 1, "127.0.0.1:1")


@case
def limit_beyond_descriptors():
    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    done = run("serve", "echo", *HERE, "--max-connections", "100000", before_exec=few_descriptors)
    check_refusal(done, (1, 2), "100000")


@case
def workers_beyond_processes():
    def few_processes():
        resource.setrlimit(resource.RLIMIT_NPROC, (30, 30))
        if os.geteuid() == 0:  # who is exempt from this limit
            os.setuid(65534)

    done = run("serve", "echo", *HERE, "--model", "thread-pool,workers=40", before_exec=few_processes)
    check_refusal(done, (1, 2), "40 workers make 40 threads", "allows 30, and 64 are left", "ulimit -u")


@case
def config_names_file_and_line():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "gearbox.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write("# a comment\nidle-timeout = 5s\nmax-message soon\n")
        check_refusal(run("serve", "echo", *HERE, "--config", path), 2, "gearbox.conf:3", "soon")


# name, the file's text, words that the line must have
CONFIGS = [
    ("a_key_twice", "model fork\nmodel thread\n", ("gearbox.conf:2", "model is given twice")),
    ("a_section", "[server]\n", ("gearbox.conf:1", "no sections", "key value")),
    ("a_misspelt_key", "lisen 127.0.0.1:0\n", ("gearbox.conf:1", "did you mean \"listen\"")),
    ("a_flag_with_dashes", "--idle-timeout 3s\n", ("did you mean \"idle-timeout\"",)),
    ("a_key_with_nothing_near", "zebra 1\n", ("unknown option \"zebra\"", "--help")),
    ("a_wrong_address", "listen 127.0.0.1:http-ish\n", ("http-ish",)),
    ("a_wrong_setting", "set nope=1\n", ("gearbox.conf:1", "unknown setting")),
]


def config_refused(text, words):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "gearbox.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        check_refusal(run("serve", "echo", "--config", path), 2, *words)


for row_name, row_text, row_words in CONFIGS:
    add_case(f"config_with_{row_name}", config_refused, row_text, row_words)


@case
def config_says_all_that_flags_say_and_flags_override_it():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "gearbox.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"listen = unix:{folder}/file\nlisten unix:{folder}/other\nmodel = prethread,workers=3\n"
                       "set max-block=1s # of work\nnodelay off\n")
        with Server("--config", path, service="work", listen=()) as server:
            check_equal(server.addresses, [f"unix:{folder}/file", f"unix:{folder}/other"], "addresses of the file")
        with Server("--config", path, "--set", "max-block=2s", "--model", "thread", service="work") as server:
            check(len(server.addresses) == 1 and "unix" not in server.address, f"of the line: {server.addresses}")
            check_equal(server.model, "thread", "the model")


@case
def switches_take_every_usual_word():
    for word in ("yes", "no", "on", "off", "true", "false", "1", "0"):
        for arguments in (("--nodelay", word), (f"--nodelay={word}",)):
            with Server(*arguments):
                pass


@case
def a_model_of_few_words_is_the_default_with_these():
    for words, shown in (("workers=3", "workers=3,engine=epoll"), ("unit=process", "workers=1,engine=epoll"),
                         ("engine=poll", "workers=1,engine=poll")):
        with Server("--model", words) as server:
            check(shown in server.model, f"{words} is {server.model}")


@case
def the_ready_line_says_how_many_workers():
    for model in ("prethread", "accept=acceptor,workers=N"):
        with Server("--model", model) as server:
            found = re.search(r"workers=(\w+)", server.model)
            check(found and int(found[1]) > 0, f"{model}: {server.ready_line!r}")


@case
def load_nobody_listens():
    with socket.socket() as bound:  # bound, so that nobody else takes the port, but not listening
        bound.bind(("127.0.0.1", 0))
        done = run("load", f"127.0.0.1:{bound.getsockname()[1]}")
    check_equal(done.returncode, 1, f"exit code ({done.stderr!r})")


@case
def models_tells_of_one():
    everything = run("models").stdout
    rows = json.loads(run("models", "--json").stdout)["models"]
    for row in rows:
        for name in filter(None, (row["name"], row["alias"])):
            told = run("models", name).stdout
            check(told.startswith(row["name"]) and told + "\n" in everything, f"models {name}: {told!r}")
            check_equal(json.loads(run("models", name, "--json").stdout), {"models": [row]}, f"models {name} --json")


@case
def models_says_how_to_size_what_has_a_size():
    rows = {row["name"]: row for row in json.loads(run("models", "--json").stdout)["models"]}
    check("threads = how many wait at once" in rows["reactor-pool"]["size"], "a pool of threads for handlers")
    check("connected at once" in rows["thread-pool"]["size"], "workers that serve one client each")
    check(rows["reactor"]["size"] is None, "a reactor has no size to choose")
    check("how many wait at once" in " ".join(run("models", "proactor-pool").stdout.split()), "as text")


@case
def help_is_no_error():
    for arguments in (("help",), ("--help",), ("-h",), ("serve", "--help"), ("load", "--help"), ("models", "--help"),
                      ("help", "serve"), ("help", "serve", "echo"), ("help", "load"), ("help", "models", "reactor"),
                      ("help", "verify"), ("help", "doctor"), ("help", "help"), ("help", "version"),
                      ("--version",), ("version",)):
        done = run(*arguments)
        check_equal(done.returncode, 0, f"exit code of {arguments} ({done.stderr!r})")
        check(done.stdout and not done.stderr, f"{arguments}: help belongs on standard output")


@case
def help_of_words_is_that_of_the_command():
    for words in (("serve",), ("serve", "work"), ("verify", "echo"), ("models",)):
        check_equal(run("help", *words).stdout, run(*words, "--help").stdout, f"help {words}")
    check("max-block" in run("help", "serve", "work").stdout, "help serve work tells of its settings")
    check_refusal(run("help", "serve", "ecko"), 2, "did you mean \"echo\"")
    check_refusal(run("help", "serv"), 2, "did you mean \"serve\"")


@case
def numbers_are_told_with_the_units_that_they_were_given_in():
    check_refusal(run("serve", "echo", "--listen", "127.0.0.1:0", "--output-low", "1MiB", "--output-high", "64KiB"), 2,
                  "must rise: 1MiB, 64KiB, 16MiB do not")


@case
def the_version_is_told():
    for words in (("--version",), ("version",)):
        check(re.fullmatch(r"gearbox \d+\.\d+\.\d+\n", run(*words).stdout), f"{words}")


if __name__ == "__main__":
    main()
