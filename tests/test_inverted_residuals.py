import keras
import pytest
from keras import layers

from keras_tinytrain import zoo
from keras_tinytrain.graph import flatten
from keras_tinytrain.inverted_residuals import find_blocks


def blocks_of(model):
    return find_blocks(flatten(model)[0])


@pytest.mark.parametrize(
    ("name", "count"),
    [("mcunet", 14), ("mobilenet_v2", 17), ("proxyless_nas", 20)],
)
def test_nets_of_the_zoo(name, count):
    model = zoo.build(name, weights=None)
    blocks = blocks_of(model)
    firsts = ["block00_depthwise"]
    firsts += [f"block{i:02d}_expand" for i in range(1, count)]
    assert [block.first for block in blocks] == firsts
    for i, block in enumerate(blocks):
        assert block.last == f"block{i:02d}_project"
        depthwise = model.get_layer(f"block{i:02d}_depthwise")
        assert block.strides == depthwise.strides
    assert {block.strides for block in blocks} == {(1, 1), (2, 2)}


def test_a_net_of_keras_with_its_norms():
    model = keras.applications.MobileNetV2(
        (64, 64, 3), alpha=0.35, include_top=False, weights=None
    )
    blocks = blocks_of(model)
    assert len(blocks) == 17
    assert blocks[0].first == "expanded_conv_depthwise"
    assert blocks[0].last == "expanded_conv_project_BN"
    assert (blocks[1].first, blocks[1].last) == (
        "block_1_expand",
        "block_1_project_BN",
    )
    ops = {op.output: op.name for op in flatten(model)[0]}
    # What the block's own addition adds.
    assert ops[blocks[2].source] == "block_1_project_BN"
    assert ops[blocks[0].source] == "Conv1_relu"


def chain(*stack):
    return keras.Sequential([keras.Input((9, 9, 4)), *stack])


def test_blocks_without_expansion_part_a_chain():
    """As in MobileNetV1: a pointwise layer ends the block in front of it."""
    model = chain(
        layers.ZeroPadding2D(name="pad"),
        layers.DepthwiseConv2D(3, strides=2, name="dw0"),
        layers.ReLU(name="relu0"),
        layers.Conv2D(6, 1, name="pw0"),
        layers.ReLU(name="relu1"),
        layers.DepthwiseConv2D(3, padding="same", name="dw1"),
        layers.Conv2D(6, 1, name="pw1"),
    )
    first, second = blocks_of(model)
    assert (first.first, first.last, first.strides) == ("dw0", "pw0", (2, 2))
    assert first.source == 0  # In front of the padding.
    assert (second.first, second.last) == ("dw1", "pw1")
    ops = {op.output: op.name for op in flatten(model)[0]}
    assert ops[second.source] == "relu1"


def test_blocks_of_models_inside_the_model(net):
    model = keras.Sequential([keras.Input((16, 16, 3)), net])
    (block,) = blocks_of(model)
    assert (block.first, block.last) == ("net/expand", "net/project")


@pytest.mark.parametrize(
    "stack",
    [
        [layers.Conv2D(4, 3), layers.Conv2D(8, 1)],
        [layers.DepthwiseConv2D(3), layers.Conv2D(8, 3)],
        [layers.DepthwiseConv2D(3), layers.Conv2D(8, 1, strides=2)],
        [layers.DepthwiseConv2D(3), layers.Conv2D(4, 3), layers.Conv2D(8, 1)],
        [layers.DepthwiseConv2D(3), layers.Flatten(), layers.Dense(8)],
        [layers.Conv2D(8, 1), layers.DepthwiseConv2D(3)],
    ],
)
def test_other_stacks_are_no_blocks(stack):
    assert blocks_of(chain(*stack)) == []
