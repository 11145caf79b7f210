"""The fast kernels compute their plain references, bit for bit.

Nothing here needs TensorFlow: test_kernels_sanitized.py runs this file again.
"""

import numpy as np
import pytest
from kernel_cases import Case, layers

CASES = [(layer, False) for layer in layers()]
CASES += [(layer, True) for layer in layers(depthwise=True)]


@pytest.fixture(params=CASES, ids=lambda c: f"{c[0]}{'-dw' * c[1]}")
def case(request, kernels):
    return Case(kernels, *request.param)


@pytest.mark.parametrize(
    "which", ["forward", "backward_input", "backward_filter"]
)
def test_fast_is_reference(case, which):
    expected = getattr(case, which)(fast=False)
    actual = getattr(case, which)(fast=True)
    assert np.all(np.isfinite(expected))
    np.testing.assert_array_equal(actual, expected)
