"""The view of a blob in C++ refuses what cannot be trusted."""

import struct

import keras
import model_view
import pytest
from model_view import HERE, View

import keras_tinytrain as ktt
from keras_tinytrain.export import layout


@pytest.fixture(scope="module")
def library(compiler, build_folder):
    return model_view.load_library(compiler, build_folder)


@pytest.fixture(scope="module")
def planned():
    return (HERE / "fuzz" / "seeds" / "block_planned.ttnb").read_bytes()


def changed(data, section, record, i, **values):
    """Returns the blob with other values of one record, sealed again."""
    data = bytearray(data)
    row = row_of(data, section)
    at = row["offset"] + i * row["stride"]
    fields = record.unpack(bytes(data), at)
    assert set(values) <= set(fields)
    data[at : at + record.size] = record.pack(**fields | values)
    return layout.seal(bytes(data))


def row_of(data, section):
    header = layout.HEADER.unpack(bytes(data))
    for i in range(header["sections"]):
        row = layout.SECTION.unpack(bytes(data), 48 + 20 * i)
        if row["kind"] == layout.SECTIONS[section]:
            return row | {"at": 48 + 20 * i}
    raise KeyError(section)


T, O, L = layout.TENSOR, layout.OPERATION, layout.LAYER  # noqa: E741
NAN, INF = float("nan"), float("inf")
LARGE = dict.fromkeys(("top", "bottom", "left", "right"), 8)
LARGE |= {"kernel_height": 17, "kernel_width": 17}
# The planned seed: tensors of 7 x 6 x 2, then rescale, stem 4 x 3 x 2 (stride
# 2), expand (3), depthwise (3), project (2), add, max, clamp, mean.
REFUSED = [
    ("network", layout.NETWORK, 0, {"input_kind": 2}, "kInputKind", 1, 2),
    ("network", layout.NETWORK, 0, {"name": 999}, "kName", 37, 999),
    ("network", layout.NETWORK, 0, {"cut": 37}, "kName", 37, 37),
    ("tensors", T, 0, {"height": 0}, "kTensorShape", 16384, 0),
    ("tensors", T, 3, {"width": 16385}, "kTensorShape", 16384, 16385),
    ("tensors", T, 1, {"channels": 65536}, "kTensorShape", 65535, 65536),
    ("tensors", T, 1, {"type": 2}, "kTensorType", 1, 2),
    ("operations", O, 0, {"kind": 11}, "kOperationKind", 10, 11),
    ("operations", O, 2, {"kind": 0}, "kOperationKind", 10, 0),
    ("operations", O, 0, {"kind": 10}, "kTensorType", 1, 0),
    ("operations", O, 0, {"activation": 1}, "kActivation", 9, 1),
    ("operations", O, 1, {"activation": 3}, "kActivation", 1, 3),
    ("operations", O, 7, {"activation": 0}, "kActivation", 8, 0),
    ("operations", O, 4, {"output": 4}, "kOutput", 5, 4),
    ("operations", O, 4, {"input": 5}, "kInput", 4, 5),
    ("operations", O, 5, {"second": 6}, "kInput", 5, 6),
    ("operations", O, 5, {"second": layout.NONE}, "kInput", 5, layout.NONE),
    ("operations", O, 4, {"second": 1}, "kInput", layout.NONE, 1),
    ("operations", O, 1, {"layer": 4}, "kLayerLink", 4, 4),
    ("operations", O, 1, {"layer": 1}, "kLayerLink", 4, 1),
    ("operations", O, 5, {"layer": 0}, "kLayerLink", layout.NONE, 0),
    ("operations", O, 0, {"factor": NAN}, "kFactor", 0, 0),
    ("operations", O, 0, {"summand": -INF}, "kFactor", 0, 0),
    ("operations", O, 1, {"kernel_height": 0}, "kWindow", 7, 0),
    ("operations", O, 1, {"kernel_width": 9}, "kWindow", 6, 9),
    ("operations", O, 1, {"stride_down": 0}, "kWindow", 7, 3),
    ("operations", O, 1, {"top": 3}, "kWindow", 7, 3),
    ("operations", O, 1, {"right": 3}, "kWindow", 6, 3),
    ("operations", O, 1, {"stride_across": 1}, "kOutputShape", 48, 24),
    ("operations", O, 3, {"input": 0, "kernel_height": 10}, "kWindow", 7, 10),
    ("operations", O, 5, {"second": 0}, "kOutputShape", 24, 84),
    ("operations", O, 6, {"kernel_width": 257}, "kWindow", 3, 257),
    ("operations", O, 6, LARGE, "kWindow", 256, 289),
    ("operations", O, 6, {"kind": 5}, "kOutputShape", 2, 24),
    ("tensors", T, 4, {"channels": 7}, "kOutputShape", 36, 84),
    ("operations", O, 5, {"second": 2}, "kUnread", 5, layout.NONE),
    ("layers", L, 0, {"name": 37}, "kName", 37, 37),
    ("layers", L, 3, {"index": 2}, "kLayerOrder", 3, 2),
    ("layers", L, 3, {"index": 4}, "kLayerOrder", 3, 4),
    ("layers", L, 1, {"type": 1}, "kWeightType", 0, 1),
    ("layers", L, 1, {"channels": 4}, "kChannels", 3, 4),
    ("layers", L, 1, {"inputs": 3}, "kChannels", 2, 3),
    ("layers", L, 2, {"inputs": 3}, "kChannels", 0, 3),
    ("layers", L, 1, {"weights": 5}, "kWeightCount", 6, 5),
    ("layers", L, 1, {"biases": 1}, "kWeightCount", 3, 1),
    ("layers", L, 1, {"scales": 3}, "kWeightCount", 0, 3),
    ("layers", L, 1, {"kernel": 0}, "kWeightPlace", None, 0),
    ("layers", L, 1, {"bias": 2**32 - 16}, "kWeightPlace", None, 2**32 - 16),
    ("layers", L, 1, {"macs": 73}, "kMacs", 72, 73),
    ("layers", L, 1, {"macs": 72 + 2**32}, "kMacs", 72, 72),
    ("head", layout.HEAD, 0, {"kind": 2}, "kHeadKind", 1, 2),
    ("head", layout.HEAD, 0, {"embedding": 3}, "kHeadKind", 2, 3),
    ("head", layout.HEAD, 0, {"depth": 9}, "kDepth", 10, 9),
    ("head", layout.HEAD, 0, {"embedding": 1}, "kDepth", 2, 10),
    ("head", layout.HEAD, 0, {"embedding": 0}, "kDepth", 24, 10),
    ("head", layout.HEAD, 0, {"max_way": 1}, "kWay", None, 1),
    ("head", layout.HEAD, 0, {"max_way": 65536}, "kWay", None, 65536),
    ("head", layout.HEAD, 0, {"scale": 0.0}, "kScale", 0, 0),
    ("head", layout.HEAD, 0, {"vector_length": INF}, "kScale", 0, 0),
    ("training", layout.TRAINING, 0, {"cost_model": 2}, "kCriterion", 1, 2),
    ("training", layout.TRAINING, 0, {"criterion": 2}, "kCriterion", 1, 2),
    ("plan", layout.PLAN, 0, {"layer": 4}, "kPlanLayer", 0, 4),
    ("plan", layout.PLAN, 1, {"layer": 1}, "kPlanLayer", 2, 1),
    ("plan", layout.PLAN, 1, {"flags": 2}, "kPlanLayer", 0, 2),
    ("plan", layout.PLAN, 0, {"count": 7}, "kPlanIndices", 6, 7),
    ("plan", layout.PLAN, 0, {"first": 7}, "kPlanIndices", 0, 2),
    ("plan", layout.PLAN, 0, {"count": 3}, "kPlanIndices", 3, 0),
    ("plan", layout.PLAN, 0, {"first": 1}, "kPlanIndices", 3, 0),
    ("plan", layout.PLAN, 2, {"flags": 2}, "kPlanIndices", 1, 2),
    ("plan", layout.PLAN, 1, {"flags": 1}, "kPlanIndices", 0, 0),
]


