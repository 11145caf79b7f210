"""A whole adaptation on an emulated Cortex-M: what goes in and comes out."""

from __future__ import annotations

import dataclasses
import re
import struct
from pathlib import Path

import arm_board
import numpy as np
from arm_board import HERE, Board
from engine_library import ADAM

from keras_tinytrain.export.blob import read_blob

PROGRAM = HERE / "adapt.cpp"
COUNTERS = HERE / "count_phases.cpp"
# What the numbers of a refusal begin with.
REGION_TOO_SMALL = 1


@dataclasses.dataclass
class Task:
    """What to learn from and what to ask about, as the blob takes it.

    Attributes:
        samples: `(n, *shape)`.
        labels: `(n,)`.
        queries: `(m, *shape)`.
        query_labels: `(m,)`.
    """

    samples: np.ndarray
    labels: np.ndarray
    queries: np.ndarray
    query_labels: np.ndarray

    @property
    def way(self) -> int:
        return int(self.labels.max()) + 1

    def write(
        self,
        path: Path,
        blob: bytes,
        *,
        steps: int,
        rate: float,
        optimizer: int = ADAM,
        in_work: bool = False,
    ):
        """Writes the file that adapt.cpp reads."""
        counts = len(self.labels), len(self.query_labels), steps
        numbers = len(blob), self.way, *counts, rate, optimizer, in_work
        head = struct.pack("<5If2I", *numbers)
        kind = "i1" if read_blob(blob).tensors[0]["type"] else "<f4"
        parts = [
            *(np.asarray(self.samples, kind), np.asarray(self.labels, "<u4")),
            np.asarray(self.queries, kind),
            np.asarray(self.query_labels, "<u4"),
        ]
        path.write_bytes(head + blob + b"".join(p.tobytes() for p in parts))


@dataclasses.dataclass
class Phase:
    """Instructions of some calls, in all and of the kernels in them."""

    times: int
    instructions: int
    forward: int
    backward_input: int
    backward_filter: int


@dataclasses.dataclass
class Report:
    """What the program has printed.

    Attributes:
        channels: Trained channels by layer.
        losses: `(steps, samples)`.
        logits: `(queries, classes)`.
        labels: What was predicted.
        right: How many of these are right.
        checkpoint: Bytes and CRC-32 of what was saved.
        phases: By name.
        refused: Name of the call that was refused, None without.
        numbers: Code, requested, available and missing of that.
        stack: Most bytes of stack.
        objects: Bytes of model and trainer.
    """

    channels: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    losses: np.ndarray | None = None
    logits: np.ndarray | None = None
    labels: list[int] = dataclasses.field(default_factory=list)
    right: int = 0
    checkpoint: tuple[int, int] | None = None
    phases: dict[str, Phase] = dataclasses.field(default_factory=dict)
    refused: str | None = None
    numbers: tuple[int, ...] = ()
    stack: int = 0
    objects: int = 0


def build(
    board: Board,
    folder: Path,
    case: Path,
    sizes: tuple[int, int],
    *flags: str,
    memory: str = "memory_4m.ld",
) -> Path:
    """Builds the program with regions of so many bytes.

    Args:
        board: The board.
        folder: Where compiled engines are kept.
        case: The file that it reads.
        sizes: Bytes of `persistent` and `work`.
        *flags: For compiler and linker.
        memory: Linker script of the memory.
    """
    text = re.sub(r'"\s*\\?\s*"', "", COUNTERS.read_text())
    symbols = re.findall(r"_ZN9tinytrain\w+", text)
    return arm_board.build(
        board,
        PROGRAM,
        case.with_suffix(f".{board.cpu}.elf"),
        f'-DCASE="{case}"',
        f"-DSTORAGE={board.storage}u",
        f"-DPERSISTENT_BYTES={sizes[0]}",
        f"-DWORK_BYTES={sizes[1]}",
        str(COUNTERS),
        *(f"-Wl,--wrap={symbol}" for symbol in symbols),
        *flags,
        memory=memory,
        folder=folder,
    )


def run(board: Board, program: Path) -> Report:
    """Runs the program and reads what it prints."""
    return parse(arm_board.run(board, program))


def parse(text: str) -> Report:
    """Reads what adapt.cpp has printed."""
    report, losses, logits = Report(), [], []
    for line in text.splitlines():
        what, *words = line.split()
        if what == "trains":
            report.channels[words[0]] = [int(w) for w in words[1:]]
        elif what == "losses":
            losses.append(floats(words))
        elif what == "predicts":
            report.labels.append(int(words[0]))
            logits.append(floats(words[1:]))
        elif what == "accuracy":
            report.right = int(words[0])
        elif what == "checkpoint":
            report.checkpoint = int(words[0]), int(words[1])
        elif what == "instructions":
            report.phases[words[0]] = Phase(*map(int, words[1:]))
        elif what == "refused":
            report.refused = words[0]
            report.numbers = tuple(map(int, words[1:]))
        elif what == "stack":
            report.stack = int(words[0])
        elif what == "objects":
            report.objects = int(words[0])
        else:
            raise ValueError(f"Expected a line of adapt.cpp. Received: {line}")
    report.losses, report.logits = np.array(losses), np.array(logits)
    return report


def floats(words: list[str]) -> np.ndarray:
    """Returns the floats of which words say the bits."""
    return np.array([int(word) for word in words], np.uint32).view(np.float32)
