"""Fine-tunes an int8 prefix with tensorflow-model-optimization.

    python tfmot_process.py FOLDER

A program, not a module: importing that package makes the whole process use
Keras 2, so `fine_tuning.py` runs this file by its path, and no other imports
it. FOLDER has `task.json` and `task.npz`; `result.npz` is written to it.

All weights and scales train, against what the float prefix computes of the
same flipped and shifted images. The package's own settings have one scale for
all channels of a depthwise kernel and know no sum with an activation, so each
layer has a `QuantizeConfig` with the numbers of docs/quantization.md.
"""

import json
import pathlib
import sys
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
from tensorflow_model_optimization.python.core.keras.compat import keras

quantize = tfmot.quantization.keras
ACTIVATIONS = {"none": None, "relu": tf.nn.relu, "relu6": tf.nn.relu6}
# How much faster the logarithm of a scale moves than a weight.
SCALE_RATE = 30.0
# Scales of the quantized tensors, by number.
SCALES: dict[int, Callable[[], tf.Tensor]] = {}


class PerChannel(quantize.quantizers.Quantizer):
    """Kernels: symmetric, a scale per output channel, from -127 to 127.

    Args:
        depthwise: Whether kernels are `(height, width, channels, 1)`.
    """

    def __init__(self, depthwise):
        self.depthwise = depthwise

    def build(self, tensor_shape, name, layer):
        """Needs no variables."""
        return {}

    def __call__(self, inputs, training, weights, **kwargs):
        """Rounds; gradients pass as if it did not."""
        rows = inputs[..., 0] if self.depthwise else inputs
        most = tf.reduce_max(tf.abs(rows), axis=range(len(rows.shape) - 1))
        most = tf.maximum(tf.stop_gradient(most), 1e-9)
        rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            rows, -most, most, narrow_range=True
        )
        return rounded[..., None] if self.depthwise else rounded

    def get_config(self):
        """Returns the argument."""
        return {"depthwise": self.depthwise}


class Rounded(quantize.quantizers.Quantizer):
    """Tensors between layers: a scale, which trains, and a zero point.

    The package's own quantizers give a range no gradient from inside of it, so
    that it could only grow. Here a scale has that of rounding too (LSQ).

    Args:
        tensor: Number of the tensor.
        scale: Real value of one step at the start.
        zero_point: Stored value that means 0.0.
    """

    def __init__(self, tensor, scale, zero_point):
        self.arguments = {
            "tensor": tensor,
            "scale": scale,
            "zero_point": zero_point,
        }

    def build(self, tensor_shape, name, layer):
        """Makes what the logarithm of the scale moves by."""
        tensor, start, _ = self.arguments.values()
        move = layer.add_weight(name=f"{name}_move", initializer="zeros")
        SCALES[tensor] = lambda: start * tf.exp(SCALE_RATE * move)
        return {"move": move}

    def __call__(self, inputs, training, weights, **kwargs):
        """Rounds and cuts off."""
        tensor, _, zero_point = self.arguments.values()
        scale = SCALES[tensor]()
        steps = inputs / scale
        steps += tf.stop_gradient(tf.round(steps) - steps)
        low, high = -128.0 - zero_point, 127.0 - zero_point
        return scale * tf.clip_by_value(steps, low, high)

    def get_config(self):
        """Returns the arguments."""
        return self.arguments


class Folded(quantize.QuantizeConfig):
    """A layer whose activation is part of it, BatchNormalization folded.

    Args:
        tensor: Number of the tensor that it writes.
        scale: See `Rounded`.
        zero_point: See `Rounded`.
    """

    def __init__(self, tensor, scale, zero_point):
        self.arguments = {
            "tensor": tensor,
            "scale": scale,
            "zero_point": zero_point,
        }

    def get_weights_and_quantizers(self, layer):
        """Kernels alone: biases are int32."""
        name = _kernel_name(layer)
        if name is None:
            return []
        rows = PerChannel(depthwise=name == "depthwise_kernel")
        return [(getattr(layer, name), rows)]

    def set_quantize_weights(self, layer, quantize_weights):
        """Replaces the kernel."""
        if quantize_weights:
            setattr(layer, _kernel_name(layer), quantize_weights[0])

    def get_activations_and_quantizers(self, layer):
        """Rounds what comes out of the activation, not what goes in."""
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        """Has none."""
        del quantize_activations

    def get_output_quantizers(self, layer):
        """The tensor between this layer and the next."""
        return [Rounded(**self.arguments)]

    def get_config(self):
        """Returns the arguments."""
        return self.arguments


def _kernel_name(layer):
    names = "depthwise_kernel", "kernel"
    return next((name for name in names if hasattr(layer, name)), None)


