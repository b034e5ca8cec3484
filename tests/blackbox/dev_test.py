#!/usr/bin/env python3
"""`./dev`: which checks a machine's tools are good for, what it tells of a run, and the load it runs beside."""

import json
import os
import re
import subprocess
import sys
import tempfile

from lib import PATIENCE_S, case, check, check_equal, children, cpu_seconds, main, wait_until

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BUSY_LOOPS = os.path.join(TREE, "tools", "busy_loops.py")

# What the tools of Debian 12 and of Debian 13 say of themselves.
VERSIONS = {
    "clang-format": ("Debian clang-format version 14.0.6", "Debian clang-format version 19.1.7 (3+b1)"),
    "cppcheck": ("Cppcheck 2.10", "Cppcheck 2.17.1"),
    "clang-tidy": ("Debian LLVM version 14.0.6", "Debian LLVM version 19.1.7\\n  Optimized build."),
}
SKIPPED = {
    "format": "skipped (clang-format 19, written for 14)",
    "cppcheck": "skipped (cppcheck 2.17, written for 2.10)",
    "tidy": "skipped (clang-tidy 19, written for 14)",
}


def with_functions(script):
    """Run a script that has the functions of ./dev. Returns what it printed."""
    done = subprocess.run(["bash", "-c", f"source ./dev\n{script}"], cwd=TREE, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    check_equal((done.returncode, done.stderr), (0, ""), f"exit code and standard error of {script!r}")
    return done.stdout


def saying(which):
    return "\n".join(f"{tool}() {{ printf '{texts[which]}\\n'; }}" for tool, texts in VERSIONS.items())


@case
def checks_whose_verdict_depends_on_the_version_are_named_as_skipped():
    printed = with_functions(saying(1) + "\nrun_checks format cppcheck tidy\ntell_results\necho $passed $failed")
    lines = printed.splitlines()
    check_equal(lines, [f"check: {name:10} {text}" for name, text in SKIPPED.items()] + ["0 0"], "what it says")


def bench_programs():
    """What `./dev bench` executes, those that are named by their verb included."""
    with open(os.path.join(TREE, "dev"), encoding="utf-8") as file:
        text = file.read()
    for verbs in re.findall(r"^\t([a-z| ]+)\)\n(?:\t\t.*\n)*?\t\texec \"bench/\$1\.py\"", text, re.M):
        yield from (f"bench/{verb.strip()}.py" for verb in verbs.split("|"))
    yield from re.findall(r"exec (bench/\w+\.py)", text)


@case
def each_bench_has_a_program_that_can_be_run_and_tells_how():
    programs = list(bench_programs())
    check({"bench/literature.py", "bench/idle.py", "bench/agree.py"} <= set(programs), f"they are {programs}")
    for program in programs:
        done = subprocess.run([os.path.join(TREE, program), "--help"], cwd=TREE, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, timeout=PATIENCE_S)
        check_equal((done.returncode, done.stderr, done.stdout[:7]), (0, "", "usage: "), f"{program} --help")


@case
def checks_run_with_the_version_they_were_written_for():
    printed = with_functions(saying(0) + "\ncheck_one() { echo ran $1; }\nrun_checks format cppcheck tidy")
    check_equal(printed.split(), "ran format ran cppcheck ran tidy".split(), "what ran")


@case
def a_tool_that_is_missing_is_named():
    printed = with_functions("check_one_with no-such-tool 14 format false")
    check_equal(printed, "check: format     skipped (no-such-tool is missing, written for 14)\n", "what it says")


def test(name, seconds, stdout="1 passed, 0 failed\n", result="OK", stderr=""):
    return {"name": f"gearbox:blackbox / {name}", "duration": seconds, "stdout": stdout, "stderr": stderr, "result": result}


def results(tests, *names):
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "meson-logs"))
        with open(os.path.join(folder, "meson-logs", "testlog.json"), "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in tests)
        done = subprocess.run([sys.executable, os.path.join(TREE, "tools", "test_results.py"), folder, *names],
                              capture_output=True, text=True, check=True)
        return done.stdout.replace(folder, "FOLDER").splitlines()


@case
def what_failed_is_told_by_its_name():
    given = [test("good", 1.5), test("bad", 2, "3 passed, 2 failed\n", "FAIL", "FAILED one[fork]: why\nFAILED two: why\n"),
             test("crashed", 3, "", "FAIL"), test("leaked", 4, "2 passed, 0 failed\n", "FAIL")]
    check_equal(results(given, "good", "absent"),
                ["sum 6 5",
                 "took 1.5 FOLDER good",
                 "failed FOLDER bad: one[fork]", "failed FOLDER bad: two", "took 2.0 FOLDER bad",
                 "failed FOLDER crashed: as a whole (fail)", "took 3.0 FOLDER crashed",
                 "failed FOLDER leaked: as a whole (fail)", "took 4.0 FOLDER leaked",
                 "failed FOLDER absent: there is no such test"], "its lines")
    check_equal(results([]), ["sum 0 1", "failed FOLDER: no test ran"], "when nothing ran")


@case
def warnings_are_errors_for_the_reference_compiler_alone():
    for answers, expected in (("echo 12.2.0", "true"), ("echo 14.2.0", "false"), ("echo 1>&2 unknown; false", "false")):
        printed = with_functions(f"cc() {{ {answers}; }}\nquietly() {{ echo $4; }}\nCC=cc configure /nonexistent/build")
        check_equal(printed, f"-Dwerror={expected}\n", f"the option where the compiler answers {answers!r}")


@case
def a_folder_is_configured_again_where_its_options_are_not_those_of_today():
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "build")
        printed = with_functions(f"""
reference_compiler() {{ false; }}
quietly() {{ echo "$*"; mkdir -p {place}; touch {place}/build.ninja; }}
for options in --buildtype=release --buildtype=release '--buildtype=debug -Db_lto=false' '--buildtype=debug -Db_lto=false'; do
    configure {place} $options
    echo done
done
rm {place}/dev-options  # an older ./dev wrote none
configure {place} --buildtype=debug
""")
    again = f"dev: {place}: configured again, with the options of today"
    check_equal(printed.splitlines(), [
        f"meson setup {place} -Dwerror=false --buildtype=release", "done", "done",
        again, f"meson setup --reconfigure {place} -Dwerror=false --buildtype=debug -Db_lto=false", "done", "done",
        again, f"meson setup --reconfigure {place} -Dwerror=false --buildtype=debug"], "what is called")