@pytest.mark.parametrize(
    ("section", "record", "i", "values", "flaw", "expected", "received"),
    REFUSED,
)
def test_what_cannot_be_trusted_is_refused(
    section, record, i, values, flaw, expected, received, planned, library
):
    data = changed(planned, section, record, i, **values)
    name, at, *numbers = View(library, data).open()
    assert name == flaw
    assert numbers[1] == received
    if expected is not None:
        assert numbers[0] == expected
    if section in ("operations", "layers", "plan") and flaw != "kUnread":
        assert at == i


# The int8 seed: the rescaling is gone, a dequantization comes last. Tensors
# of 7 x 6 x 2, then stem, expand, depthwise, project, add, max, clamp, mean.
REFUSED_INT8 = [
    ("tensors", T, 0, {"scale": 0.0}, "kScale", 0),
    ("tensors", T, 1, {"scale": -0.5}, "kScale", 1),
    ("tensors", T, 2, {"scale": NAN}, "kScale", 2),
    ("tensors", T, 3, {"scale": INF}, "kScale", 3),
    ("tensors", T, 3, {"scale": 1e-39}, "kScale", 3),
    ("tensors", T, 0, {"zero_point": 128}, "kZeroPoint", 0),
    ("tensors", T, 4, {"zero_point": -129}, "kZeroPoint", 4),
    ("tensors", T, 5, {"scale": 1e-8}, "kScale", 4),  # Of the sum.
    ("tensors", T, 6, {"scale": 0.3}, "kScale", 5),  # Not that of its input.
    ("tensors", T, 7, {"zero_point": 99}, "kZeroPoint", 6),
    ("tensors", T, 9, {"type": 1, "scale": 1.0}, "kTensorType", 8),
    ("tensors", T, 0, {"type": 0}, "kTensorType", 0),
    ("operations", O, 8, {"kind": 9}, "kTensorType", 8),
    ("tensors", T, 2, {"scale": 1.0}, "kScale", 1),  # Other factors.
    ("layers", L, 1, {"type": 0}, "kWeightType", 1),
    ("layers", L, 2, {"scales": 2}, "kWeightCount", 2),
    ("layers", L, 2, {"scales": 0}, "kWeightCount", 2),
    ("layers", L, 0, {"scale": 8}, "kWeightPlace", 0),
    ("layers", L, 0, {"scale": 1 << 20}, "kWeightPlace", 0),
    ("layers", L, 3, {"kernel": 1 << 20}, "kWeightPlace", 3),
]


