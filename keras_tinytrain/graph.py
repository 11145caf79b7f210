"""Flattens a Keras model into a list of operations, one per line."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import keras


@dataclasses.dataclass(frozen=True)
class Op:
    """One line of a flattened network, `output = operation(*inputs)`.

    Attributes:
        name: Path of the operation, `"inner/conv1"` inside a nested model.
        operation: The Keras layer or operation.
        inputs: Numbers of the tensors it reads.
        output: Number of the tensor it writes.
        shape: Static shape of the output, batch first.
        node: Its call in the Keras graph, which knows the other arguments.
    """

    name: str
    operation: keras.Operation
    inputs: tuple[int, ...]
    output: int
    shape: tuple[int | None, ...]
    node: Any

    def __call__(self, tensors: dict[int, Any]) -> Any:
        """Computes the output from tensors by their numbers."""
        symbols = self.node.input_tensors
        values = {id(s): tensors[i] for s, i in zip(symbols, self.inputs)}
        args, kwargs = self.node.arguments.fill_in(values)
        return self.operation(*args, **kwargs)


def flatten(model: keras.Model) -> tuple[list[Op], int]:
    """Lists the operations of a functional or Sequential model in order.

    Nested models are opened. Tensor 0 is the input of the model.

    Args:
        model: A built functional or Sequential `keras.Model` with one input
            and one output.

    Returns:
        The operations, each after those it reads from, and the number of
        the tensor that is the output of the model.

    Raises:
        ValueError: If the model is no graph of single-tensor operations, or
            a layer is used twice.
    """
    _check(model)
    ops: list[Op] = []
    output = _append(model, 0, "", ops)
    seen: dict[int, str] = {}
    for op in ops:
        if id(op.operation) in seen:
            raise ValueError(_used_again(op.name, seen[id(op.operation)]))
        seen[id(op.operation)] = op.name
    return ops, output


def _used_again(name: str, first: str) -> str:
    return (
        "Expected every layer to be used once. Received: layer "
        f"{name!r} is used again (first as {first!r}). Give each use a layer "
        "of its own."
    )


def _check(model: keras.Model) -> None:
    if not isinstance(model, (keras.Sequential, keras.Model)):
        raise ValueError(
            "Expected a functional or Sequential `keras.Model`. Received: "
            f"{type(model).__name__}"
        )
    if isinstance(model, keras.Sequential) and not model.built:
        raise ValueError(
            f"Expected a built model. Received: Sequential {model.name!r} "
            "without an input shape. Begin it with `keras.Input(shape)`."
        )
    if not (hasattr(model, "operations") or hasattr(model, "_functional")):
        raise ValueError(
            "Expected a functional or Sequential model, whose graph can be "
            f"read. Received: subclassed model {type(model).__name__!r}. "
            "Rebuild it with the functional API."
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "Expected a model with one input and one output. Received: "
            f"model {model.name!r} with {len(model.inputs)} inputs and "
            f"{len(model.outputs)} outputs."
        )


def _append(model: keras.Model, source: int, path: str, ops: list[Op]) -> int:
    """Appends the operations of `model`; returns its output tensor."""
    if isinstance(model, keras.Sequential):
        model = model._functional
    number = {id(model.inputs[0]): source}
    nodes = _nodes(model)
    calls = collections.Counter(id(node.operation) for node in nodes)
    for node in nodes:
        operation, name = node.operation, path + node.operation.name
        if calls[id(operation)] > 1:
            raise ValueError(_used_again(name, name))
        inputs = tuple(number[id(tensor)] for tensor in node.input_tensors)
        if len(node.outputs) != 1:
            raise ValueError(
                "Expected operations with one output. Received: "
                f"{type(operation).__name__} {name!r} with "
                f"{len(node.outputs)}."
            )
        if isinstance(operation, keras.Model):
            _check(operation)
            output = _append(operation, inputs[0], name + "/", ops)
        else:
            output = len(ops) + 1
            shape = tuple(node.outputs[0].shape)
            ops.append(Op(name, operation, inputs, output, shape, node))
        number[id(node.outputs[0])] = output
    return number[id(model.outputs[0])]


def _nodes(model: keras.Model) -> list:
    """Lists the nodes between input and output, sources first."""
    needed, pending = {}, [model.outputs[0]]
    while pending:
        tensor = pending.pop()
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        if id(node) in needed or id(tensor) == id(model.inputs[0]):
            continue
        needed[id(node)] = node
        pending.extend(node.input_tensors)
    order = {id(op): i for i, op in enumerate(model.operations)}
    return sorted(needed.values(), key=lambda node: order[id(node.operation)])
