"""What an export takes of the device: flash and MACs, layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from keras_tinytrain.budget import LayerCosts
from keras_tinytrain.device_graph import Graph
from keras_tinytrain.export import estimate
from keras_tinytrain.plan import UpdatePlan


@dataclasses.dataclass(frozen=True)
class Row:
    """What one layer takes.

    Attributes:
        name: Name of the layer.
        kind: Its operation.
        output: Shape of its output.
        trains: How many channels train, as text.
        flash_bytes: Its kernel and biases.
        macs_predict: MACs of a prediction.
        macs_step: MACs of a training step of one sample: forward, gradient
            of the input, gradient of the trained weights.
    """

    name: str
    kind: str
    output: str
    trains: str
    flash_bytes: int
    macs_predict: int
    macs_step: int


# Column titles by field of `Row`.
COLUMNS = {
    "name": "Layer",
    "kind": "Operation",
    "output": "Output",
    "trains": "Trains",
    "flash_bytes": "Flash (bytes)",
    "macs_predict": "MACs, predict",
    "macs_step": "MACs, step",
}
TITLES = COLUMNS | {
    "persistent_bytes": "Memory, persistent (bytes)",
    "work_bytes": "Memory, work (bytes)",
}


def rows(
    graph: Graph,
    costs: LayerCosts,
    flash_bytes: dict[str, int],
    plan: UpdatePlan | None,
    *,
    head: str,
    head_macs: int,
) -> list[Row]:
    """Lists the layers and the head.

    Args:
        graph: What is exported.
        costs: Costs of the whole network.
        flash_bytes: Bytes of the weights by layer.
        plan: What trains, or None.
        head: Kind of the head.
        head_macs: MACs of comparing with all class vectors.
    """
    choices = {c.name: c for c in plan.layers} if plan else {}
    indices = {cost.name: i for i, cost in enumerate(costs)}
    first = min((indices[name] for name in choices), default=len(costs))
    found = []
    for op in graph.ops:
        if op.layer is None:
            continue
        cost = costs[indices[op.layer]]
        choice = choices.get(op.layer)
        trained = choice.trained_weights if choice else 0
        backward = cost.macs if indices[op.layer] > first else 0
        backward += cost.macs // cost.weights * trained
        found.append(
            Row(
                op.layer,
                op.kind,
                " x ".join(map(str, op.shape)),
                choice.describe() if choice else "",
                flash_bytes[op.layer],
                cost.macs,
                cost.macs + backward,
            )
        )
    # Forward, gradient of the embedding and, if they train, of the vectors.
    passes = {"prototype": 2, "linear": 3}[head]
    trains = "class vectors" if head == "linear" else ""
    return [
        *found,
        Row("head", head, "", trains, 0, head_macs, passes * head_macs),
    ]


def totals(
    table: Sequence[Row],
    flash_bytes: int,
    persistent_bytes: int,
    work_bytes: int,
) -> dict[str, int]:
    """Sums the columns.

    Args:
        table: The layers.
        flash_bytes: Bytes of the blob, which are more than the weights.
        persistent_bytes: Bytes of the region that holds what is learned.
        work_bytes: Bytes of the region that a sample needs.
    """
    return {
        "flash_bytes": flash_bytes,
        "persistent_bytes": persistent_bytes,
        "work_bytes": work_bytes,
        "macs_step": sum(row.macs_step for row in table),
        "macs_predict": sum(row.macs_predict for row in table),
    }


def markdown(
    title: str,
    notes: Sequence[str],
    table: Sequence[Row],
    sums: dict[str, int],
    way: int,
) -> str:
    """Returns the page `report.md`.

    Args:
        title: Its title.
        notes: What it supposes.
        table: The layers.
        sums: What `totals` returned.
        way: Number of classes, for the estimate.
    """
    lines = [f"# {title}", "", *(f"- {note}" for note in notes), ""]
    lines += ["| Total | |", "|---|---:|"]
    lines += [f"| {_title(key)} | {sums[key]:,} |" for key in sums]
    lines += ["", f"| {' | '.join(COLUMNS.values())} |"]
    ends = [
        "---:" if field.type == "int" else "---"
        for field in dataclasses.fields(Row)
    ]
    lines += [f"|{'|'.join(ends)}|"]
    for row in table:
        cells = [getattr(row, field) for field in COLUMNS]
        cells = [f"{c:,}" if isinstance(c, int) else c for c in cells]
        lines.append(f"| {' | '.join(cells)} |")
    macs = sums["macs_step"], sums["macs_predict"]
    lines += ["", *estimate.markdown(*macs, way)]
    return "\n".join(lines) + "\n"


def _title(field: str) -> str:
    return TITLES.get(field, field)
