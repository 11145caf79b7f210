"""Arena, status and shapes: exact bytes, and numbers for what is missing."""

import ctypes

import numpy as np
import pytest
from kernel_library import Padding, Shape, Window, shape_of

OK, TOO_SMALL, MISALIGNED, BAD_ARGUMENT = 0, -1, -2, -3


def allocate(kernels, size, parts, shift=0):
    """Returns code, offsets, and (requested, available, missing, used)."""
    region = np.zeros(4096, np.uint64).view(np.uint8)[shift:]
    offsets = np.zeros(len(parts), np.uint32)
    numbers = np.zeros(4, np.uint32)
    code = kernels.arena_allocate(
        region, size, np.array(parts, np.uint32), len(parts), offsets, numbers
    )
    return code, list(offsets), list(numbers)


def test_parts_lie_one_behind_the_other_aligned(kernels):
    code, offsets, numbers = allocate(kernels, 64, [1, 8, 0, 9, 3])
    assert code == OK
    assert offsets == [0, 8, 16, 16, 32]
    assert numbers[3] == 40


def test_too_small_by_one_byte_says_so_and_changes_nothing(kernels):
    assert allocate(kernels, 24, [8, 16])[0] == OK
    code, _, numbers = allocate(kernels, 23, [8, 16])
    assert (code, numbers) == (TOO_SMALL, [16, 15, 1, 8])


def test_sizes_do_not_wrap_around(kernels):
    code, _, numbers = allocate(kernels, 64, [2**32 - 1])
    assert code == TOO_SMALL
    assert numbers[:3] == [2**32 - 1, 64, 2**32 - 65]


def test_misaligned_region(kernels):
    for shift in range(1, 8):
        code, _, numbers = allocate(kernels, 64, [8], shift)
        assert (code, numbers[0]) == (MISALIGNED, 8)


def test_high_water_mark(kernels):
    region = np.zeros(100, np.uint8)
    for written in (0, 1, 37, 100):
        assert kernels.high_water_mark(region, 100, written) == written


def window(**changes):
    made = Window(Shape(8, 9, 3))
    made.kernel[:] = made.stride[:] = (3, 2)
    for name, value in changes.items():
        if name in ("kernel", "stride"):
            getattr(made, name)[:] = value
        else:
            setattr(made, name, value)
    return made


def test_output_by_hand(kernels):
    made = window()
    assert kernels.set_output(5, Padding(1, 1, 0, 1), made) == OK
    # (8 + 2 - 3) // 3 + 1 and (9 + 1 - 2) // 2 + 1.
    assert shape_of(made.output) == (3, 5, 5)
    assert (made.pad_top, made.pad_left) == (1, 0)


@pytest.mark.parametrize(
    ("padding", "changes"),
    [
        ((-1, 0, 0, 0), {}),
        ((3, 0, 0, 0), {}),
        ((0, 0, 0, 2), {}),
        ((0, 0, 0, 0), {"input": Shape(0, 9, 3)}),
        ((0, 0, 0, 0), {"input": Shape(2, 9, 3)}),
        ((0, 0, 0, 0), {"input": Shape(8, 9, 0)}),
        ((0, 0, 0, 0), {"input": Shape(2**14, 2**14, 2**16)}),
        ((0, 0, 0, 0), {"kernel": (0, 2)}),
        ((0, 0, 0, 0), {"stride": (3, 0)}),
        ((0, 0, 0, 0), {"stride": (3, -(2**31))}),
        ((2**31 - 1,) * 4, {"kernel": (2**31 - 1,) * 2}),
    ],
)
def test_bad_window(kernels, padding, changes):
    made = window(**changes)
    assert kernels.set_output(5, Padding(*padding), made) == BAD_ARGUMENT


def test_check_window_knows_outputs_that_see_nothing(kernels):
    made = window()
    assert kernels.set_output(5, Padding(), made) == OK
    made.output.height += 1
    # The rows 6, 7, 8 of 8: partly over the input.
    assert kernels.check_window(made) == OK
    made.output.height += 1
    assert kernels.check_window(made) == BAD_ARGUMENT


def test_structures_are_those_of_the_harness():
    assert ctypes.sizeof(Window) == 12 * 4
