#!/usr/bin/env python3
"""tools/mutants/run.py --random, which `./dev mutants` executes, on a tree of a few functions: what is tested is
noticed, by a case that executes it; what is not survives; and what is listed as equivalent or compiles to the same code
is not counted."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

from lib import CASE_SECONDS_MAX, case, check, check_equal, main

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TOOL = os.path.join(ROOT, "tools", "mutants", "run.py")

FILES = {
    "meson.build": """project('tiny', 'c')
foreach name : ['base-sign', 'base-limit']
  file = 'src/base/@0@_test.c'.format(name.split('-')[1])
  test(name, executable(name + '-test', 'src/base/sign.c', file, 'tests/harness/harness.c',
    include_directories: include_directories('src', 'tests/harness')), suite: 'unit')
endforeach
gearbox = executable('gearbox', 'src/base/sign.c', 'cli/main.c', include_directories: include_directories('src'))
test('signs', find_program('python3'), args: files('signs_test.py'), env: {'GEARBOX': gearbox.full_path()},
  depends: gearbox, suite: 'blackbox')
""",
    "cli/main.c": """#include "base/sign.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	return argc < 2 || printf("%d", sign_of(atoi(argv[1]))) < 0;
}
""",
    "signs_test.py": """import os, subprocess
for number, sign in (("-5", b"-1"), ("0", b"0"), ("1", b"1")):
    assert subprocess.check_output([os.environ["GEARBOX"], number]) == sign
""",
    "meson_options.txt": "",
    "src/base/sign.h": """int sign_of(int x);
int at_most_100(int x);
int unused(int x);

static inline int twice(int x)
{
	return 2 * x;
}
""",
    "src/base/sign.c": """#include "base/sign.h"

#define MOST 100

int sign_of(int x)
{
	if (x < 0)
		return -1;
	return x > 0;
}

/* Of this only the small are tested. */
int at_most_100(int x)
{
	return x < MOST ? twice(x) / 2 : MOST;
}

int unused(int x)
{
	return x * 1;
}
""",
    "src/base/sign_test.c": """#include "base/sign.h"

#include "harness.h"

TEST(a_sign_is_told)
{
	CHECK(sign_of(-5) == -1 && sign_of(0) == 0 && sign_of(1) == 1);
}
""",
    "src/base/limit_test.c": """#include "base/sign.h"

#include "harness.h"

TEST(nothing_has_no_sign)
{
	CHECK(sign_of(0) == 0);
}

TEST(the_small_is_kept)
{
	CHECK(at_most_100(5) == 5);
}
""",
    "tools/mutants/equivalent.toml": """[[change]]
file = "src/base/sign.c"
function = "at_most_100"
was = "return x < MOST ? twice(x) / 2 : MOST;"
becomes = "return x <= MOST ? twice(x) / 2 : MOST;"
why = "the same at 100"

