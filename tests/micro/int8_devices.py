"""Int8 models and the engine with the same blob."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from engine_library import OK, Engine
from kernel_library import Guarded

import keras_tinytrain as ktt
from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.lower import lower

NONE = 0xFFFFFFFF


class Int8Device:
    """The whole network, from stored pixels on.

    Args:
        library: The compiled engine.
        model: A wrapped int8 model.
        folder: Of the export.
        **options: For `Engine`.
    """

    def __init__(self, library, model, folder, **options):
        result = ktt.export_micro(model, folder, from_pixels=True)
        data = result.blob.read_bytes()
        self.model, self.blob = model, read_blob(data)
        self.graph = lower(model.network)
        self.engine = Engine(library, data, **options)
        assert self.engine.init(1 << 22, 1 << 23) == OK
        assert self.engine.plan([[] for _ in range(self.engine.layers)]) == OK

    def tensors(self, sample):
        """Computes all tensors of a sample, operation by operation."""
        found = [sample]
        for i, op in enumerate(self.blob.operations):
            to = self.blob.tensors[i + 1]
            shape = to["height"], to["width"], to["channels"]
            output = Guarded(shape, np.int8 if to["type"] else np.float32)
            size = self.engine.call("engine_scratch_bytes", i)
            second = None
            if op["second"] != NONE:
                second = found[op["second"]]
            self.engine.call(
                *("engine_run", i, found[op["input"]], second),
                *(np.zeros(size // 4 + 1, np.uint32), output.array),
                *(None, None),
            )
            found.append(np.ascontiguousarray(output.check()))
        return found

    def expected(self, images):
        """Computes them with Keras, stored numbers and all."""
        tensors, found = {0: tf.constant(images, tf.float32)}, {}
        for i, op in enumerate(self.model.network.ops):
            tensors |= self.model.network.run(tensors, i, i + 1)
            found[op.output] = tensors[op.output].numpy()
        results = []
        for number, stored in zip(self.graph.sources, self.graph.stored):
            values = found[number]
            if stored is not None:
                values = (values + stored[1]).astype(np.int8)
            results.append(values)
        return results
