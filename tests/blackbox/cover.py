"""Fewer of many models: enough that whatever two axes do together is seen, and each way of accepting for workers."""

import functools
import itertools

from lib import run

SHAPE = ("accept", "unit", "workers")


@functools.cache
def combinations():
    """Every combination that the command knows, as --model and --only take it, two workers where there are many."""
    lines = run("models", "--combinations").stdout.splitlines()[:-1]
    return tuple(line.replace("workers=N", "workers=2") for line in lines)


def _axes(spec):
    return dict(pair.split("=") for pair in spec.split(","))


def _shown(axes):
    """What a model with these axes shows."""
    return {*itertools.combinations(sorted(axes.items()), 2), tuple(axes[axis] for axis in SHAPE)}


def pairwise(models, first=0, axes_of=_axes):
    """Models enough for that, in their order. For another `first`, others where it makes no difference, so that who asks
    for several covers sees more of how three axes meet."""
    turned = models[first % len(models):] + models[:first % len(models)]
    missing = set().union(*(_shown(axes_of(model)) for model in models))
    kept = []
    while missing:
        best = max(turned, key=lambda model: len(_shown(axes_of(model)) & missing))
        missing -= _shown(axes_of(best))
        kept.append(best)
    return [model for model in models if model in kept]