[[change]]
file = "src/base/sign.c"
function = "elsewhere"
was = "return x > 0;"
becomes = "return x >= 0;"
why = "of another function"
""",
}


def write(folder, files):
    for name, text in files.items():
        path = os.path.join(folder, "tree", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def mutants(folder, *arguments, suite="--unit"):
    """(what ended, its report), or (what ended, None) where it cannot be contained."""
    shutil.copytree(os.path.join(ROOT, "tests", "harness"), os.path.join(folder, "tree", "tests", "harness"),
                    dirs_exist_ok=True)
    report = os.path.join(folder, "report.json")
    done = subprocess.run([sys.executable, TOOL, "--tree", os.path.join(folder, "tree"), "--report", report,
                           "--work", os.path.join(folder, "work"), suite, *arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=CASE_SECONDS_MAX)
    if "needs namespaces of its own" in done.stderr:
        return done, None
    check(os.path.exists(report), f"a report: {done.stdout}{done.stderr}")
    with open(report, encoding="utf-8") as file:
        return done, json.load(file)


def verdicts(report, function):
    """{what was made of a line: (the verdict, by whom)}"""
    return {row["change"]["becomes"]: (row["verdict"], row["by"]) for row in report["changes"]
            if row["change"]["function"] == function}


@case
def planted_changes_get_their_verdicts():
    with tempfile.TemporaryDirectory() as folder:
        write(folder, FILES)
        done, report = mutants(folder, "--random", "100", "--seed", "7")
        if not report:
            return
        sign = verdicts(report, "sign_of")
        check_equal({verdict for verdict, _ in sign.values()}, {"noticed"}, "what is tested")
        # The cheapest case that executes a line says it first; only one gives what is below 0.
        check_equal(sign["return -2;"], ("noticed", "base-sign: a_sign_is_told fails"), "of one case")
        check("0 places of src/base/sign.c, function 'elsewhere', read 'return x > 0;'" in done.stdout, done.stdout)
        check_equal(done.stdout.count("adapt it"), 1, f"entries that do not fit: {done.stdout}")
        cut = verdicts(report, "at_most_100")
        most = "return x {} MOST ? twice(x) / 2 : MOST;".format
        small = ("noticed", "base-limit: the_small_is_kept fails")
        check_equal(cut[most(">")], small, "what is tested for the small")
        check_equal(cut[most("<=")], ("equivalent", "the same at 100"), "what is listed")
        check_equal(verdicts(report, "twice")["return 3 * x;"], small, "in a header")
        check_equal(verdicts(report, "")["#define MOST 99"][0], "survived", "a constant that no test knows")
        never = verdicts(report, "unused")
        check_equal(never["return x / 1;"], ("same code", ""), "what the compiler makes the same of")
        check_equal(never["return x * 2;"], ("survived", "no test reaches it"), "what is never executed")
        check("-#define MOST 100\n    +#define MOST 99" in done.stdout, done.stdout)
        check("seed 7: " in done.stdout, done.stdout)
        check_equal(done.returncode, 1, "exit code below nine of ten")
        again_with_another_test(folder, report)


def again_with_another_test(folder, before):
    """Survivors alone are tried once more; the new report is of all."""
    write(folder, {"src/base/limit_test.c": FILES["src/base/limit_test.c"] + """
TEST(the_large_is_cut)
{
	CHECK(at_most_100(99) == 99);
	CHECK(at_most_100(500) == 100);
}
"""})
    os.rename(os.path.join(folder, "report.json"), os.path.join(folder, "before.json"))
    done, after = mutants(folder, "--random", "100", "--again", os.path.join(folder, "before.json"))
    check_equal(len(after["changes"]), len(before["changes"]), "changes in the sum")
    check_equal(verdicts(after, "")["#define MOST 99"], ("noticed", "base-limit: the_large_is_cut fails"), "now noticed")
    survived = [row["change"]["becomes"] for row in before["changes"] if row["verdict"] == "survived"]
    told = [line for line in done.stdout.splitlines() if line.startswith(("noticed  ", "survived  "))
            and "src/base" in line]
    check_equal(len(told), len(survived), f"tried again, of {survived}: {told}")


@case
def black_box_tests_notice_what_the_command_executes():
    with tempfile.TemporaryDirectory() as folder:
        write(folder, FILES)
        done, report = mutants(folder, "--random", "100", suite="--blackbox")
        if not report:
            return
        check("1 tests, 1 cases" in done.stdout, done.stdout)
        check_equal(set(verdicts(report, "sign_of").values()), {("noticed", "signs fails")}, "what the command executes")
        check_equal(verdicts(report, "twice")["return 3 * x;"], ("survived", "no test reaches it"), "what it does not")


@case
def a_seed_draws_the_same_changes_again():
    with tempfile.TemporaryDirectory() as folder:
        write(folder, FILES)
        done, first = mutants(folder, "--random", "5", "--seed", "3", "--jobs", "1")
        if not first:
            return
        _, second = mutants(folder, "--random", "5", "--seed", "3", "--jobs", "1")
        check_equal([row["change"] for row in first["changes"]], [row["change"] for row in second["changes"]],
                    "changes of one seed")
        check_equal(sum(row["verdict"] != "does not compile" for row in first["changes"]), 5, done.stdout)


if __name__ == "__main__":
    main()
