"""How long an adaptation may take on boards, and what energy: an estimate."""

from __future__ import annotations

import dataclasses

SHOT, STEPS = 5, 40
# Passes over a sample before and after the training, and what scoring it takes
# at most, in predictions: forward, and gradients of all inputs and weights.
VISITS, SCORING = 2, 3


@dataclasses.dataclass(frozen=True)
class Core:
    """What a core takes for the engine.

    Attributes:
        name: As ARM calls it.
        build: How the compiler optimizes.
        instructions: For each MAC of a training step, counted in QEMU
            (benchmarks/micro_adaptation.py, the tail of MCUNet).
        cycles: For each instruction. Assumed, not measured: on M4 a fused
            multiply-add takes three, M7 issues two instructions at a time and
            waits for memory.
    """

    name: str
    build: str
    instructions: float
    cycles: float


@dataclasses.dataclass(frozen=True)
class Board:
    """A microcontroller running from flash with all peripherals off.

    Attributes:
        name: As its maker calls it.
        core: Its core.
        megahertz: Its clock.
        current: Microamperes for each megahertz, a typical figure of run mode.
            To be checked against the data sheet.
        volts: Its supply.
    """

    name: str
    core: Core
    megahertz: int
    current: int
    volts: float


M4 = Core("Cortex-M4F", "-Os", 2.15, 2.0)
M7 = Core("Cortex-M7", "-O2", 2.14, 1.0)
BOARDS = (
    Board("nRF52840", M4, 64, 52, 3.0),
    Board("STM32F407", M4, 168, 238, 3.3),
    Board("STM32H743", M7, 400, 275, 3.3),
)


def adaptation_macs(macs_step: int, macs_predict: int, samples: int) -> int:
    """Counts the MACs of learning a task.

    Args:
        macs_step: Of a training step of one sample.
        macs_predict: Of a prediction.
        samples: Number of samples, all of them in each step.
    """
    once = (VISITS + SCORING) * macs_predict
    return samples * (STEPS * macs_step + once)


def seconds_and_joules(board: Board, macs: int) -> tuple[float, float]:
    """Estimates time and energy of MACs.

    Args:
        board: Where.
        macs: How many.
    """
    core = board.core
    seconds = macs * core.instructions * core.cycles / (board.megahertz * 1e6)
    watts = board.megahertz * board.current * 1e-6 * board.volts
    return seconds, seconds * watts


def markdown(macs_step: int, macs_predict: int, way: int) -> list[str]:
    """Returns the lines of the estimate.

    Args:
        macs_step: Of a training step of one sample.
        macs_predict: Of a prediction.
        way: Number of classes.
    """
    samples = way * SHOT
    macs = adaptation_macs(macs_step, macs_predict, samples)
    lines = [
        "## Estimate, not measured",
        "",
        f"A whole adaptation: {SHOT} samples of each of {way} classes, all of "
        f"them in each of {STEPS} steps, {macs:,} MACs. Instructions for each "
        "MAC were counted in an emulator, for the tail of MCUNet. Cycles for "
        "each instruction are assumed. Clock, current (run mode from flash, "
        "peripherals off) and supply are typical figures, to be checked "
        "against the data sheets.",
        "",
        "| Board | Core | Instructions / MAC | Cycles / instruction | MHz | "
        "µA / MHz | V | Seconds | Joules |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for board in BOARDS:
        seconds, joules = seconds_and_joules(board, macs)
        core = board.core
        cells = (
            *(board.name, f"{core.name}, {core.build}", core.instructions),
            *(core.cycles, board.megahertz, board.current, board.volts),
            *(f"{seconds:,.1f}", f"{joules:,.2f}"),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines
