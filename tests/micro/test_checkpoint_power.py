"""Power fails at every byte of a save: the newest complete one is read."""

import dataclasses

import pytest
from checkpoint_cases import versions
from checkpoint_library import ENDLESS

from keras_tinytrain.export.checkpoint_file import newest


def cuts(device, checkpoint, slots):
    """Cuts the power before every byte of a save, until it succeeds.

    Yields:
        The status of the save; the slots are as it left them.
    """
    start = slots.content
    for power in range(10_000):
        slots.content, slots.power = start, power
        status, *_ = device.save(checkpoint, slots)
        slots.power = ENDLESS
        yield status
        if status == "ok":
            return
        assert status == "storage"
    raise AssertionError("A save does not end.")


@pytest.mark.parametrize("before", [1, 2])
def test_power_fails_at_every_byte(before, device, checkpoint, slots):
    """The newest complete state is there, and life goes on."""
    last, new, after = list(versions(checkpoint))[before - 1 : before + 2]
    for version in list(versions(checkpoint))[:before]:
        assert device.save(version, slots)[0] == "ok"
    statuses = []
    for status in cuts(device, new, slots):
        statuses.append(status)
        found = device.load(slots, checkpoint)
        whole = new if found.sequence == new.sequence else last
        assert found.to_bytes() == whole.to_bytes()
        if status == "ok":
            assert whole is new
        assert newest(slots.content).to_bytes() == whole.to_bytes()
        follower = dataclasses.replace(after, sequence=whole.sequence + 1)
        assert device.save(after, slots)[0] == "ok"
        assert device.load(slots, checkpoint).to_bytes() == follower.to_bytes()
    # Every byte that a save changes was the last one once.
    assert len(statuses) > len(new.to_bytes())


def test_power_fails_at_every_byte_of_the_first_save(device, checkpoint, slots):
    for status in cuts(device, checkpoint, slots):
        opened, *_ = device.open(slots)
        if opened == "ok":
            loaded = device.load(slots, checkpoint)
            assert loaded.to_bytes() == checkpoint.to_bytes()
        assert status != "ok" or opened == "ok"
        assert device.save(checkpoint, slots)[0] == "ok"
        assert device.load(slots, checkpoint).sequence in (1, 2)


def test_power_fails_twice(device, checkpoint, slots):
    """Also when the slot is written again that the first loss has left."""
    old, new = list(versions(checkpoint))[:2]
    assert device.save(old, slots)[0] == "ok"
    start = slots.content
    erased = slots.slot_bytes if slots.page_bytes else 4
    for power in (erased // 2, erased + 100):
        slots.content, slots.power = start, power
        assert device.save(new, slots)[0] == "storage"
        for _ in cuts(device, new, slots):
            found = device.load(slots, checkpoint).to_bytes()
            assert found in (old.to_bytes(), new.to_bytes())
