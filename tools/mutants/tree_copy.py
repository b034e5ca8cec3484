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
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
TREE = "tree"  # the name of a copy's folder
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
    """As copy, but leaves a file alone that is the same, so that nothing is built again for it. What differs is new from
    now on, whatever was built since the source was written."""
    return target if same(source, target) else shutil.copy(source, target)


class Copy:
    """`folder` may hold an earlier copy: then only what differs is copied and built."""

    def __init__(self, folder, root=ROOT):
        self.root = root
        self.tree = os.path.join(folder, TREE)
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
        else:
            self.build(build_folder, 0, "build.ninja")

    def build(self, build_folder, jobs, *targets):
        """`jobs`: 0 leaves it to ninja."""
        self.command("ninja", *([f"-j{jobs}"] if jobs else []), "-C", build_folder, *targets)

    @contextlib.contextmanager
    def holding(self, file, text, built=None):
        """The file has another text for as long as this lasts. `built`: only these files are built again for it, however
        many depend on it."""
        path = os.path.join(self.tree, file)
        before, status = read(path), os.stat(path)

        def put(other):
            write(path, other)
            if built is not None:
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
                for name in built:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name)

        put(text)
        try:
            yield before
        finally:
            put(before)


RUNNING = set()  # those that a signal must end
STOPPING = threading.Event()


class Stopped(Exception):
    """What ran was ended, and says nothing."""


def end_running():
    STOPPING.set()
    for pid in list(RUNNING):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def run(words, seconds, output, **options):
    """Run contained; the exit code, or None when it took too long. `output` is a file."""
    with subprocess.Popen(contained(words), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                          start_new_session=True, **options) as process:
        RUNNING.add(process.pid)
        try:
            code = process.wait(seconds)
            if STOPPING.is_set():
                raise Stopped
            return code
        except subprocess.TimeoutExpired:
            return None
        finally:
            RUNNING.discard(process.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # unshare, and with it all that is in its namespace
