"""The backward kernels as operators, in TensorFlow Lite Micro itself."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from kernel_cases import VALID, Layer, same

from keras_tinytrain.quantization.tflite import Writer

HERE = Path(__file__).parent
pytestmark = pytest.mark.usefixtures("compiled")
EXAMPLES = 2
CONV2D, DEPTHWISE = "TinyTrainConv2D", "TinyTrainDepthwiseConv2D"
DENSE, BIAS = "TinyTrainDense", "TinyTrainBiasBackward"
MASKS = {"one": [2], "some": [0, 3, 4], "all": range(5)}
# (height, width), kernel, stride, padding; then channels in.
WINDOWS = [
    ((8, 8), (1, 1), (1, 1), VALID),
    ((9, 7), (1, 1), (2, 2), VALID),
    ((9, 7), (3, 3), (1, 1), (1, 1, 1, 1)),
    ((8, 8), (3, 3), (2, 2), (*same(8, 3, 2), *same(8, 3, 2))),
    ((5, 12), (5, 5), (2, 2), (2, 2, 2, 2)),
    ((7, 7), (7, 7), (1, 1), VALID),
    ((6, 11), (3, 5), (2, 1), (1, 1, 2, 2)),
]


def model_of(name, options, inputs, output_shape):
    """Writes a graph of one operator that takes all its tensors as inputs."""
    writer = Writer()
    places = [
        writer.add_tensor(x.shape, x.dtype, f"input_{i}")
        for i, x in enumerate(inputs)
    ]
    output = writer.add_tensor(output_shape, np.float32, "output")
    writer.add_custom(name, options, places, [output])
    return writer.finish(places, [output])


class Cases:
    """Graphs, their inputs, and what TensorFlow says to them."""

    def __init__(self):
        self.rows, self.expected, self.names = [], [], []
        self.random = np.random.default_rng(0)

    def draw(self, *shape):
        return self.random.normal(size=shape).astype(np.float32)

    def add(self, label, name, options, inputs, expected):
        model = model_of(name, options, inputs, expected.shape)
        self.rows.append((model, inputs))
        self.expected.append(expected)
        self.names.append(label)

    def add_window(self, depthwise, layer):
        """Both gradients of a convolution, by TensorFlow's."""
        n_in, n_out = layer.channels
        x = tf.Variable(self.draw(EXAMPLES, *layer.size, n_in))
        shape = (n_in, 1) if depthwise else (n_in, n_out)
        filter_ = tf.Variable(self.draw(*layer.kernel, *shape))
        top, bottom, left, right = layer.padding
        with tf.GradientTape() as tape:
            padded = tf.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)])
            if depthwise:
                ones = (1, 1, 1, 1)
                y = tf.nn.depthwise_conv2d(padded, filter_, ones, "VALID")
                y = y[:, :: layer.stride[0], :: layer.stride[1]]
            else:
                y = tf.nn.conv2d(padded, filter_, layer.stride, "VALID")
            d_y = self.draw(*y.shape)
            loss = tf.reduce_sum(y * d_y)
        d_x, d_filter = (g.numpy() for g in tape.gradient(loss, (x, filter_)))
        options = np.array([*layer.stride, top, left], "<i4").tobytes()
        kind, axes = (DEPTHWISE, (3, 0, 1, 2)) if depthwise else (CONV2D, None)
        # As TensorFlow Lite has them: rows of channels, or one of them all.
        rows = filter_.numpy().transpose(axes or (3, 0, 1, 2))
        d_rows = d_filter.transpose((2, 0, 1, 3) if depthwise else (3, 0, 1, 2))
        d_rows = d_rows[..., 0] if depthwise else d_rows
        channels = np.array(MASKS[layer.mask], np.int16)
        self.add(
            *(f"{kind} input {layer}", f"{kind}BackwardInput", options),
            *([d_y, np.ascontiguousarray(rows)], d_x),
        )
        self.add(
            *(f"{kind} filter {layer}", f"{kind}BackwardFilter", options),
            *([x.numpy(), d_y, channels], d_rows[channels]),
        )
        self.add(
            *(f"bias {layer}", BIAS, b""),
            *([d_y, channels], d_y.sum((0, 1, 2))[channels]),
        )

    def add_dense(self, mask):
        x, filter_ = self.draw(3, 6), self.draw(5, 6)
        d_y, channels = self.draw(3, 5), np.array(MASKS[mask], np.int16)
        x, filter_ = tf.Variable(x), tf.Variable(filter_)
        with tf.GradientTape() as tape:
            y = tf.matmul(x, filter_, transpose_b=True)
            loss = tf.reduce_sum(y * d_y)
        d_x, d_filter = (g.numpy() for g in tape.gradient(loss, (x, filter_)))
        name = f"{DENSE}BackwardInput"
        self.add(f"dense {mask}", name, b"", [d_y, filter_.numpy()], d_x)
        name = f"{DENSE}BackwardFilter"
        inputs = [x.numpy(), d_y, channels]
        self.add(f"dense {mask}", name, b"", inputs, d_filter[channels])
        inputs = [d_y, channels]
        self.add(f"dense {mask}", BIAS, b"", inputs, d_y.sum(0)[channels])


