#!/usr/bin/env python3
"""tools/mutants/run.py --random, which `./dev mutants` executes, on a tree of two functions: what is tested is
noticed, what is not survives, and what is listed as equivalent or compiles to the same code is not counted."""

import json
import os
import subprocess
import sys
import tempfile

from lib import CASE_SECONDS_MAX, case, check, check_equal, main

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "mutants", "run.py")

FILES = {
    "meson.build": """project('tiny', 'c')
test('base-sign', executable('base-sign-test', 'src/base/sign.c', 'src/base/sign_test.c'), suite: 'unit')
""",
    "meson_options.txt": "",
    "src/base/sign.c": """int sign_of(int x);
int at_most_100(int x);
int unused(int x);

int sign_of(int x)
{
	if (x < 0)
		return -1;
	return x > 0;
}

/* Of this only the small are tested. */
int at_most_100(int x)
{
	return x < 100 ? x : 100;
}

static int same(int x)
{
	while (x < 0 && x > 0) /* never: one of both may be turned */
		x += 3;
	return x;
}

int unused(int x)
{
	return same(x);
}
""",
    "src/base/sign_test.c": """int sign_of(int x);
int at_most_100(int x);

int main(void)
{
	int right = sign_of(-5) == -1 && sign_of(0) == 0 && sign_of(1) == 1 && at_most_100(5) == 5;

	return !right;
}
""",
    "tools/mutants/equivalent.toml": """[[change]]
file = "src/base/sign.c"
was = "return x < 100 ? x : 100;"
becomes = "return x <= 100 ? x : 100;"
why = "the same at 100"
""",
}


def mutants(folder, *arguments):
    for name, text in FILES.items():
        path = os.path.join(folder, "tree", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    report = os.path.join(folder, "report.json")
    done = subprocess.run([sys.executable, TOOL, "--tree", os.path.join(folder, "tree"), "--report", report,
                           "--work", os.path.join(folder, "work"), *arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=CASE_SECONDS_MAX)
    if "needs namespaces of its own" in done.stderr:
        return done, None
    check(os.path.exists(report), f"a report: {done.stdout}{done.stderr}")
    with open(report, encoding="utf-8") as file:
        return done, json.load(file)


def verdicts(report, function):
    return {(row["change"]["becomes"], row["verdict"]) for row in report["changes"]
            if row["change"]["function"] == function}


@case
def planted_changes_get_their_verdicts():
    with tempfile.TemporaryDirectory() as folder:
        done, report = mutants(folder, "--random", "100", "--seed", "7")
        if not report:
            return
        check_equal({verdict for _, verdict in verdicts(report, "sign_of")}, {"noticed"}, "what is tested")
        cut = verdicts(report, "at_most_100")
        check(("return x < 99 ? x : 100;", "survived") in cut, f"what is not tested: {cut}")
        check(("return x > 100 ? x : 100;", "noticed") in cut, f"what is tested for the small: {cut}")
        check(("return x <= 100 ? x : 100;", "equivalent") in cut, f"what is listed: {cut}")
        check(("x -= 3;", "same code") in verdicts(report, "same"), f"what never runs: {report}")
        check("-	return x < 100 ? x : 100;\n    +	return x < 99 ? x : 100;" in done.stdout, done.stdout)
        check("seed 7: " in done.stdout, done.stdout)
        check_equal(done.returncode, 1, "exit code below nine of ten")
        # Only the survivors, once more: they still survive, and nothing else is tried.
        os.rename(os.path.join(folder, "report.json"), os.path.join(folder, "before.json"))
        before = [row["change"] for row in report["changes"] if row["verdict"] == "survived"]
        _, report = mutants(folder, "--random", "100", "--again", os.path.join(folder, "before.json"))
        check_equal(sorted(map(str, before)), sorted(str(row["change"]) for row in report["changes"]), "once more")


@case
def a_seed_draws_the_same_changes_again():
    with tempfile.TemporaryDirectory() as folder:
        done, first = mutants(folder, "--random", "5", "--seed", "3")
        if not first:
            return
        _, second = mutants(folder, "--random", "5", "--seed", "3")
        check_equal([row["change"] for row in first["changes"]], [row["change"] for row in second["changes"]],
                    "changes of one seed")
        check_equal(sum(row["verdict"] != "does not compile" for row in first["changes"]), 5, done.stdout)


if __name__ == "__main__":
    main()
