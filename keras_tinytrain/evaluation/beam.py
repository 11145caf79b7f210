"""Shards jobs over a cluster by Apache Beam."""

from __future__ import annotations

import functools
import json
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from keras_tinytrain.evaluation.protocol import Job, Protocol
from keras_tinytrain.evaluation.records import record_key

RUNNERS = ("DirectRunner", "FlinkRunner", "SparkRunner", "DataflowRunner")
INSTALL = "pip install 'keras_tinytrain[beam]'"
# Newer versions of Beam let DirectRunner download another runner first.
_DIRECT = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_LOCK = threading.Lock()


def run_on_beam(
    jobs: Sequence[Job],
    protocol: Protocol,
    *,
    runner: str,
    processes: int,
    options: Sequence[str] = (),
) -> Iterator[dict[str, Any]]:
    """Runs jobs as a Beam pipeline and reads what it wrote.

    Nets, datasets and environment variables have to be the same on all
    workers. A pipeline hands over its records when it is done: unlike worker
    processes, one that is stopped loses them all.

    Args:
        jobs: The jobs.
        protocol: What they share.
        runner: One of `RUNNERS`.
        processes: Worker processes of the `DirectRunner`.
        options: Pipeline options. A cluster needs a `--temp_location` that
            its workers and this machine can reach.

    Yields:
        The records in the order of the jobs.

    Raises:
        ImportError: If Apache Beam is not installed.
        ValueError: If the runner is unknown.
    """
    if runner not in RUNNERS:
        raise ValueError(
            f"Expected runner to be one of {RUNNERS}. Received: "
            f"runner={runner!r}"
        )
    try:
        import apache_beam as beam
        from apache_beam.io.filesystems import FileSystems
        from apache_beam.options import pipeline_options
    except ImportError as error:
        raise ImportError(
            f"Expected Apache Beam for runner={runner!r}: {INSTALL}. "
            f"Received: {error}"
        ) from error
    if not jobs:
        return
    flags = [f"--runner={runner}", *options]
    if runner == "DirectRunner":
        flags = [
            f"--runner={_DIRECT}",
            "--direct_running_mode=multi_processing",
            f"--direct_num_workers={processes}",
            *options,
        ]
    parsed = pipeline_options.PipelineOptions(flags)
    place = parsed.view_as(pipeline_options.GoogleCloudOptions).temp_location
    with tempfile.TemporaryDirectory() as folder:
        prefix = FileSystems.join(place or folder, f"records-{uuid.uuid4()}")
        with beam.Pipeline(options=parsed) as pipeline:
            _ = (
                pipeline
                | "Jobs" >> beam.Create(list(jobs))
                | "Spread" >> beam.Reshuffle()
                | "Run" >> beam.Map(functools.partial(_run, protocol))
                | "Write" >> beam.io.WriteToText(prefix)
            )
        parts = FileSystems.match([f"{prefix}*"])[0].metadata_list
        lines = []
        for part in parts:
            with FileSystems.open(part.path) as file:
                lines += file.read().splitlines()
        FileSystems.delete([part.path for part in parts])
    records = {record_key(r): r for r in map(json.loads, lines)}
    for job in jobs:
        yield records[job.key]


def _run(protocol: Protocol, job: Job) -> str:
    """Returns the record of a job as a line."""
    with _LOCK:
        worker = _worker(protocol)
    return json.dumps(worker.run(job))


@functools.cache
def _worker(protocol: Protocol):
    """Returns the one worker of this process."""
    from keras_tinytrain.evaluation.worker import Worker, limit_threads

    limit_threads()
    return Worker(protocol)