@pytest.fixture(scope="module")
def stored():
    return (HERE / "fuzz" / "seeds" / "block_int8.ttnb").read_bytes()


@pytest.mark.parametrize(
    ("section", "record", "i", "values", "flaw", "at"), REFUSED_INT8
)
def test_what_cannot_be_stored_is_refused(
    section, record, i, values, flaw, at, stored, library
):
    assert View(library, stored).open()[0] == "kNone"
    data = changed(stored, section, record, i, **values)
    assert View(library, data).open()[:2] == (flaw, at)


@pytest.mark.parametrize(
    ("place", "form", "value", "flaw"),
    [
        (0, "f", 0.0, "kScale"),
        (0, "f", INF, "kScale"),
        (0, "f", NAN, "kScale"),
        (1, "i", 2**30 - 1, "kScale"),
        (2, "b", 8, "kScale"),
        (2, "b", -14, "kScale"),
        (3, "i", 2**31 - 1, "kOverflow"),
        (3, "i", -(2**31), "kOverflow"),
    ],
)
def test_factors_that_are_none(place, form, value, flaw, stored, library):
    """Of scale, multiplier, shift or bias of a first channel."""
    row = row_of(stored, "layers")
    layer = L.unpack(stored, row["offset"])
    table = layer["scale"]
    size = layer["channels"]
    at = [table, table + 4 * size, table + 8 * size, layer["bias"]][place]
    data = bytearray(stored)
    struct.pack_into(f"<{form}", data, at, value)
    found = View(library, layout.seal(bytes(data))).open()
    assert found[:2] == (flaw, 0)


