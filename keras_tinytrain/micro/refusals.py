"""What the engine refuses, as exceptions."""

from __future__ import annotations

# By code of micro/src/tinytrain/status.h: a name, and what is said with the
# numbers of `Status`.
_REFUSALS = {
    -1: (
        "region_too_small",
        "Expected {requested} bytes. Received: {available}, {missing} are "
        "missing",
    ),
    -2: (
        "misaligned",
        "Expected a multiple of {requested}. Received: {available}",
    ),
    -3: (
        "bad_argument",
        "Expected finite samples, labels below the number of classes, rates "
        "of the optimizer and channels of the model. Received: others",
    ),
    -4: (
        "bad_format",
        "Expected what docs/format.md says, here {requested}. Received: "
        "{available}",
    ),
    -5: (
        "wrong_version",
        "Expected version {requested}. Received: {available}",
    ),
    -6: ("corrupt", "Expected undamaged bytes. Received: another checksum"),
    -7: (
        "wrong_model",
        "Expected a checkpoint of this model and its classes, here "
        "{requested}. Received: {available}",
    ),
    -8: (
        "not_finite",
        "Expected finite numbers. Received: some that are not; no weight was "
        "changed",
    ),
    -9: ("wrong_state", "Expected another call first. Received: {call}"),
    -10: ("no_checkpoint", "Expected a checkpoint. Received: none"),
    -11: ("storage", "Expected storage that works. Received: a failure"),
    -12: (
        "unsupported",
        "Expected what this device can do. Received: {call}",
    ),
    -13: (
        "memory_budget",
        "Expected a budget of {requested} bytes or more. Received: "
        "{available}, {missing} are missing",
    ),
    -14: (
        "macs_budget",
        "Expected a budget of {requested} MACs or more. Received: "
        "{available}, {missing} are missing",
    ),
    -15: (
        "worse",
        "Expected a loss that has not risen. Received: a larger one; the "
        "training is undone",
    ),
}


class EngineError(ValueError):
    """A call that the engine has refused; nothing has changed.

    Attributes:
        reason: Name of the code, such as `"region_too_small"`.
        requested: What is needed or expected; bytes unless the reason says
            otherwise.
        available: What is there.
        missing: The difference, where something is too small.
    """

    def __init__(self, call: str, code: int, numbers: tuple[int, int, int]):
        self.requested, self.available, self.missing = numbers
        self.reason, text = _REFUSALS[code]
        text = text.format(
            call=call,
            requested=self.requested,
            available=self.available,
            missing=self.missing,
        )
        super().__init__(f"{call}: {text}")
