"""Law 7 in int8: Python, planner and what is written of the regions agree."""

import numpy as np
import pytest
from devices import make_device, random_channels
from engine_library import OK
from random_nets import random_net
from test_engine_bytes import costs_of, written
from test_engine_parts import random_plan
from test_engine_training import images_of
from test_int8_engine import NETS, build_wide, int8_of

import keras_tinytrain as ktt


def int8_net(net, head="linear"):
    model = ktt.wrap(net, head=head)
    return ktt.quantize(model, images_of(model, 16))


def check_bytes(library, model, folder, rng, *, pixels, way=3):
    """Compares plans of parts, of channels, and the scoring of all."""
    costs = costs_of(model, pixels, way)
    for parts in (random_plan(rng, costs), (random_channels(rng, costs), {})):
        device = make_device(
            library,
            model,
            parts[0],
            folder,
            way=way,
            parts=parts[1],
            from_pixels=pixels,
        )
        sizes = device.start(rate=1e-3)
        reported = device.result.persistent_bytes, device.result.work_bytes
        assert reported == sizes
        assert written(device, rng) == sizes
    counted = costs_of(model, pixels, way)
    first = device.names[0]
    if not pixels:
        counted = ktt.layer_costs(model, way=way, first=first)
    scored = [c["name"] for c in device.blob.layers if c["flags"]]
    selecting = counted.selecting_bytes(scored)
    engine = device.engine
    scoring = engine.scoring_bytes()
    assert selecting[0] == scoring[0]
    assert selecting[1] >= scoring[1]
    assert engine.init(*scoring) == OK
    assert engine.status("engine_begin_scoring") == OK


@pytest.mark.parametrize("seed", range(10))
def test_random_nets_and_plans(engine_build, randomized, tmp_path, seed):
    rng = np.random.default_rng(300 + seed)
    model = int8_net(
        randomized(random_net(rng), seed), ["linear", "prototype"][seed % 2]
    )
    check_bytes(engine_build, model, tmp_path, rng, pixels=seed % 3 == 0)


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_small_nets(engine_build, tmp_path, name, pixels):
    rng = np.random.default_rng(7)
    check_bytes(engine_build, int8_of(name), tmp_path, rng, pixels=pixels)


@pytest.mark.parametrize(
    ("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (7, 1), (1, 2)]
)
def test_what_is_streamed_is_not_counted(
    engine_build, tmp_path, kernel, stride
):
    """Of the last layers, so that both pairs in front are streamed."""
    model = int8_net(build_wide(kernel, stride))
    device = make_device(
        *(engine_build, model, {"project_1": [0, 2]}, tmp_path),
        from_pixels=True,
    )
    sizes = device.start(rate=1e-3)
    reported = device.result.persistent_bytes, device.result.work_bytes
    assert reported == sizes
    assert written(device, np.random.default_rng(0)) == sizes


def test_numbers_by_hand(tmp_path):
    """A channel of 8 weights and a bias: Adam's four floats, the integers."""
    model = int8_of("residual")
    costs = ktt.layer_costs(model)
    index = [c.name for c in costs].index("project")
    assert costs.channel_bytes(index) == 16 * (8 + 1) + (8 + 4) + 2
