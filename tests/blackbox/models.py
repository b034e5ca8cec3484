"""The models to test: every preset that the command lists, and presets with other engines and workers.

Nothing here names a preset for its behaviour: what a test may expect of a model follows from its axes,
so a preset that is added later is tested without a change.
"""

import json
import signal
import subprocess

from lib import GEARBOX, SMALL, THREADS, Failure, Server

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
    seen, models, refused = [], [Model(name, presets) for name in presets], []
    for spec in OVERRIDES_SMALL if SMALL else OVERRIDES:
        model = Model(spec, presets) if spec.partition(",")[0] in presets else None
        if model and model.axes not in seen:
            seen.append(model.axes)
            models.append(model)
    for model in list(models):
        # A preset may be refused for one reason only: a kernel without io_uring.
        if model.spec in presets and not model.uses_io_uring:
            continue
        reason = _refusal(model)
        if reason:
            models.remove(model)
            refused.append(f"{model} ({reason})")
    print(f"models: {' '.join(map(str, models))}" + (f"; refused: {', '.join(refused)}" if refused else ""),
          flush=True)
    return models


def _with_threads(models):
    """One of each engine whose workers are processes, and what has threads."""
    engines = {model.axes["engine"]: model for model in reversed(models) if model.processes}
    kept = [model for model in models
            if not model.processes or model.axes["compute"] == "threads" or model is engines[model.axes["engine"]]]
    print(f"models of one thread a process, left out: {' '.join(str(model) for model in models if model not in kept)}",
          flush=True)
    return kept


MODELS = _with_threads(_all()) if THREADS else _all()
# One for each engine with threads and with processes: enough where models do not matter, but time does.
EACH_ENGINE = list({(model.axes["engine"], model.axes["unit"]): model for model in reversed(MODELS)}.values())
PRESETS = [model for model in MODELS if "," not in model.spec]