def run(cases, wheel, folder, build_folder):
    """Returns an output for each graph, or what the wheel said instead."""
    kind, environment = wheel
    path, results = folder / "cases", folder / "results"
    path.write_bytes(pickle.dumps(cases.rows))
    process = subprocess.run(
        [sys.executable, HERE / "run_kernel_ops.py", kind, path, results],
        env=environment | {"XDG_CACHE_HOME": str(build_folder)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-4000:]
    return pickle.loads(results.read_bytes())


def test_gradients_are_those_of_tensorflow(tmp_path, wheel, build_folder):
    cases = Cases()
    for i, window in enumerate(WINDOWS):
        for mask in MASKS:
            for depthwise in (False, True):
                channels = (5, 5) if depthwise else (4 - i % 2, 5)
                size, *rest = window
                layer = Layer(size, channels, *rest, mask)
                cases.add_window(depthwise, layer)
    for mask in MASKS:
        cases.add_dense(mask)
    found = run(cases, wheel, tmp_path, build_folder)
    assert len(found) == len(cases.expected) == 3 * (2 * 3 * 7 + 3)
    for name, actual, expected in zip(cases.names, found, cases.expected):
        assert isinstance(actual, np.ndarray), (name, actual)
        atol = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(
            actual, expected, rtol=1e-5, atol=atol, err_msg=name
        )


def test_what_does_not_fit_is_refused(tmp_path, wheel, build_folder):
    """By Prepare or, of channels, by Invoke; nothing is computed."""
    cases = Cases()
    options = np.array([1, 1, 1, 1], "<i4").tobytes()
    x, d_y = cases.draw(1, 6, 6, 3), cases.draw(1, 6, 6, 4)
    filter_, d_x = cases.draw(4, 3, 3, 3), cases.draw(1, 6, 6, 3)
    d_filter, two = cases.draw(2, 3, 3, 3), np.array([1, 3], np.int16)
    name = f"{CONV2D}BackwardInput"
    wrong = {
        "options": [
            (name, b"", [d_y, filter_], d_x),
            (name, options[:12], [d_y, filter_], d_x),
            (
                name,
                np.array([0, 1, 1, 1], "<i4").tobytes(),
                [d_y, filter_],
                d_x,
            ),
            (
                name,
                np.array([1, 1, 3, 1], "<i4").tobytes(),
                [d_y, filter_],
                d_x,
            ),
            (
                name,
                np.array([9, 1, 1, 1], "<i4").tobytes(),
                [d_y, filter_],
                d_x,
            ),
        ],
        "filter of another": [
            (name, options, [d_y, filter_[:, :, :, :2]], d_x),
            (name, options, [d_y, filter_[:3]], d_x),
        ],
        "types or ranks": [
            (name, options, [d_y, filter_[0]], d_x),
            (name, options, [d_y[0], filter_], d_x),
        ],
        "number of tensors": [(name, options, [d_y], d_x)],
        "rising channels": [
            (f"{CONV2D}BackwardFilter", options, [x, d_y, channels], d_filter)
            for channels in (two[::-1].copy(), two + 1, two - 2, two * 0)
        ],
    }
    for reason, rows in wrong.items():
        for row in rows:
            cases.add(reason, *row)
    found = run(cases, wheel, tmp_path, build_folder)
    for reason, said in zip(cases.names, found):
        assert isinstance(said, str), reason
        assert "TinyTrain kernel: " in said, reason
        assert reason in said.split("TinyTrain kernel: ")[1]
