"""Ways to learn a task, by name: TinyTrain and what it compares with."""

# Imported for what they register, in the order of the paper's table.
from keras_tinytrain.methods import (  # noqa: I001
    static,
    adapters,
    schemes,
    adaptive,
)
from keras_tinytrain.methods.learner import Learner, PlanLearner
from keras_tinytrain.methods.registry import (
    Method,
    Settings,
    build,
    get,
    names,
    register,
)

__all__ = [
    "Learner",
    "Method",
    "PlanLearner",
    "Settings",
    "adapters",
    "adaptive",
    "build",
    "get",
    "names",
    "register",
    "schemes",
    "static",
]