def build(task, arrays, annotate):
    """Returns the prefix, its layers annotated by a function.

    Args:
        task: What `fine_tuning.py` describes.
        arrays: Its weights.
        annotate: Called with a layer and its `Folded`; returns a layer.
    """
    layers = keras.layers
    image = keras.Input(task["input_shape"])
    config = Folded(task["start"], *task["input_stored"])
    start = layers.Activation("linear", name="start")
    tensors = {task["start"]: annotate(start, config)(image)}
    for op in task["ops"]:
        found = [tensors[i] for i in op["inputs"]]
        top, bottom, left, right = op["padding"]
        if op["weighted"] and any(op["padding"]):
            sides = (top, bottom), (left, right)
            found = [layers.ZeroPadding2D(sides)(found[0])]
        if op["kind"] == "dense" and len(found[0].shape) == 4:
            found = [layers.Flatten()(found[0])]
        plain = layer = make_layer(op)
        if op["stored"]:
            config = Folded(op["output"], *op["stored"])
            layer = annotate(layer, config)
        output = layer(found if len(found) > 1 else found[0])
        tensors[op["output"]] = output
        if op["weighted"]:
            names = (f"{op['output']}/{part}" for part in ("kernel", "bias"))
            pairs = zip(plain.get_weights(), names)
            plain.set_weights([arrays[n].reshape(w.shape) for w, n in pairs])
    return keras.Model(image, output)


def make_layer(op):
    """Returns the layer of an operation."""
    layers, kind = keras.layers, op["kind"]
    name = f"op{op['output']}"
    common = {"activation": ACTIVATIONS[op["activation"]], "name": name}
    window = op["kernel"], op["strides"]
    if kind == "conv2d":
        return layers.Conv2D(op["channels"], *window, **common)
    if kind == "depthwise_conv2d":
        return layers.DepthwiseConv2D(*window, **common)
    if kind == "dense":
        return layers.Dense(op["channels"], **common)
    if kind == "add":
        return Sum(activation=op["activation"], name=name)
    if kind == "activation":
        return layers.Activation(**common)
    if kind == "global_average_pool":
        return layers.GlobalAveragePooling2D(name=name)
    pools = {
        "average_pool": layers.AveragePooling2D,
        "max_pool": layers.MaxPooling2D,
    }
    padding = "same" if any(op["padding"]) else "valid"
    return pools[kind](*window, padding=padding, name=name)


class Sum(keras.layers.Layer):
    """Adds, and applies an activation.

    Args:
        activation: One of `ACTIVATIONS`.
        name: Name of the layer.
    """

    def __init__(self, activation="none", name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.activation = activation

    def call(self, inputs):
        """Adds."""
        total = inputs[0] + inputs[1]
        activate = ACTIVATIONS[self.activation]
        return activate(total) if activate else total

    def get_config(self):
        """Returns the arguments."""
        return super().get_config() | {"activation": self.activation}


def shifted(image):
    """Returns an image, flipped or not, moved by up to a sixteenth."""
    height, width, _ = image.shape
    room = [(side // 16, side // 16) for side in (height, width)]
    padded = tf.pad(image, [*room, (0, 0)], "SYMMETRIC")
    image = tf.image.random_crop(padded, image.shape)
    return tf.image.random_flip_left_right(image)


def relative_error(expected, found):
    """Returns the mean squared error as a share of the mean square."""
    error = tf.reduce_mean(tf.square(expected - found))
    return error / tf.reduce_mean(tf.square(expected))


def main(folder):
    """Reads the task, trains, and writes what came of it."""
    task = json.loads((folder / "task.json").read_text())
    arrays = dict(np.load(folder / "task.npz"))
    keras.utils.set_random_seed(0)
    teacher = build(task, arrays, lambda layer, config: layer)
    own = {c.__name__: c for c in (Folded, PerChannel, Rounded, Sum)}
    with quantize.quantize_scope(own):
        annotate = quantize.quantize_annotate_layer
        model = quantize.quantize_apply(build(task, arrays, annotate))
    steps = task["epochs"] * -(-len(arrays["images"]) // task["batch_size"])
    rate = keras.optimizers.schedules.CosineDecay(task["learning_rate"], steps)
    model.compile(keras.optimizers.Adam(rate), loss=relative_error)
    images = tf.data.Dataset.from_tensor_slices(arrays["images"])
    images = images.shuffle(len(arrays["images"]), seed=0).map(shifted)
    pairs = images.batch(task["batch_size"]).map(lambda x: (x, teacher(x)))
    found = model.fit(pairs, epochs=task["epochs"], verbose=0)
    losses = found.history["loss"]
    results = {"losses": np.array(losses)}
    for tensor, scale in SCALES.items():
        results[f"scale/{tensor}"] = scale().numpy()
    for op in task["ops"]:
        if op["weighted"]:
            output = op["output"]
            wrapper = model.get_layer(f"quant_op{output}")
            for variable in wrapper.trainable_weights:
                part = variable.name.split("/")[-1].partition(":")[0]
                part = part.removeprefix("depthwise_")
                if part in ("kernel", "bias"):
                    results[f"{output}/{part}"] = variable.numpy()
    np.savez(folder / "result.npz", **results)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
