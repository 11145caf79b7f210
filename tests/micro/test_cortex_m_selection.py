"""A Cortex-M chooses what the host would, and saves the same bytes."""

import struct
import zlib

import arm_board
import numpy as np
import pytest
from selector_cases import build_net, draw_equal, draw_lost, draw_scores
from selector_library import HERE, Selector, with_candidates, with_training

import keras_tinytrain as ktt
from keras_tinytrain.export import layout
from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.export.checkpoint_file import Checkpoint, TrainedLayer
from keras_tinytrain.export.contents import training_record

WAY = 3


def cases(folder):
    """Yields scores, the bytes of a blob and the plan of the host."""
    model = build_net(1)
    data = ktt.export_micro(model, folder, from_pixels=True).blob.read_bytes()
    first = next(iter(model.network.layers))
    rng = np.random.default_rng(0)
    for cost_model in ("arena", "paper"):
        costs = ktt.layer_costs(
            model, cost_model=cost_model, way=WAY, first=first
        )
        names = {c.name for c in costs}
        memory = costs.memory_bytes({c.name: c.channels for c in costs})
        for criterion in ("earliest", "tinytrain"):
            for scores in (
                draw_scores(rng, costs, names, "exponential"),
                draw_scores(rng, costs, names, "few"),
                draw_equal(rng, costs),
                draw_lost(rng, costs),
            ):
                share = rng.uniform(0.6, 1.0)
                budget = ktt.Budget(int(share * memory), macs=float(share))
                plan = ktt.select(scores, costs, budget, criterion=criterion)
                blob = with_candidates(data, names)
                record = training_record(costs, budget, criterion)
                yield scores, with_training(blob, record), plan


def expected_output(data, plan):
    """Returns what the program prints."""
    blob, layers, lines = read_blob(data), [], []
    for row in blob.layers:
        channels = plan.channels.get(row["name"], ())
        if not channels:
            continue
        lines.append(" ".join(map(str, (row["name"], *channels))))
        weights = len(channels) * row["weights"] // row["channels"]
        layers.append(
            TrainedLayer(
                row["index"],
                False,
                np.array(channels),
                np.arange(weights),
                np.arange(len(channels) if row["biases"] else 0),
            )
        )
    kinds = {v: k for k, v in layout.HEAD_KINDS.items()}
    embeddings = {v: k for k, v in layout.EMBEDDINGS.items()}
    checkpoint = Checkpoint(
        blob.base,
        kinds[blob.head["kind"]],
        embeddings[blob.head["embedding"]],
        np.arange(2 * blob.head["depth"]).reshape(2, -1),
        layers,
    ).to_bytes()
    lines.append(f"checkpoint {len(checkpoint)} {zlib.crc32(checkpoint)}")
    return lines


@pytest.mark.parametrize(
    ("board", "flags"),
    [
        (arm_board.M4, ("-Os", "-ffp-contract=fast")),
        (arm_board.M7, ("-O2", "-ffp-contract=off")),
    ],
    ids=["m4", "m7"],
)
def test_cortex_m_selects_and_saves_the_same(board, flags, selectors, tmp_path):
    arm_board.demand()
    case = tmp_path / "case"
    program = arm_board.build(
        board,
        arm_board.HERE / "select_and_save.cpp",
        tmp_path / "program.elf",
        f'-DCASE="{case}"',
        f"-I{HERE}",
        *flags,
    )
    for scores, data, plan in cases(tmp_path):
        flat = Selector(selectors, data).flat(scores).tobytes()
        case.write_bytes(struct.pack("<I", len(data)) + data + flat)
        output = arm_board.run(board, program).splitlines()
        assert output == expected_output(data, plan)