def test_a_vector_too_long_for_the_kernels_is_refused(library, tmp_path):
    image = keras.Input((4, 4, 2))
    x = keras.layers.Dense(3)(keras.layers.Flatten()(image))
    model = ktt.wrap(keras.Model(image, x))
    data = ktt.export_micro(model, tmp_path).blob.read_bytes()
    assert View(library, data).open()[0] == "kNone"
    data = changed(data, "tensors", T, 0, height=16384, width=2)
    assert View(library, data).open() == ("kWindow", 0, 65535, 65536)


@pytest.mark.parametrize(
    ("section", "values", "flaw"),
    [
        ("network", {"kind": 0}, "kSectionKind"),
        ("plan", {"kind": 11}, "kSectionKind"),
        ("layers", {"kind": 3}, "kSectionKind"),
        ("plan_indices", {"kind": 8}, "kSectionKind"),
        ("weights", {"kind": 1 << 31}, "kSectionKind"),
        ("tensors", {"offset": 0}, "kSectionPlace"),
        ("tensors", {"offset": 264}, "kSectionPlace"),
        ("weights", {"offset": 2**32 - 16}, "kSectionPlace"),
        ("weights", {"size": 4000, "count": 1000}, "kSectionSize"),
        ("tensors", {"count": 9}, "kSectionSize"),
        ("tensors", {"count": 9, "size": 9 * 24}, "kCount"),
        ("network", {"count": 0, "size": 0}, "kCount"),
        ("operations", {"count": 0, "size": 0}, "kCount"),
        ("operations", {"stride": 22, "count": 18}, "kSectionSize"),
        ("names", {"stride": 37, "count": 1}, "kSectionSize"),
        ("names", {"count": 36, "size": 36}, "kName"),
        ("plan_indices", {"count": 3, "stride": 4}, "kSectionSize"),
    ],
)
def test_sections_that_cannot_be_trusted_are_refused(
    section, values, flaw, planned, library
):
    at = row_of(planned, section)["at"]
    fields = layout.SECTION.unpack(planned, at)
    row = layout.SECTION.pack(**fields | values)
    data = layout.seal(planned[:at] + row + planned[at + len(row) :])
    assert View(library, data).open()[0] == flaw


def test_headers_that_cannot_be_trusted_are_refused(planned, library):
    def flaw(**values):
        header = layout.HEADER.pack(**layout.HEADER.unpack(planned) | values)
        data = header + planned[len(header) :]
        return View(library, layout.seal(data)).open()

    size = len(planned)
    assert flaw(magic=b"TTCK")[0] == "kMagic"
    swapped = int.from_bytes((0x01020304).to_bytes(4, "big"), "little")
    assert flaw(byte_order=swapped) == ("kByteOrder", 0, 0x01020304, swapped)
    assert flaw(major=2) == ("kVersion", 0, 1, 2)
    assert flaw(minor=9)[0] == "kNone"
    assert flaw(header_size=44) == ("kHeader", 0, 48, 44)
    assert flaw(header_size=50)[0] == "kHeader"
    assert flaw(header_size=size + 4)[0] == "kHeader"
    assert flaw(sections=2**31)[0] == "kHeader"
    assert View(library, planned[:-1]).open() == (
        "kTruncated",
        0,
        size,
        size - 1,
    )


def test_refusals_are_told_in_the_codes_of_the_engine(planned, library):
    size = len(planned)
    damaged = planned[:-1] + b"x"
    newer = layout.seal(planned[:4] + b"\2" + planned[5:])
    other = changed(planned, "head", layout.HEAD, 0, depth=9)
    assert View(library, planned).status() == (0, 0, 0, 0)
    assert View(library, planned[:-3]).status() == (-1, size, size - 3, 3)
    assert View(library, planned, shift=2).status() == (-2, 4, 2, 0)
    assert View(library, other).status() == (-4, 10, 9, 0)
    assert View(library, newer).status() == (-5, 1, 2, 0)
    assert View(library, damaged).status()[0] == -6
