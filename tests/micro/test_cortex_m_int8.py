"""Nets of 128 x 128 pixels learn on a Cortex-M7 with 256 KB of RAM, in int8."""

import os

import arm_board
import numpy as np
import pytest
from arm_board import M7
from int8_schemes import SCHEMES, export, flowers

WAY, STEPS, RATE = 5, 2, 0.003
# Of 256 KB: the stack, what newlib has, and the program's own objects.
NO_REGIONS = 5 * 1024


pytestmark = pytest.mark.skipif(
    "KERAS_TINYTRAIN_WEIGHTS" not in os.environ
    or "KERAS_TINYTRAIN_DATA" not in os.environ,
    reason="needs the published weights and real images",
)


def test_mcunet_of_the_49kb_scheme_in_190_kb(engine_build, tmp_path):
    """Everything counted, the image too; 10 classes."""
    scheme = export("mcunet", "49kb", tmp_path)
    assert sum(scheme.sizes(engine_build, 10)) + NO_REGIONS < 190_000


@pytest.mark.parametrize("name", SCHEMES)
def test_it_learns_real_images_in_256_kb(
    engine_build, build_folder, tmp_path, name
):
    arm_board.demand()
    scheme = export(name, SCHEMES[name], tmp_path)
    task = flowers(scheme, way=WAY, shot=1, query=1)
    sizes = scheme.sizes(engine_build, 10)
    assert sum(sizes) + NO_REGIONS <= 256 * 1024
    rates = {"steps": STEPS, "rate": RATE}
    losses, logits = scheme.on_host(engine_build, task, **rates)
    report = scheme.on_board(
        *(M7, build_folder, tmp_path / "case", sizes, task),
        **rates,
        memory="memory_256k.ld",
    )
    assert report.refused is None, report.numbers
    for actual, expected in ((report.losses, losses), (report.logits, logits)):
        np.testing.assert_array_equal(
            actual.view(np.uint32), expected.view(np.uint32)
        )
    assert losses[1].mean() < losses[0].mean()
    trained = [n for n in scheme.counts if n]
    assert len([c for c in report.channels.values() if c]) == len(trained)
