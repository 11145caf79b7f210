"""The methods by name, and the one verb to get a learner: `build`."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import os
from collections.abc import Callable

import keras

from keras_tinytrain.budget import Budget
from keras_tinytrain.methods.learner import Learner
from keras_tinytrain.training import STEPS


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a method may be told; it takes what concerns it.

    Attributes:
        budget: What training may cost; None for a method that needs none.
        cost_model: What costs are counted in, `"paper"` or `"arena"`.
        head: `"linear"` or `"prototype"`; None is the method's own.
        steps: Training steps.
        scheme: What SparseUpdate trains: name of a published scheme, or the
            path of a scheme file; None is the net's default one.
    """

    budget: Budget | None = None
    cost_model: str = "paper"
    head: str | None = None
    steps: int = STEPS
    scheme: str | os.PathLike | None = None


Make = Callable[[keras.Model, Settings], Learner]


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to learn a task.

    Attributes:
        name: What `build` knows it by.
        title: What tables and figures call it, the paper's name if any.
        make: Builds the learner of a plain Keras net under `Settings`.
        adaptive: Whether it chooses what to train, task by task.
    """

    name: str
    title: str
    make: Make
    adaptive: bool = False

    @property
    def description(self) -> str:
        """One paragraph: what the method does, and where it comes from."""
        return inspect.getdoc(self.make)


_METHODS: dict[str, Method] = {}


def register(
    name: str, *, title: str, adaptive: bool = False
) -> Callable[[Make], Make]:
    """Enters the function below it as a method.

    The function takes a plain Keras net and `Settings` and returns a
    `Learner`, which may wrap the net, change a copy of it first, or train
    under a loss of its own. Its docstring is the method's description.

    Args:
        name: What `build` is to know it by.
        title: What tables and figures are to call it.
        adaptive: Whether it chooses what to train, task by task.

    Raises:
        ValueError: If there is a method of that name, or no docstring.

    Example:

    >>> @register("frozen", title="Frozen")
    ... def frozen(net, settings):
    ...     \"\"\"Class means of a frozen network.\"\"\"
    """

    def enter(make: Make) -> Make:
        if name in _METHODS or not inspect.getdoc(make):
            raise ValueError(
                "Expected a new name, and a function with a docstring. "
                f"Received: {name!r} for {make}, with the methods {names()}"
            )
        _METHODS[name] = Method(name, title, make, adaptive)
        return make

    return enter


def names() -> list[str]:
    """Returns the names of all methods, in the order of the tables."""
    return list(_METHODS)


def get(name: str) -> Method:
    """Returns a method by its name.

    Raises:
        ValueError: If there is none of that name, with the known ones,
            nearest first.
    """
    if name not in _METHODS:
        nearest = difflib.get_close_matches(
            str(name), _METHODS, n=len(_METHODS), cutoff=0.0
        )
        raise ValueError(
            "Expected the name of a method, nearest first one of: "
            f"{', '.join(nearest)}. Received: {name!r}"
        )
    return _METHODS[name]


def build(
    name: str,
    net: keras.Model,
    *,
    budget: Budget | None = None,
    cost_model: str = "paper",
    head: str | None = None,
    steps: int = STEPS,
    scheme: str | os.PathLike | None = None,
) -> Learner:
    """Builds a learner, which learns any number of tasks, one by one.

    The net is copied and compiled once; no later task traces it again. It
    stays as it is.

    Args:
        name: One of `names()`.
        net: A Keras CNN without classifier, as `keras_tinytrain.wrap` takes.
        budget: What training may cost. Methods without choice ignore it.
        cost_model: `"paper"` or `"arena"`: what costs and budget are counted
            in, see `keras_tinytrain.layer_costs`.
        head: `"linear"` or `"prototype"` in place of the method's own.
        steps: Training steps.
        scheme: What SparseUpdate trains: name of a published scheme, or the
            path of a scheme file. None is the net's default one.

    Returns:
        The `Learner`.

    Raises:
        ValueError: If there is no such method, if it needs a budget or a
            scheme and has none, or if nothing fits the budget.

    Example:

    >>> budget = ktt.Budget(memory="0.89MB", macs=6_510_000)
    >>> learner = ktt.methods.build("tinytrain", net, budget=budget)
    >>> learner.learn(task.support)
    >>> learner.evaluate(task.query)
    0.86
    """
    settings = Settings(budget, cost_model, head, steps, scheme)
    return get(name).make(net, settings)
