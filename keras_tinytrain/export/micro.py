"""Exports a wrapped model for the device engine."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from typing import Any

import numpy as np

from keras_tinytrain.budget import Budget, LayerCosts
from keras_tinytrain.costs import WAY, layer_costs
from keras_tinytrain.device_graph import Graph, tail
from keras_tinytrain.export import report
from keras_tinytrain.export.blob_writer import layer_names, write_blob
from keras_tinytrain.export.c_header import c_header
from keras_tinytrain.export.contents import (
    base_hash,
    head_record,
    kernel_and_bias,
    plan_records,
    scale_table,
    training_record,
)
from keras_tinytrain.export.prefix import QUANTIZE, check_labelled, make_prefix
from keras_tinytrain.export.regions import operator_bytes, region_bytes
from keras_tinytrain.export.tail_model import write_tail_model
from keras_tinytrain.lower import lower
from keras_tinytrain.model import AdaptiveModel
from keras_tinytrain.plan import UpdatePlan
from keras_tinytrain.selection import CRITERIA, first_affordable, select
from keras_tinytrain.whole_files import whole_file

MAX_WAY = WAY
# What the memory is enough for, by whether the device selects.
_NEEDS = {
    False: "enough to train and predict.",
    True: "enough to score, to select, to train and to predict.",
}


@dataclasses.dataclass(frozen=True)
class MicroExport:
    """What `export_micro` has written.

    Attributes:
        blob: File of the blob.
        header: The same bytes as a C header.
        report: What it takes, layer by layer.
        plan: The plan as JSON, None without one.
        tflite: The model for TensorFlow Lite Micro, None of a float model
            without representative data, and if all layers may train.
        flash_bytes: Bytes of the blob.
        persistent_bytes: Bytes of the device's region `persistent`: to train
            the plan that is written or, without one, to score channels,
            select and train what is expected, whichever takes most.
        work_bytes: Bytes of its region `work`, likewise.
        macs_step: MACs of a training step of one sample, forward and
            backward, from the exported part's input on. Of the head alone if
            neither plan nor budget says what trains.
        macs_predict: MACs of one prediction.
        accuracies: With `quantize="qat"` those of `"float32"`, `"ptq"` and
            `"qat"`, by class means, on images that were kept for it.
    """

    blob: pathlib.Path
    header: pathlib.Path
    report: pathlib.Path
    plan: pathlib.Path | None
    tflite: pathlib.Path | None
    flash_bytes: int
    persistent_bytes: int
    work_bytes: int
    macs_step: int
    macs_predict: int
    accuracies: dict[str, float]


def export_micro(
    model: AdaptiveModel,
    directory: str | os.PathLike,
    *,
    budget: Budget | None = None,
    criterion: str = "earliest",
    cost_model: str = "arena",
    from_pixels: bool = False,
    max_way: int = MAX_WAY,
    representative_data: Any = None,
    quantize: str = "ptq",
) -> MicroExport:
    """Writes a network for the device: blob, C header, plan and report.

    The weights are those that were wrapped. What has been learned since goes
    by `save_checkpoint`. The plan of the model, if there is one, is written
    too; without one the device chooses inside the budget.

    Args:
        model: A wrapped model with a fixed image size.
        directory: Folder of the files, made if it is not there.
        budget: What training may cost on the device. It also says which
            layers may train: those that it reaches. None is no limit, and
            the layers are those from the first one of the plan on, or all.
        criterion: How the device selects, see `keras_tinytrain.select`.
        cost_model: What the budget is counted in, see
            `keras_tinytrain.layer_costs`.
        from_pixels: Whether to write the whole network. Otherwise it is the
            tail from the first layer that may train, cut where one tensor
            passes; also the whole network if that is its first layer.
        max_way: Most classes of a task.
        representative_data: Images such as the device is to meet, or
            `Examples`; a hundred are plenty. With them `model.tflite` is
            written too, for TensorFlow Lite Micro: the frozen part in int8,
            and the exported tail as one operator (docs/tflm.md). An int8
            model needs none: it is written whenever a part is frozen.
        quantize: How the frozen part becomes int8: `"ptq"` takes weights as
            they are and ranges from the representative data. `"qat"` also
            fine-tunes both, by tensorflow-model-optimization in a process of
            its own; the data are labelled then, and every other image of a
            class is kept to judge by.

    Returns:
        The files and their totals.

    Raises:
        ValueError: If no device kernel knows an operation, with its name; if
            the budget is too small; or if an argument is none of the above.
        OSError: If a file cannot be written, or tensorflow-model-optimization
            is needed and not there.

    Example:

    >>> budget = keras_tinytrain.Budget(memory="0.89MB", macs=6_510_000)
    >>> keras_tinytrain.export_micro(model, "build/task", budget=budget)
    """
    if not isinstance(model, AdaptiveModel):
        raise ValueError(
            f"Expected a wrapped model. Received: {type(model).__name__}. "
            "Use `wrap` first."
        )
    vectors = model.class_vectors
    least = 2 if vectors is None else max(vectors.shape[0], 2)
    if not isinstance(max_way, int) or not least <= max_way < 2**16:
        raise ValueError(
            f"Expected max_way to be an integer from {least} to 65535. "
            f"Received: max_way={max_way!r}"
        )
    if criterion not in CRITERIA:
        raise ValueError(
            f"Expected criterion to be one of {CRITERIA}. Received: "
            f"criterion={criterion!r}"
        )
    if quantize not in QUANTIZE:
        raise ValueError(
            f"Expected quantize to be one of {QUANTIZE}. Received: "
            f"quantize={quantize!r}"
        )
    if quantize == "qat":
        check_labelled(representative_data)
    counted = {"cost_model": cost_model, "way": max_way}
    costs = layer_costs(model, **counted)
    whole = lower(model.network)
    candidates = _candidates(model.plan, costs, budget, criterion)
    # What the device has in front of a plan costs it memory too.
    first = costs[0].name if from_pixels else candidates[0]
    costs = layer_costs(model, **counted, first=first)
    # A tail from the first layer on would lack no more than a rescaling.
    is_whole = from_pixels or candidates[0] == costs[0].name
    graph = whole if is_whole else tail(whole, candidates[0])
    names = layer_names(graph)
    weights = {
        name: kernel_and_bias(name, model.network.layers[name])
        for name in names
    }
    plan = None
    if model.plan is not None:
        plan = plan_records(model.plan, {n: i for i, n in enumerate(names)})
    data = write_blob(
        model.name,
        graph,
        weights,
        costs,
        candidates,
        scales={
            name: scale_table(model.network.layers[name])
            for name in names
            if model.network.layers[name].is_quantized
        },
        base=base_hash(model.network, whole),
        head=head_record(model.head, graph, max_way),
        training=training_record(costs, budget or Budget(), criterion),
        plan=plan,
    )
    expected = model.plan or _likely_plan(costs, budget, criterion)
    table = report.rows(
        graph,
        costs,
        {n: sum(part.nbytes for part in weights[n]) for n in names},
        expected,
        head=model.head,
        head_macs=max_way * graph.depth(model.head),
    )
    device = layer_costs(model, way=max_way, first=first)
    tflite, accuracies = None, {}
    is_int8 = graph.input_stored is not None
    if representative_data is not None or (is_int8 and not is_whole):
        if is_whole:
            raise ValueError(
                "Expected a budget or a plan that leaves layers in front "
                "frozen, for TensorFlow Lite Micro to run. Received: all may "
                f"train, from {candidates[0]!r} on, or from_pixels"
            )
        prefix, cut = model, graph.cut
        if not is_int8 or quantize == "qat":
            cut = None
            prefix, accuracies = make_prefix(
                model, representative_data, candidates[0], quantize
            )
        sizes = operator_bytes(device, expected, candidates, criterion, budget)
        tflite = write_tail_model(
            prefix,
            data,
            cut=cut,
            max_way=max_way,
            scores=model.plan is None,
            **sizes,
        )
    regions = region_bytes(device, expected)
    if model.plan is None and expected is not None:
        selecting = device.selecting_bytes(candidates)
        regions = tuple(map(max, regions, selecting))
    sums = report.totals(table, len(data), *regions)
    directory = pathlib.Path(directory)
    result = MicroExport(
        blob=directory / f"{model.name}.ttnb",
        header=directory / f"{model.name}.h",
        report=directory / "report.md",
        plan=directory / "plan.json" if model.plan else None,
        tflite=directory / "model.tflite" if tflite else None,
        accuracies=accuracies,
        **sums,
    )
    notes = _notes(model, graph, candidates, budget, expected, max_way)
    if accuracies:
        shares = (f"{name} {share:.1%}" for name, share in accuracies.items())
        notes.append(
            "Accuracy of class means on representative images that were kept "
            f"for it, by how the frozen part computes: {', '.join(shares)}."
        )
    title = f"{model.name} on the device"
    texts = {
        result.header: c_header(
            model.name,
            data,
            {
                "persistent_bytes": result.persistent_bytes,
                "work_bytes": result.work_bytes,
                "sample_bytes": math.prod(graph.input_shape)
                * (1 if graph.input_stored else 4),
                "classes": max_way,
            },
        ),
        result.report: report.markdown(title, notes, table, sums, max_way),
    }
    if result.plan:
        texts[result.plan] = model.plan.to_json()
    contents = {path: text.encode() for path, text in texts.items()}
    if result.tflite:
        contents[result.tflite] = tflite
    for path, content in {result.blob: data, **contents}.items():
        with whole_file(path) as part:
            part.write_bytes(content)
    return result


def _candidates(
    plan: UpdatePlan | None,
    costs: LayerCosts,
    budget: Budget | None,
    criterion: str,
) -> list[str]:
    """Lists the layers that may train on the device, in order."""
    names = [cost.name for cost in costs]
    first = 0 if plan is None or not plan.layers else len(costs)
    if budget is not None:
        first = first_affordable(costs, budget, criterion=criterion)
    if plan is not None and plan.layers:
        first = min(first, names.index(plan.layers[0].name))
    planned = plan.channels if plan else {}
    return [
        cost.name
        for cost in costs[first:]
        if criterion == "tinytrain"
        or not cost.per_channel_input
        or cost.name in planned
    ]


def _likely_plan(
    costs: LayerCosts, budget: Budget | None, criterion: str
) -> UpdatePlan | None:
    """Returns what the device will choose when all channels score alike.

    Under `"earliest"` every task has a plan of these layers and numbers of
    channels.
    """
    if budget is None:
        return None
    scores = {cost.name: np.ones(cost.channels) for cost in costs}
    return select(scores, costs, budget, criterion=criterion)


def _notes(model, graph: Graph, candidates, budget, plan, max_way) -> list[str]:
    """Says what was exported, and what the numbers suppose."""
    shape = " x ".join(map(str, graph.input_shape))
    source = f"features of shape {shape}, the output of `{graph.cut}`"
    if not graph.cut:
        source = f"pixels of shape {shape}"
    notes = [
        f"Input: {source}.",
        f"May train: {len(candidates)} layers from `{candidates[0]}` on.",
        f"Head: {model.head}, at most {max_way} classes.",
        f"Memory is that of {max_way} classes and Adam, without the sample; "
        + _NEEDS[model.plan is None and plan is not None],
        "MACs are those of one sample. A step is forward and backward of all "
        "that is exported.",
    ]
    if budget is not None:
        notes.append(f"Budget: {budget}.")
    if model.plan is not None:
        notes.append("The plan was chosen on the host.")
    elif plan is not None:
        notes.append(
            "The device chooses the plan. The one below supposes that all "
            "channels score alike; under `earliest` only which channels "
            "train depends on the task."
        )
    else:
        notes.append("Neither plan nor budget: a step trains the head alone.")
    return notes
