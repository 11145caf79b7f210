"""Quantisation-aware scaling: optimizers for weights that are integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable("keras_tinytrain")
class QASOptimizer(keras.optimizers.Optimizer):
    """Makes an optimizer act on integer weights as on the real ones.

    An integer q stands for the real weight s q. The gradient of q is s times
    that of the real weight, while q is 1 / s times as large: of the ratio of
    weight and gradient s ** 2 is lost, and no learning rate suits. Here the
    inner optimizer sees real weights and their gradients, and q moves by
    1 / s of the step that it makes. For SGD this is to divide the gradients
    of weights by `s_W ** 2` and those of biases by `(s_W s_x) ** 2`, as in
    the paper; for Adam, which forgets the size of gradients, it is what the
    division alone would not do.

    `fit` tells it the steps, so it does nothing to a float model and leaves
    the vectors of the head alone.

    Args:
        optimizer: A Keras optimizer, or the name of one.
        name: Its name.

    Example:

    >>> model = keras_tinytrain.quantize(model, images)
    >>> sgd = keras.optimizers.SGD(0.01)
    >>> model.compile(keras_tinytrain.QASOptimizer(sgd))

    Reference:
        - [On-Device Training Under 256KB
          Memory](https://arxiv.org/abs/2206.15472), section 2.1.
    """

    def __init__(
        self,
        optimizer: str | keras.optimizers.Optimizer = "sgd",
        name: str = "qas",
    ) -> None:
        super().__init__(learning_rate=0.0, name=name)
        self.inner = keras.optimizers.get(optimizer)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the variables, all steps 1.0."""
        super().build(variables)
        self.inner.build(variables)
        self.steps = [
            self.add_variable_from_reference(v, "steps", initializer="ones")
            for v in variables
        ]

    def set_steps(self, steps: Sequence[Any]) -> None:
        """Sets the real value of 1 in each entry of the variables.

        Args:
            steps: A tensor of its shape for each variable.
        """
        for variable, value in zip(self.steps, steps):
            variable.assign(value)

    @property
    def variables(self) -> list[keras.Variable]:
        """Own variables, and those of the inner optimizer."""
        return [*super().variables, *self.inner.variables]

    @property
    def learning_rate(self) -> Any:
        """Learning rate of the inner optimizer."""
        return self.inner.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.inner.learning_rate = learning_rate

    @property
    def iterations(self) -> keras.Variable:
        """Steps that the inner optimizer has made."""
        return self.inner.iterations

    def apply(
        self,
        grads: Sequence[Any],
        trainable_variables: Sequence[keras.Variable] | None = None,
    ) -> None:
        """Makes a step."""
        variables = trainable_variables
        if variables is None:
            variables = self._trainable_variables
        if not self.built:
            self.build(variables)
        places = [self._get_variable_index(v) for v in variables]
        steps = [self.steps[i].value for i in places]
        before = [v.value * step for v, step in zip(variables, steps)]
        # The inner optimizer works in place, on the real weights, and the
        # integers then take the difference: no step changes no bit.
        held = [keras.ops.copy(v.value) for v in variables]
        for variable, real in zip(variables, before):
            variable.assign(real)
        scaled = [g / step for g, step in zip(grads, steps)]
        self.inner.apply(scaled, variables)
        for variable, old, real, step in zip(variables, held, before, steps):
            variable.assign(old + (variable.value - real) / step)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        inner = keras.saving.serialize_keras_object(self.inner)
        return {"optimizer": inner, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None) -> QASOptimizer:
        """Builds one of what `get_config` returned."""
        inner = keras.saving.deserialize_keras_object(
            config["optimizer"], custom_objects=custom_objects
        )
        return cls(inner, name=config["name"])
