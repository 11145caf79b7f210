"""`evaluate`: nets x datasets x methods x episodes, into a records file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from keras_tinytrain import methods as known_methods
from keras_tinytrain.evaluation.beam import run_on_beam
from keras_tinytrain.evaluation.pool import cores, run_jobs
from keras_tinytrain.evaluation.progress import Progress
from keras_tinytrain.evaluation.protocol import Protocol, plan_jobs
from keras_tinytrain.evaluation.records import (
    FLOAT32,
    INT8,
    Records,
    RecordsFile,
    record_key,
)
from keras_tinytrain.evaluation.representative import check_unseen
from keras_tinytrain.evaluation.sources import find_datasets, find_nets


def evaluate(
    path: str | os.PathLike,
    *,
    nets: Sequence[str],
    datasets: Sequence[str],
    methods: Sequence[str],
    episodes: int = 20,
    seed: int = 0,
    weights: str = "imagenet",
    precision: str = FLOAT32,
    protocol: Protocol | None = None,
    processes: int | None = None,
    runner: str | None = None,
    runner_options: Sequence[str] = (),
) -> Records:
    """Lets methods learn the same episodes, and records how well they do.

    Episodes that the file has are not run again, so the same call goes on
    after any interruption. The file may hold more than is asked for.

    Args:
        path: The records file; see `keras_tinytrain.evaluation.records`.
        nets: Names of nets of the zoo, or `.keras` files of plain CNNs.
        datasets: Names of datasets, or folders. A known one that is not there
            is noted as missing.
        methods: Names of methods.
        episodes: Number of episodes of each dataset.
        seed: `seed + i` is the seed of episode i.
        weights: `"imagenet"`, `"meta"` or `"none"`, of nets of the zoo.
        precision: `"float32"`, or `"int8"`: the nets become int8 graphs
            (`keras_tinytrain.quantize`). A file may hold both.
        protocol: How episodes are drawn and learned, and the budget. By
            default Meta-Dataset's episodes and the published budgets.
        processes: Worker processes, one per core when None. Each keeps
            TensorFlow to one thread.
        runner: Name of an Apache Beam runner, in place of the processes that
            this one would start.
        runner_options: Pipeline options of the runner, as `"--region=..."`.

    Returns:
        All `Records` of the file.

    Raises:
        ValueError: If a name is unknown, no episode can be drawn, a budget is
            too small, or the file is of another version or protocol.
        OSError: If another run writes the file, the disk is full, or weights
            or a folder are not there.
        RuntimeError: If episodes failed. All others are recorded.

    Example:

    >>> records = evaluate(
    ...     "build/records.jsonl",
    ...     nets=["mcunet"],
    ...     datasets=["omniglot"],
    ...     methods=["none", "tinytrain"],
    ... )
    """
    protocol = protocol or Protocol()
    processes = cores() if processes is None else processes
    for name, value, least in (
        ("episodes", episodes, 1),
        ("seed", seed, 0),
        ("processes", processes, 1),
    ):
        if not isinstance(value, int) or value < least:
            raise ValueError(
                f"Expected {name} to be an integer from {least}. Received: "
                f"{name}={value!r}"
            )
    for name, names in (
        ("nets", nets),
        ("datasets", datasets),
        ("methods", methods),
    ):
        if isinstance(names, str) or not names or not all(names):
            raise ValueError(
                f"Expected {name} to be a list of names, with one at least. "
                f"Received: {name}={names!r}"
            )
    methods = [known_methods.get(name).name for name in dict.fromkeys(methods)]
    with RecordsFile(path, protocol.to_json()) as file:
        found, absent = find_datasets(datasets, protocol, seed)
        found_nets = find_nets(nets, weights, methods, protocol, precision)
        if precision == INT8:
            check_unseen(protocol, found)
        jobs = plan_jobs(
            found_nets, found, methods, episodes=episodes, seed=seed
        )
        keys = {job.key for job in jobs}
        done = [x for x in file.records.episodes if record_key(x) in keys]
        with contextlib.closing(Progress(len(jobs), done)) as progress:
            for name, reason in absent.items():
                file.add_missing(name)
                progress.note(f"Not available, left out: {name}. {reason}")
            left = [job for job in jobs if job.key not in file]
            if runner:
                records = run_on_beam(
                    left,
                    protocol,
                    runner=runner,
                    processes=processes,
                    options=runner_options,
                )
            else:
                records = run_jobs(
                    left, protocol, processes=processes, note=progress.note
                )
            with contextlib.closing(records):
                for record in records:
                    file.add(record)
                    progress.add(record)
        return file.records
