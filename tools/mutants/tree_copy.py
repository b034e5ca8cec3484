"""A copy of the tree with a build folder, in which one fault at a time is put and taken out.

What a fault does is not known beforehand (a wrong pid in kill(2) may mean everybody), so programs of the copy run in
namespaces of their own, of processes and of the network, with bounds on time and files: contained.py.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
SKIPPED = shutil.ignore_patterns(".git", "build", "build-*", "__pycache__")


class Broken(Exception):
    """A fault that could not be tried, as one line."""


def contained(words):
    """The command that runs these words in namespaces of their own."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *own, "--pid", "--net", "--mount-proc", "--fork", "--kill-child",
            sys.executable, os.path.join(HERE, "contained.py"), *words]


def check_containment():
    done = subprocess.run(contained(["true"]), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Broken(f"needs namespaces of its own, unshare(1) says: {(done.stdout + done.stderr).strip()}")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def same(one, other):
    try:
        with open(one, "rb") as first, open(other, "rb") as second:
            return first.read() == second.read()
    except OSError:
        return False


def copy_changed(source, target):
    """As copy2, but leaves a file alone that is the same, so that nothing is built again for it."""
    return target if same(source, target) else shutil.copy2(source, target)


class Copy:
    """`folder` may hold an earlier copy: then only what differs is copied and built."""

    def __init__(self, folder, root=ROOT, jobs=None):
        self.root = root
        self.tree = os.path.join(folder, "tree")
        self.jobs = [] if jobs is None else [f"-j{jobs}"]
        os.makedirs(folder, exist_ok=True)
        shutil.copytree(root, self.tree, ignore=SKIPPED, symlinks=True, dirs_exist_ok=True,
                        copy_function=copy_changed)
        self.forget_removed()

    def forget_removed(self):
        for folder, folders, names in os.walk(self.tree):
            there = os.path.join(self.root, os.path.relpath(folder, self.tree))
            folders[:] = [name for name in folders if name != "__pycache__"]
            for name in names:
                if not os.path.lexists(os.path.join(there, name)):
                    os.remove(os.path.join(folder, name))

    def command(self, *words):
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False,
                              stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            lines = (done.stdout + done.stderr).strip().splitlines() or ["without a word"]
            errors = [line for line in lines if "error:" in line]
            raise Broken(f"{words[0]} fails: {(errors or lines[-1:])[0]}")
        return done.stdout

    def configure(self, build_folder, *options):
        if not os.path.exists(os.path.join(build_folder, "build.ninja")):
            self.command("meson", "setup", build_folder, self.tree, "-Dbuildtype=plain", "-Db_lto=false",
                         "-Dwerror=false", "-Ddefault_library=static", *options)

    def build(self, build_folder, *targets):
        self.command("ninja", *self.jobs, "-C", build_folder, *targets)

    @contextlib.contextmanager
    def holding(self, file, text):
        """The file has another text for as long as this lasts."""
        path = os.path.join(self.tree, file)
        before = read(path)
        write(path, text)
        try:
            yield before
        finally:
            write(path, before)


RUNNING = set()  # those that a signal must end


def end_running():
    for pid in list(RUNNING):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def run(words, seconds, output, **options):
    """Run contained; the exit code, or None when it took too long. `output` is a file."""
    with subprocess.Popen(contained(words), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                          start_new_session=True, **options) as process:
        RUNNING.add(process.pid)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            RUNNING.discard(process.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # unshare, and with it all that is in its namespace
