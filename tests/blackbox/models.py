"""The models to test: every preset that the command lists, and presets with other engines and workers.

Nothing here names a preset for its behaviour: what a test may expect of a model follows from its axes,
so a preset that is added later is tested without a change.
"""

import json
import signal
import subprocess

from cover import pairwise
from lib import FULL, GEARBOX, SMALL, THREADS, Failure, Server

OVERRIDES = (
    "reactor,engine=poll",
    "reactor,engine=select",
    "reactor,engine=busy",
    "reactor,workers=2",
    "multi-reactor,compute=processes",
    "multi-reactor,engine=poll",
    "multi-reactor,engine=select",
    "prefork-reactor,engine=poll",
    "prefork-reactor,engine=select",
    "prefork-reactor,engine=io_uring",
    "prefork-reactor,wake=all",
    "prefork-reactor,wake=lock",
    "prefork,wake=lock",
    "multi-reactor,place=least-connections",
    "prethread,engine=io_uring",
    "thread-pool,workers=5",
)
OVERRIDES_SMALL = ("reactor,engine=poll", "reactor,engine=select", "prefork-reactor,engine=io_uring")


class Model:
    """A preset, perhaps with overrides, and what its axes mean for a client."""

    def __init__(self, spec, presets):
        name, *overrides = spec.split(",")
        self.spec = spec
        self.axes = {**presets[name], **dict(pair.split("=", 1) for pair in overrides)}

    @property
    def arguments(self):
        return ("--model", self.spec)

    @property
    def settled(self):
        """The arguments for as many threads whatever comes: a pool that sizes itself has more or fewer when it likes."""
        return ("--model", self.spec + (",compute-workers=2" if self.axes["compute"] == "threads" else ""))

    @property
    def per_connection(self):
        return self.axes["workers"] == "per-connection"

    @property
    def one_at_a_time(self):
        """Each worker serves one connection; the others wait until it ends."""
        return self.axes["engine"] == "blocking" and not self.per_connection

    @property
    def processes(self):
        """Workers are processes."""
        return self.axes["unit"] == "process"

    @property
    def polls_busily(self):
        """Takes a CPU even when nothing happens: that is its idea."""
        return self.axes["engine"] == "busy"

    @property
    def uses_io_uring(self):
        return self.axes["engine"] in ("io_uring", "auto")

    def with_workers(self, number):
        """The arguments with so many workers, where their number is not a matter of the model."""
        if self.per_connection or self.axes["workers"] == "1":
            return self.arguments
        words = [word for word in self.spec.split(",") if not word.startswith("workers=")]
        return ("--model", ",".join([*words, f"workers={number}"]))

    def serving(self, connections):
        """The arguments with workers enough to serve so many at the same time, or None: it cannot."""
        if not self.one_at_a_time or connections == 1:
            return self.arguments
        if self.axes["workers"] == "1":
            return None
        return self.with_workers(connections)

    def __str__(self):
        return self.spec


def presets_axes():
    """{name: its axes} of all presets."""
    done = subprocess.run([GEARBOX, "models", "--json"], capture_output=True, check=True)
    return {row["name"]: row["axes"] for row in json.loads(done.stdout)["models"]}


def _refusal(model):
    """Why the command refuses the model here, or None."""
    try:
        server = Server(*model.arguments)
    except Failure as failure:
        return str(failure)
    server.stop(signal.SIGTERM)
    server.process.stderr.close()
    return None


def _all():
    """All models of the matrix that work here. What is left out is said, never silently."""
    presets = presets_axes()
    seen, models = [], [Model(name, presets) for name in presets]
    for spec in OVERRIDES_SMALL if SMALL else OVERRIDES:
        model = Model(spec, presets) if spec.partition(",")[0] in presets else None
        if model and model.axes not in seen:
            seen.append(model.axes)
            models.append(model)
    # There is one reason to refuse any of them: a kernel without io_uring.
    with_ring = [model for model in models if model.uses_io_uring]
    reason = _refusal(with_ring[0])
    if reason:
        print(f"refused: {' '.join(map(str, with_ring))} ({reason})")
    return [model for model in models if not reason or not model.uses_io_uring]


def _cover(models):
    return models if FULL else pairwise(models, axes_of=lambda model: model.axes)


def _kept(models):
    """Those of this run. A sanitizer sees again what it saw where axes meet as they did: it gets a cover, and the thread
    sanitizer, which has nothing to see in processes of one thread, one of each engine of those."""
    kept = models
    if THREADS:
        engines = {model.axes["engine"]: model for model in reversed(models) if model.processes}
        kept = [*_cover([model for model in models if not model.processes or model.axes["compute"] == "threads"]),
                *engines.values()]
    elif SMALL:
        kept = _cover(models)
    print(f"models: {' '.join(str(model) for model in models if model in kept)}", flush=True)
    if len(kept) < len(models):
        print(f"left out: {' '.join(str(model) for model in models if model not in kept)}", flush=True)
    return [model for model in models if model in kept]


MODELS = _kept(_all())
# One for each engine with threads and with processes: enough where models do not matter, but time does.
EACH_ENGINE = list({(model.axes["engine"], model.axes["unit"]): model for model in sorted(
    reversed(MODELS), key=lambda model: model.axes["compute"] == "inline")}.values())
PRESETS = [model for model in MODELS if "," not in model.spec]
