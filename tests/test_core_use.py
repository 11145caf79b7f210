import resource
import subprocess
import sys
import types

import pytest

from keras_tinytrain.evaluation import core_use
from keras_tinytrain.evaluation.core_use import CoreUse


def test_the_share_by_hand(monkeypatch):
    """30 s of computing and 6 s in the system, of 20 s on two cores."""
    used = {"ru_utime": 5.0, "ru_stime": 2.0}
    now = [100.0]
    monkeypatch.setattr(core_use, "cores", lambda: 2)
    monkeypatch.setattr(
        core_use,
        "resource",
        types.SimpleNamespace(
            RUSAGE_CHILDREN=resource.RUSAGE_CHILDREN,
            getrusage=lambda who: types.SimpleNamespace(**used),
        ),
    )
    clock = types.SimpleNamespace(perf_counter=lambda: now[0])
    monkeypatch.setattr(core_use, "time", clock)
    use = CoreUse()
    now[0] += 20
    assert use.share() == 0
    used.update(ru_utime=35.0, ru_stime=8.0)
    assert use.share() == pytest.approx(0.9)


def test_children_count_and_this_process_does_not():
    use = CoreUse()
    sum(range(1_000_000))
    assert use.share() == 0
    subprocess.run([sys.executable, "-c", "sum(range(1_000_000))"], check=True)
    assert use.share() > 0
