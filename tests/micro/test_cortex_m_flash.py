"""The engine is small."""

import arm_board
import flash


def test_everything_linked_takes_66_kb(tmp_path):
    arm_board.demand()
    assert flash.engine_bytes(arm_board.M4, tmp_path, "-Os") <= 66 * 1024
