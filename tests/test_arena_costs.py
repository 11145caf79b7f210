"""Bytes of a device by hand; tests/micro/test_engine_bytes.py asks one."""

import keras
import pytest
from keras import layers

import keras_tinytrain as ktt
from keras_tinytrain.arena import Arena
from keras_tinytrain.device_graph import DeviceOp, Graph


def make_arena(head="prototype", first=None):
    """A block without shortcut: maps of 128, 192, 192 and 128 bytes."""
    ops = (
        DeviceOp("a", "conv2d", (0,), 1, (4, 4, 3), "relu", layer="a"),
        DeviceOp(
            *("b", "depthwise_conv2d", (1,), 2, (4, 4, 3), "relu6", (3, 3)),
            layer="b",
        ),
        DeviceOp("c", "conv2d", (2,), 3, (4, 4, 2), layer="c"),
    )
    graph = Graph((4, 4, 2), ops, "", is_vector=False, sources=())
    return Arena(graph, ["a", "b", "c"], head=head, way=2, first=first)


# Embedding and gradient (2 x 2), 3 norms, and norm, logit and gradient of each
# of 2 classes; two class vectors of two numbers.
HEAD, VECTORS = 4 * (4 + 3 + 6), 4 * 4


@pytest.mark.parametrize(
    ("first", "learning", "kept", "tables", "peak"),
    [
        # Ten bytes for each of 3 x 4 + 1 blocks, and two for each of 3 layers,
        # both in whole floats. Largest is the forward pass of b: two masks,
        # both maps, and four channels of its kernel. The input is the caller's.
        (None, [0], [0], 132 + 8, 8 + 8 + 192 + 192 + 144),
        ("a", [0], [0], 132 + 8, 8 + 8 + 192 + 192 + 144),
        # The tail begins behind b: output and head.
        (None, [2], [2], 72 + 4, 128 + HEAD),
        # Without gradients in front of c there is no mask.
        ("a", [2], [2], 132 + 8, 192 + 192 + 144),
        # Only the second mask is there, and its map and kernel.
        (None, [1], [], 100 + 4, 8 + 192 + 144),
        (None, [1], [1], 100 + 4, 8 + 192 + 144),
        # A plan that begins earlier needs more of the network than it has.
        ("c", [0], [0], 132 + 8, 8 + 8 + 192 + 192 + 144),
        # Nothing but the head learns.
        (None, [], [], 132 + 8, 192 + 192 + 144),
        ("c", [], [], 72 + 4, 128 + HEAD),
    ],
)
def test_bytes_by_hand(first, learning, kept, tables, peak):
    arena = make_arena(first=first)
    assert arena.fixed_bytes(learning, kept) == tables + VECTORS + peak


def test_class_vectors_of_a_linear_head_train():
    """Five parts of two channels, in value, gradient and two moments."""
    tables, head = 72 + 4, 4 * (20 + 3 + 6)
    vectors = 4 * 4 * 2 * 10
    expected = tables + vectors + 128 + head
    assert make_arena("linear").fixed_bytes([2], [2]) == expected


def test_kept_inputs_lie_beside_the_head():
    """Both inner maps and b's mask wait, a's does not."""
    arena = make_arena(first="a")
    scratch = 144
    expected = (
        132
        + 8
        + VECTORS
        + max(
            8 + 192 + 192 + scratch,  # Forward pass of b.
            8 + 192 + 192 + 128,  # Of c.
            8 + 192 + 192 + 128 + HEAD,
            8 + 192 + 128 + 192,  # Gradients of c's output and input.
        )
    )
    assert arena.fixed_bytes([1, 2], [1, 2]) == expected


def test_padding_takes_no_memory():
    image = keras.Input((8, 8, 3))
    x = layers.ZeroPadding2D(1)(image)
    x = layers.Conv2D(4, 3, strides=2, name="conv")(x)
    model = ktt.wrap(keras.Model(image, x))
    (paper,) = ktt.layer_costs(model, cost_model="paper")
    (arena,) = ktt.layer_costs(model)
    assert paper.input_bytes == 4 * 10 * 10 * 3
    assert arena.input_bytes == 4 * 8 * 8 * 3


def test_more_classes_take_more(net):
    model = ktt.wrap(net)
    three, four = (ktt.layer_costs(model, way=n) for n in (3, 4))
    # Vectors of 5 x 6 numbers in four sets. The head is not at the peak.
    one = {"expand": 1}
    assert four.memory_bytes(one) - three.memory_bytes(one) == 4 * 4 * 30
    paper = ktt.layer_costs(model, cost_model="paper", way=4)
    assert paper == ktt.layer_costs(model, cost_model="paper")


def test_what_no_device_knows_is_counted_nearly(net):
    """Swish between two convolutions, and a concatenation."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="swish", name="a")(image)
    y = layers.Conv2D(4, 1, name="b")(x)
    x = layers.Concatenate()([x, y])
    x = layers.Conv2D(5, 1, name="c")(layers.Activation("tanh")(x))
    model = ktt.wrap(keras.Model(image, x))
    costs = ktt.layer_costs(model)
    one, two = costs.memory_bytes({"c": 1}), costs.memory_bytes({"c": 2})
    # Eight inputs and a bias, and the channel's number.
    assert two - one == 16 * 9 + 2
    # The map in front of c is the device's, its output has gradients.
    assert costs.memory_bytes({"b": 1, "c": 1}) > one + 4 * 8 * 8 * 8


def test_an_unknown_first_layer_is_refused(net):
    with pytest.raises(ValueError, match=r"Expected the name.*first='none'"):
        ktt.layer_costs(ktt.wrap(net), first="none")
