"""The machines to train on: one, several accelerators, several hosts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

# Seconds that a worker waits for the others in an all-reduce.
PATIENCE = 300.0


def make_strategy(patience: float = PATIENCE) -> tf.distribute.Strategy:
    """Returns how to train on what there is.

    With the environment variable `TF_CONFIG` this process is one of several
    workers, on one host or on many: `MultiWorkerMirroredStrategy`. Else all
    accelerators of this host are used, `MirroredStrategy`, or its CPU.

    As a worker this must be called before TensorFlow computes anything, so
    before a net is built.

    Args:
        patience: Seconds after which a worker gives up waiting for others.

    Raises:
        ValueError: If `TF_CONFIG` is not valid.
        RuntimeError: If it is too late to become a worker.

    Example:

    >>> strategy = make_strategy()
    >>> net = ktt.zoo.MCUNet()
    >>> meta_train(net, "mini_imagenet", strategy=strategy)
    """
    cluster = read_config(os.environ.get("TF_CONFIG"))
    if cluster is not None:
        options = tf.distribute.experimental.CommunicationOptions(
            timeout_seconds=patience
        )
        try:
            return tf.distribute.MultiWorkerMirroredStrategy(
                communication_options=options
            )
        except RuntimeError as error:
            raise RuntimeError(
                "Expected `make_strategy()` before TensorFlow computes "
                "anything, as TF_CONFIG makes this process a worker. "
                f"Received: {error}"
            ) from error
    if tf.config.list_logical_devices("GPU"):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def read_config(text: str | None) -> dict[str, Any] | None:
    """Checks the value of `TF_CONFIG`.

    Args:
        text: The value; None or empty when the variable is not set.

    Returns:
        `{"cluster": {"worker": [address, ...]}, "task": {"type": "worker",
        "index": number}}`, or None when it names no cluster. A cluster may
        have a `"chief"` too.

    Raises:
        ValueError: If it is anything else.
    """
    if not text:
        return None
    try:
        config = json.loads(text)
    except ValueError as error:
        raise _invalid(text, f"no JSON: {error}") from None
    if not isinstance(config, Mapping):
        raise _invalid(text, "no JSON object")
    if not config.get("cluster"):
        return None
    cluster, task = config["cluster"], config.get("task")
    if not isinstance(cluster, Mapping) or not isinstance(task, Mapping):
        raise _invalid(text, "no cluster and task")
    if not set(cluster) <= {"worker", "chief"}:
        raise _invalid(text, f"jobs {sorted(cluster)}; only workers train here")
    for job, addresses in cluster.items():
        good = isinstance(addresses, list) and addresses
        if not good or not all(map(_is_address, addresses)):
            raise _invalid(text, f"{job}: {addresses!r}")
    kind, index = task.get("type"), task.get("index")
    if kind not in cluster:
        raise _invalid(text, f"task type {kind!r}, not in the cluster")
    last = len(cluster[kind]) - 1
    if isinstance(index, bool) or not isinstance(index, int):
        raise _invalid(text, f"task index {index!r}")
    if not 0 <= index <= last:
        raise _invalid(text, f"task index {index}, of 0 to {last}")
    return config


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes files and shows progress."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def _is_address(text: Any) -> bool:
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("",) * 3
    return bool(host) and port.isdigit() and 0 < int(port) < 2**16


def _invalid(text: str, why: str) -> ValueError:
    return ValueError(
        'Expected TF_CONFIG to be {"cluster": {"worker": ["host:port", ...]}, '
        '"task": {"type": "worker", "index": 0}}, index from 0. Received: '
        f"{why}, in TF_CONFIG={text[:300]!r}"
    )