@case
def the_ten_slowest_are_told_in_order():
    printed = with_functions('for i in {1..12}; do took+=("$i.5 build test$i"); done\ntell_results')
    check_equal(printed.splitlines(), ["dev: slowest:"] + [f"dev:   {i}.5 s  build test{i}" for i in range(12, 2, -1)],
                "what it says")


@case
def busy_loops_take_every_cpu_and_end_with_who_started_them():
    starter = subprocess.Popen([sys.executable, "-c", f"import subprocess; subprocess.run([{BUSY_LOOPS!r}, '600'])"],
                               stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in starter.stdout.readline().split()]
    try:
        check_equal(len(pids), len(os.sched_getaffinity(0)), "loops")
        check_equal({os.getpriority(os.PRIO_PROCESS, pid) for pid in pids}, {os.getpriority(os.PRIO_PROCESS, 0)}, "their nice values")
        wait_until(lambda: all(cpu_seconds([pid]) > 0.2 for pid in pids), "all take CPU")
        check_equal(children(starter.pid) != [], True, "whether they are below the one who started them")
    finally:
        starter.kill()
        starter.wait()
        starter.stdout.close()
    # That no process is left is looked for after each case.


@case
def a_fuzzer_that_is_not_there_is_answered_with_those_that_are():
    known = sorted(name[:-len("_fuzz.c")] for name in os.listdir(os.path.join(TREE, "tests", "fuzz")) if name.endswith("_fuzz.c"))
    for given, expected in ((["no"], f"no fuzzer 'no': {' '.join(known)}"),
                            (["line", "--seconds", "0"], "after the codec comes --seconds N or nothing")):
        done = subprocess.run([os.path.join(TREE, "tests", "fuzz", "run.sh"), *given], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        check_equal((done.returncode, done.stdout, done.stderr), (2, "", f"fuzz: {expected}\n"), f"the answer to {given}")


if __name__ == "__main__":
    main()
